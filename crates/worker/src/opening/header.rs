//! The header that a proxy sends before a client's bytes is taken out of the socket once it is whole.

use connection::{CloseReason, Direction};
use driver::Driver;
use preface::{Header, Kind as HeaderKind, Step, Versions};

use super::{Openings, Peeked, set_low_water, wait_for};
use crate::core::Core;
use crate::introduction::{Introduction, passes};
use crate::relay::{fault_of, reason_of};
use crate::state::{Connection, State};
use crate::stats::Micros;

impl Openings {
    /// Reads the header, if it is whole.
    pub(super) fn look_for_header<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        slot: u32,
        peeked: &Peeked,
    ) -> Result<Option<Introduction>, CloseReason> {
        let accepted = core.slots.get(slot).listener.proxy_protocol.as_ref().map(|headers| headers.versions);
        let versions =
            accepted.map_or(Versions::ALL, |accepted| Versions { v1: accepted.v1, v2: accepted.v2 });
        match preface::read(&self.peeked[..peeked.length], versions) {
            Step::Need(needed) if peeked.may_wait => {
                wait_for(core, slot, peeked.client, needed);
                Ok(None)
            }
            Step::Need(_) | Step::Invalid(_) => Err(CloseReason::ProxyInvalid),
            Step::Header(header) => take(core, slot, &header, peeked.length > header.length).map(Some),
        }
    }
}

/// Takes a whole header out of the socket.
fn take<D: Driver>(
    core: &mut Core<D>,
    slot: u32,
    header: &Header<'_>,
    more_follows: bool,
) -> Result<Introduction, CloseReason> {
    set_low_water(core, slot, 1);
    let Connection { client, listener, state, stats, pool, .. } = core.slots.get(slot);
    let State::Opening(opening) = state else { unreachable!("it has shown itself") };
    let length = u32::try_from(header.length).expect("a header is short");
    let skipped = core.driver.skip(*client, length);
    skipped.map_err(|errno| reason_of(Direction::ToBackend, fault_of(errno)))?;
    listener.counters.of(core.index).headers[number_of(header.kind)].add(1);
    let mut opened = Micros::default();
    opened.add(stats.accepted_at, core.now);
    // Which pool it goes to is not known before its routes are.
    let may_pass = listener.routes.is_some() || passes(pool.send_proxy.as_ref());
    let tlvs = if may_pass { header.tlvs.as_bytes() } else { &[] };
    Ok(Introduction {
        via: opening.peer.filter(|_| header.ends.is_some()),
        ends: header.ends,
        opening: Some(opened),
        is_local: header.kind == HeaderKind::Local,
        more_follows,
        tlvs: tlvs.into(),
        ..Introduction::default()
    })
}

/// Where a kind of header is counted.
fn number_of(kind: HeaderKind) -> usize {
    match kind {
        HeaderKind::V1 => 0,
        HeaderKind::V2 => 1,
        HeaderKind::Local => 2,
    }
}
