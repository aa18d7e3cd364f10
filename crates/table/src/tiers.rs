//! Says which backends of a pool serve: those of a rank.
//!
//! ```text
//!   rank 0   the active tier
//!   rank 1   the backup tier           with `backups: first`, each backup is a rank
//!   rank 2   ...                       of its own, in the order of the file
//! ```
//!
//! One rank serves. A rank is fit if it has enough backends that are available: `min_active` of the active tier, one
//! of any other.
//!
//! - The rank that serves is fit: a better one takes over once it was fit for `failback_delay` (auto), or when an
//!   operator orders it (manual).
//! - It is not: the best fit rank takes over at once. With `failback: manual` that is a backup if any is fit.
//! - No rank is fit: the active tier serves if any of it is available; otherwise nothing changes.
//!
//! What serves is part of the table, and is handed on from table to table.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use config::{Backups, Failback, Tier};

use crate::state::BackendState;

/// Backends of a pool that serve together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rank {
    /// The active tier.
    Active,
    /// The whole backup tier.
    Backups,
    /// The backup at this address alone.
    Backup(SocketAddr),
}

impl Rank {
    pub(crate) fn tier(self) -> Tier {
        match self {
            Self::Active => Tier::Active,
            Self::Backups | Self::Backup(_) => Tier::Backup,
        }
    }

    /// Whether this backend is of it.
    pub(crate) fn includes(self, backend: &config::Backend) -> bool {
        backend.tier == self.tier()
            && match self {
                Self::Active | Self::Backups => true,
                Self::Backup(address) => address == backend.address,
            }
    }
}

/// A rank of a pool, and how many of its backends can take connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RankState {
    rank: Rank,
    available: usize,
    is_fit: bool,
}

/// The ranks of a pool, the best first. The active tier is one even without backends.
pub(crate) fn ranks(pool: &config::Pool, states: &[BackendState]) -> Vec<RankState> {
    let is_available = |backend: &config::Backend, state: &BackendState| {
        backend.weight > 0 && state.availability.is_available()
    };
    let each = || pool.backends.iter().zip(states);
    let of_tier = |tier| each().filter(move |(backend, _)| backend.tier == tier);
    let count = |tier| of_tier(tier).filter(|(backend, state)| is_available(backend, state)).count();
    let active = count(Tier::Active);
    let is_fit = active >= usize::from(pool.tiers.active_min);
    let mut ranks = vec![RankState { rank: Rank::Active, available: active, is_fit }];
    let backup = |rank, available| RankState { rank, available, is_fit: available > 0 };
    match pool.tiers.backups {
        Backups::All if of_tier(Tier::Backup).next().is_some() => {
            ranks.push(backup(Rank::Backups, count(Tier::Backup)));
        }
        Backups::All => {}
        Backups::First => ranks
            .extend(of_tier(Tier::Backup).map(|(one, state)| {
                backup(Rank::Backup(one.address), usize::from(is_available(one, state)))
            })),
    }
    ranks
}

/// Which rank serves, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) rank: Rank,
    /// Since when it does.
    pub(crate) since: Instant,
    /// Since when each rank that is fit was so without interruption.
    fit_since: HashMap<Rank, Instant>,
}

/// Which of `ranks` serves `now`, given the one that did `before`, if any did. `told` is an order to fail back.
pub(crate) fn serving(
    before: Option<&Serving>,
    ranks: &[RankState],
    failback: Failback,
    told: bool,
    now: Instant,
) -> Serving {
    let known = |rank| before.and_then(|before| before.fit_since.get(&rank)).copied().unwrap_or(now);
    let fit = ranks.iter().filter(|state| state.is_fit);
    let fit_since: HashMap<_, _> = fit.map(|state| (state.rank, known(state.rank))).collect();
    let returns = |rank| match failback {
        Failback::Auto(delay) => fit_since.get(&rank).is_some_and(|since| now >= *since + delay),
        Failback::Manual => false,
    };
    let current = current(before, ranks);
    let better = ranks.iter().take_while(|state| state.rank != current.rank);
    let taking_over =
        better.map(|state| state.rank).find(|rank| fit_since.contains_key(rank) && (told || returns(*rank)));
    let rank = match taking_over {
        Some(rank) => rank,
        None if current.is_fit => current.rank,
        None => successor(current, ranks, failback),
    };
    let since = before.filter(|before| before.rank == rank).map_or(now, |before| before.since);
    Serving { rank, since, fit_since }
}

/// The rank that serves unless another one takes over. A reload may have merged, split or removed the one before.
fn current(before: Option<&Serving>, ranks: &[RankState]) -> RankState {
    let rank = before.map_or(Rank::Active, |before| before.rank);
    let same = ranks.iter().find(|state| state.rank == rank);
    let backups = || ranks.iter().filter(|state| state.rank.tier() == Tier::Backup);
    let of_tier = || match rank {
        Rank::Active => None,
        Rank::Backups | Rank::Backup(_) => backups().find(|state| state.is_fit).or_else(|| backups().next()),
    };
    *same.or_else(of_tier).unwrap_or(&ranks[0])
}

/// The rank that takes over from one that cannot serve.
fn successor(current: RankState, ranks: &[RankState], failback: Failback) -> Rank {
    let fit = |tier| ranks.iter().find(move |state| state.is_fit && state.rank.tier() == tier);
    let (active, backup) = (fit(Tier::Active), fit(Tier::Backup));
    let best = match failback {
        Failback::Auto(_) => active.or(backup),
        Failback::Manual => backup.or(active),
    };
    let any_active = ranks.iter().find(|state| state.rank == Rank::Active && state.available > 0);
    best.or(any_active).map_or(current.rank, |state| state.rank)
}

impl Serving {
    /// When, after `now`, time alone changes something: a better rank takes over, or the time is up for connections
    /// to the others, which may finish within `drain` if there is one.
    pub(crate) fn due(
        &self,
        ranks: &[RankState],
        failback: Failback,
        drain: Option<Duration>,
        now: Instant,
    ) -> Option<Instant> {
        let better = ranks.iter().take_while(|state| state.rank != self.rank);
        let fit = better.filter_map(|state| self.fit_since.get(&state.rank));
        let returns = fit.filter_map(|since| match failback {
            Failback::Auto(delay) => Some(*since + delay),
            Failback::Manual => None,
        });
        let drained = drain.map(|drain| self.since + drain);
        returns.chain(drained).filter(|due| *due > now).min()
    }
}
