//! Which clients may connect: a client's address against the access list and the limits of its listener.

use std::net::IpAddr;

use table::{Action, Decider, Entry, Limits, Listener, Place, Refusal, Refuse, Refused};

use crate::core::Core;

/// A client is refused for its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) why: Refused,
    pub(crate) how: Refuse,
}

impl<D> Core<D> {
    /// Whether a client with this address may connect, and where its source counts it, if that has limits. A client
    /// that is counted must [leave](Self::leave_source) at its end.
    ///
    /// # Errors
    ///
    /// It is refused. It is counted nowhere.
    pub(crate) fn screen(&mut self, listener: &Listener, client: IpAddr) -> Result<Option<Place>, Rejection> {
        let screened = self.decide(listener, client);
        if screened.is_err() {
            self.refused_sources.add(client, self.now);
        }
        screened
    }

    fn decide(&self, listener: &Listener, client: IpAddr) -> Result<Option<Place>, Rejection> {
        if let Some(list) = &listener.access {
            let (action, decider) = list.decide(client);
            list.counters.of(self.index).of(decider).add(1);
            if action == Action::Deny {
                // What an operator denies is no trial.
                let dry_run = list.refusal.dry_run && !matches!(decider, Decider::Override(_));
                self.refuse(listener, Refusal { dry_run, ..list.refusal }, Refused::Denied)?;
            }
        }
        let Some(limits) = &listener.limits else { return Ok(None) };
        match self.enter_source(limits, client) {
            Ok(place) => Ok(place),
            // In a trial it is served without being counted, so that the source has what it would have.
            Err(why) => self.refuse(listener, limits.refusal(), why).map(|()| None),
        }
    }

    fn enter_source(&self, limits: &Limits, client: IpAddr) -> Result<Option<Place>, Refused> {
        let sources = &self.table.sources;
        let Some(source) = limits.source(sources, client) else { return Ok(None) };
        let counters = limits.counters.of(self.index);
        match sources.enter(source, self.now, &limits.bounds) {
            Entry::Entered { place, evicted } => {
                counters.evicted.add(evicted.into());
                Ok(Some(place))
            }
            Entry::TooMany => Err(Refused::SourceLimit),
            Entry::TooFast => Err(Refused::SourceRate),
            Entry::NotTracked => {
                counters.overflow.add(1);
                Ok(None)
            }
        }
    }

    /// Counts a client that is refused in a trial alone, and lets it pass.
    fn refuse(&self, listener: &Listener, refusal: Refusal, why: Refused) -> Result<(), Rejection> {
        if !refusal.dry_run {
            return Err(Rejection { why, how: refusal.how });
        }
        listener.counters.of(self.index).would_refuse(why).add(1);
        Ok(())
    }

    /// Whether operators deny this client of an established connection now. The rules of the file do not count.
    pub(crate) fn is_denied_by_operators(&mut self, slot: u32, client: IpAddr) -> bool {
        let list = self.table.access_of(&self.slots.get(slot).listener);
        list.is_some_and(|list| list.decide(client).1 == Decider::Override(Action::Deny))
    }

    /// A client that was counted has ended.
    pub(crate) fn leave_source(&self, place: Option<Place>) {
        if let Some(place) = place {
            self.table.sources.leave(place);
        }
    }
}
