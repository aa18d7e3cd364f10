//! Who took over: told of what another table brings and no single probe says.

use std::net::SocketAddr;

use config::Tier;
use log::Level;
use table::{Availability, Health, Pool, Role, Standing, Table};

use crate::chronicle::{Chronicle, Kind};

/// A table, and what it was built from.
#[derive(Clone, Copy)]
pub(crate) struct Reign<'a> {
    pub(crate) table: &'a Table,
    pub(crate) health: &'a Health,
}

/// Notes what is different in pools that are in both.
pub(crate) fn note(before: Reign<'_>, after: Reign<'_>, chronicle: &mut Chronicle) {
    for pool in &after.table.pools {
        let Some(old) = before.table.pool(&pool.name) else { continue };
        note_tier(old.tier(), pool, chronicle);
        note_primary(before, after, pool, chronicle);
        for backend in &pool.backends {
            let was = before.standing(&pool.name, backend.address);
            let is = after.standing(&pool.name, backend.address);
            if was.availability == Availability::Ejected && is.availability.is_available() {
                let text = format!("pool {}, backend {}: no longer put aside", pool.name, backend.name);
                chronicle.note(Level::Info, Kind::Ejection, text);
            }
        }
    }
}

fn note_tier(before: Tier, pool: &Pool, chronicle: &mut Chronicle) {
    if before == pool.tier() {
        return;
    }
    let level = match pool.tier() {
        Tier::Active => Level::Info,
        Tier::Backup => Level::Warn,
    };
    chronicle.note(level, Kind::Tier, format_args!("pool {}: the {} tier serves", pool.name, pool.tier()));
}

fn note_primary(before: Reign<'_>, after: Reign<'_>, pool: &Pool, chronicle: &mut Chronicle) {
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
    chronicle.note(level, Kind::Role, text);
}

impl Reign<'_> {
    fn standing(self, pool: &str, address: SocketAddr) -> Standing {
        let pool = self.health.pools.get(pool);
        pool.and_then(|pool| pool.backends.get(&address)).copied().unwrap_or_default()
    }

    fn primary(self, pool: &Pool) -> Option<SocketAddr> {
        let mut addresses = pool.backends.iter().map(|backend| backend.address);
        addresses.find(|address| self.standing(&pool.name, *address).role == Some(Role::Primary))
    }
}
