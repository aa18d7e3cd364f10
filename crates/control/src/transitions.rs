//! What another table brings and no single probe says: which tier serves, and which backend is the primary.

use std::net::SocketAddr;

use api::EventKind;
use config::Tier;
use log::Level;
use table::{Inputs, Pool, Role, Table};

use crate::event_log::EventLog;

/// A table, and what it was built from.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot<'a> {
    pub(crate) table: &'a Table,
    pub(crate) inputs: &'a Inputs,
}

/// Notes what is different in pools that are in both.
pub(crate) fn note(before: Snapshot<'_>, after: Snapshot<'_>, event_log: &mut EventLog) {
    for pool in &after.table.pools {
        let Some(old) = before.table.pool(&pool.name) else { continue };
        note_tier(old.tier(), pool, event_log);
        note_primary(before, after, pool, event_log);
    }
}

fn note_tier(before: Tier, pool: &Pool, event_log: &mut EventLog) {
    if before == pool.tier() {
        return;
    }
    let level = match pool.tier() {
        Tier::Active => Level::Info,
        Tier::Backup => Level::Warn,
    };
    let text = format!("pool {}: the {} tier serves", pool.name, pool.tier());
    event_log.note_of(&pool.name, level, EventKind::Tier, text);
}

fn note_primary(before: Snapshot<'_>, after: Snapshot<'_>, pool: &Pool, event_log: &mut EventLog) {
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
    event_log.note_of(&pool.name, level, EventKind::Role, text);
}

impl Snapshot<'_> {
    fn primary(self, pool: &Pool) -> Option<SocketAddr> {
        let known = &self.inputs.pools.get(&pool.name)?.backends;
        let is_primary =
            |address: &SocketAddr| known.get(address).is_some_and(|state| state.role == Some(Role::Primary));
        pool.backends.iter().map(|backend| backend.address).find(is_primary)
    }
}
