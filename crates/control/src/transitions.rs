//! Who took over: told of what another table brings and no single probe says.

use std::net::SocketAddr;

use config::Tier;
use log::Level;
use table::{Inputs, Pool, Role, Table};

use crate::event_log::EventLog;
use api::EventKind;

/// A table, and what it was built from.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot<'a> {
    pub(crate) table: &'a Table,
    pub(crate) health: &'a Inputs,
}

/// Notes what is different in pools that are in both.
pub(crate) fn note(before: Snapshot<'_>, after: Snapshot<'_>, chronicle: &mut EventLog) {
    for pool in &after.table.pools {
        let Some(old) = before.table.pool(&pool.name) else { continue };
        note_tier(old.tier(), pool, chronicle);
        note_primary(before, after, pool, chronicle);
    }
}

fn note_tier(before: Tier, pool: &Pool, chronicle: &mut EventLog) {
    if before == pool.tier() {
        return;
    }
    let level = match pool.tier() {
        Tier::Active => Level::Info,
        Tier::Backup => Level::Warn,
    };
    chronicle.note(
        level,
        EventKind::Tier,
        format_args!("pool {}: the {} tier serves", pool.name, pool.tier()),
    );
}

fn note_primary(before: Snapshot<'_>, after: Snapshot<'_>, pool: &Pool, chronicle: &mut EventLog) {
    let primary = after.primary(pool);
    if before.primary(pool) == primary {
        return;
    }
    let (level, text) = match pool.backends.iter().find(|backend| Some(backend.address) == primary) {
        Some(backend) => {
            (Level::Info, format!("pool {}: backend {} is the primary", pool.name, backend.name))
        }
        None => (Level::Warn, format!("pool {}: there is no primary", pool.name)),
    };
    chronicle.note(level, EventKind::Role, text);
}

impl Snapshot<'_> {
    fn primary(self, pool: &Pool) -> Option<SocketAddr> {
        let known = &self.health.pools.get(&pool.name)?.backends;
        let is_primary = |address: &SocketAddr| {
            known.get(address).is_some_and(|standing| standing.role == Some(Role::Primary))
        };
        pool.backends.iter().map(|backend| backend.address).find(is_primary)
    }
}
