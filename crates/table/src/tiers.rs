//! Says which tier of a pool serves.
//!
//! ```text
//!            fewer than `min_active` available, and a backup is
//!   active ─────────────────────────────────────────────────────▶ backup
//!      ▲                                                             │
//!      └─────────────────────────────────────────────────────────────┘
//!       no backup is available; or the active tier is fit again, and was for
//!       `failback_delay` (auto), or an operator orders it (manual)
//! ```
//!
//! Only one tier serves. What it was is part of the table, and is handed on from table to table.

use std::time::{Duration, Instant};

use config::{Failback, Tier};

/// Which tier serves, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) tier: Tier,
    /// Since when it does.
    pub(crate) since: Instant,
    /// Since when enough of the active tier are available; none while they are not.
    fit_since: Option<Instant>,
}

/// How many backends can take connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Available {
    pub(crate) active: usize,
    pub(crate) backup: usize,
}

/// Which tier serves `now`, given the one that did `before`, if any did. `told` is an order to fail back.
pub(crate) fn serving(
    before: Option<Serving>,
    available: Available,
    settings: &config::Tiers,
    told: bool,
    now: Instant,
) -> Serving {
    let before = before.unwrap_or(Serving { tier: Tier::Active, since: now, fit_since: None });
    let fit = available.active >= usize::from(settings.active_min);
    let fit_since = fit.then(|| before.fit_since.unwrap_or(now));
    let returns = match settings.failback {
        Failback::Auto(delay) => fit_since.is_some_and(|since| now >= since + delay),
        Failback::Manual => false,
    };
    let is_backup = match before.tier {
        Tier::Active => !fit && available.backup > 0,
        Tier::Backup if available.backup == 0 => available.active == 0,
        Tier::Backup => !(fit && (told || returns)),
    };
    let tier = if is_backup { Tier::Backup } else { Tier::Active };
    let since = if tier == before.tier { before.since } else { now };
    Serving { tier, since, fit_since }
}

impl Serving {
    /// When, after `now`, time alone changes something: the active tier takes over again, or the time is up for
    /// connections to the other one, which may finish within `drain` if there is one.
    pub(crate) fn due(
        &self,
        settings: &config::Tiers,
        drain: Option<Duration>,
        now: Instant,
    ) -> Option<Instant> {
        let failback = match (self.tier, settings.failback) {
            (Tier::Backup, Failback::Auto(delay)) => self.fit_since.map(|since| since + delay),
            (Tier::Backup, Failback::Manual) | (Tier::Active, _) => None,
        };
        let drained = drain.map(|drain| self.since + drain);
        [failback, drained].into_iter().flatten().filter(|due| *due > now).min()
    }
}
