//! Queries of control are answered: a few slots each turn, so that no turn is long.

use std::sync::Arc;

use driver::Driver;
use table::Prefix;

use crate::query::{ConnectionAction, ConnectionFilter, Listed, QueryResult, UnderWay};
use crate::state::{Connection, State};

use super::Worker;

/// How many slots are visited in a turn.
const VISITED_MAX: u32 = 1024;

/// Of them, how many connections are listed, asked for their address, or closed: each is a system call or more. The
/// rest must wait for the next turn, which comes at once.
const ANSWERED_MAX: usize = 64;

impl<D: Driver> Worker<D> {
    /// Goes on with the query under way, or begins the next.
    pub(crate) fn answer_queries(&mut self) {
        let under_way = self.queries.under_way.take();
        let begun = under_way.or_else(|| {
            let query = self.queries.take()?;
            let next = query.filter.tenant.map_or(0, |(slot, _)| slot);
            Some(UnderWay { query, next, result: QueryResult::default() })
        });
        let Some(mut under_way) = begun else { return };
        if self.visit_some(&mut under_way) {
            if let ConnectionAction::CountSources(_) = under_way.query.action {
                under_way.result.refused = self.core.refused_sources.of_last_minute(self.core.now);
            }
            (under_way.query.answer)(under_way.result);
        } else {
            self.queries.under_way = Some(under_way);
        }
    }

    /// Visits the next slots; says whether these were the last.
    fn visit_some(&mut self, under_way: &mut UnderWay) -> bool {
        let UnderWay { query, next, result } = under_way;
        let used = self.core.slots.used();
        let end = query.filter.tenant.map_or(used, |(slot, _)| used.min(slot.saturating_add(1)));
        let mut answered = 0;
        for _ in 0..VISITED_MAX {
            if *next >= end || answered >= ANSWERED_MAX {
                break;
            }
            let slot = *next;
            *next += 1;
            if !self
                .core
                .slots
                .peek(slot)
                .is_some_and(|connection| self.matches(&query.filter, slot, connection))
            {
                continue;
            }
            answered += usize::from(query.filter.client.is_some() || query.filter.denied);
            if !self.has_client_at(&query.filter, slot) {
                continue;
            }
            answered += self.answer_about(slot, query.action, result);
        }
        *next >= end
    }

    /// Does with a connection what is asked. Returns how much of [`ANSWERED_MAX`] that is.
    fn answer_about(&mut self, slot: u32, action: ConnectionAction, result: &mut QueryResult) -> usize {
        match action {
            ConnectionAction::List(most) if result.listed.len() < most => {
                let listed = self.list(slot);
                result.listed.push(listed);
            }
            ConnectionAction::List(_) => {
                result.number += 1;
                return 0;
            }
            ConnectionAction::CountSources([v4, v6]) => {
                let Some(client) = self.core.client_address(slot) else { return 1 };
                let client = client.ip().to_canonical();
                let source = Prefix::around(client, if client.is_ipv4() { v4 } else { v6 });
                *result.sources.entry(source).or_default() += 1;
            }
            ConnectionAction::Close(_) if matches!(self.core.slots.get(slot).state, State::Closing(_)) => {
                return 0;
            }
            ConnectionAction::Close(reason) => self.close(slot, reason),
        }
        result.number += 1;
        1
    }

    /// Whether the filter lets the connection through, by all that can be told without asking the kernel.
    fn matches(&self, filter: &ConnectionFilter, slot: u32, connection: &Connection) -> bool {
        let ConnectionFilter { tenant, listener, pool, backend, client: _, limits, denied: _ } = filter;
        let is_at = |address| connection.backend().is_some_and(|backend| backend.address == address);
        tenant.is_none_or(|tenant| tenant == (slot, self.core.slots.generation(slot)))
            && limits.as_ref().is_none_or(|name| {
                connection.listener.limits.as_ref().is_some_and(|limits| limits.name == *name)
            })
            && listener.as_ref().is_none_or(|name| *name == connection.listener.name)
            && pool.as_ref().is_none_or(|name| *name == connection.pool.name)
            && backend.is_none_or(is_at)
    }

    fn has_client_at(&mut self, filter: &ConnectionFilter, slot: u32) -> bool {
        if filter.client.is_none() && !filter.denied {
            return true;
        }
        self.core.client_address(slot).is_some_and(|client| {
            filter.client.is_none_or(|prefix| prefix.contains(client.ip()))
                && (!filter.denied || self.core.is_denied_by_operators(slot, client.ip()))
        })
    }

    fn list(&mut self, slot: u32) -> Listed {
        let client = self.core.client_address(slot);
        let connection = self.core.slots.get(slot);
        let (listener, pool) = (Arc::clone(&connection.listener), Arc::clone(&connection.pool));
        let backend = connection.backend().map(Arc::clone);
        let introduction = connection.introduction.clone();
        Listed { view: self.core.view(slot), client, introduction, listener, pool, backend }
    }
}
