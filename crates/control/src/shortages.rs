//! What this host lacks and connections fail for: logged with the cure, at once when it begins, and then once a
//! minute with the number since.
//!
//! Workers count what fails, and the counts are read once a second: it costs the data plane nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use api::ShortageStatus;
use connection::CloseReason;
use table::Table;

use crate::reloads::unix_seconds_at;
use crate::sources::Sources;

/// What was counted and logged of each shortage.
#[derive(Debug, Default)]
pub(crate) struct Shortages(HashMap<Key, Seen>);

/// A shortage: of a pool when it connects, or of a listener when it accepts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    is_pool: bool,
    name: String,
    reason: &'static str,
}

#[derive(Debug, Default)]
struct Seen {
    /// How often it occurred in all, when it was looked last.
    total: u64,
    /// Of them, those that no line has counted.
    untold: u64,
    /// When a line was last logged.
    said_at: Option<Instant>,
    /// When it began, and when it occurred last; none if it never did, or is logged elsewhere.
    lasted: Option<(Instant, Instant)>,
}

/// How often something was felt.
#[derive(Clone, Debug)]
struct Felt {
    key: Key,
    total: u64,
    /// Whether it is logged elsewhere, and only counted here.
    is_said: bool,
}

impl Shortages {
    /// Reads the counters of `table`; returns the lines to log, each with the pool that it is about, if it is one.
    pub(crate) fn check(
        &mut self,
        table: &Table,
        sources: &Sources,
        now: Instant,
    ) -> Vec<(Option<String>, String)> {
        let pools = table.pools.iter().flat_map(|pool| {
            OF_POOLS.iter().map(|&reason| Felt {
                key: Key { is_pool: true, name: pool.name.clone(), reason: reason.name() },
                total: pool.counters.sum(|worker| worker.failed(reason).get()),
                is_said: reason == CloseReason::NoSourceAddress
                    && pool.source.is_some_and(|source| !sources.is_held(source)),
            })
        });
        let listeners = table.listeners.iter().map(|listener| Felt {
            key: Key {
                is_pool: false,
                name: listener.name.clone(),
                reason: CloseReason::NoDescriptor.name(),
            },
            total: listener.counters.sum(|worker| worker.closed(CloseReason::NoDescriptor).get()),
            is_said: false,
        });
        self.count(pools.chain(listeners), now)
    }

    fn count(&mut self, felt: impl Iterator<Item = Felt>, now: Instant) -> Vec<(Option<String>, String)> {
        let mut before = std::mem::take(&mut self.0);
        let mut lines = Vec::new();
        for Felt { key, total, is_said } in felt {
            let mut seen = before.remove(&key).unwrap_or_default();
            let new = total.saturating_sub(seen.total);
            if new > 0 && !is_said {
                let begun =
                    seen.lasted.filter(|(_, last)| is_recent(*last, now)).map_or(now, |(begun, _)| begun);
                seen.lasted = Some((begun, now));
            }
            seen.total = total;
            seen.untold = if is_said { 0 } else { seen.untold + new };
            let is_due = seen.said_at.is_none_or(|at| now.saturating_duration_since(at) >= SAID_EVERY);
            if seen.untold > 0 && is_due && lines.len() < LINES_MAX {
                lines.push((key.is_pool.then(|| key.name.clone()), line(&key, seen.untold)));
                (seen.untold, seen.said_at) = (0, Some(now));
            }
            // Most never occur, and take no memory.
            if seen.total > 0 {
                self.0.insert(key, seen);
            }
        }
        lines
    }
}

impl Shortages {
    /// What occurred in the last minute, sorted by name.
    pub(crate) fn current(&self, now: Instant) -> Vec<ShortageStatus> {
        let recent = |(key, seen): (&Key, &Seen)| {
            let (begun, _) = seen.lasted.filter(|(_, last)| is_recent(*last, now))?;
            Some((key.clone(), begun))
        };
        let mut current: Vec<_> = self.0.iter().filter_map(recent).collect();
        current.sort();
        current.into_iter().map(|(key, begun)| status(&key, unix_seconds_at(begun, now))).collect()
    }
}

fn is_recent(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) < SAID_EVERY
}

fn status(Key { is_pool, name, reason }: &Key, since: f64) -> ShortageStatus {
    let (why, cure) = cure(reason);
    let (what, fails) =
        if *is_pool { ("pool", "connects fail") } else { ("listener", "clients are rejected") };
    ShortageStatus {
        pool: is_pool.then(|| name.clone()),
        listener: (!is_pool).then(|| name.clone()),
        text: format!("{what} {name}: {fails} (`{reason}`)"),
        why: format!("{why}; {cure}"),
        since,
    }
}

fn line(Key { is_pool, name, reason }: &Key, number: u64) -> String {
    let what = if *is_pool { "pool" } else { "listener" };
    let s = if number == 1 { "" } else { "s" };
    let felt = if *is_pool { format!("connect{s} failed") } else { format!("client{s} rejected") };
    let (why, cure) = cure(reason);
    format!("{what} {name}: {number} {felt} (`{reason}`): {why}; {cure}")
}

/// What this host lacks, and what to do.
fn cure(reason: &str) -> (&'static str, &'static str) {
    match reason {
        "no_source_address" => {
            ("this host did not hold the pool's `source`", "`ip address` shows the addresses that it holds")
        }
        "no_source_port" => (
            "no local port was free",
            "add backends, lower `max_connections`, or `sysctl -w net.ipv4.ip_local_port_range='1024 65535'`",
        ),
        "no_resources" => (
            "the kernel had no memory for a socket",
            "`sysctl net.ipv4.tcp_mem` shows its bounds; raise `MemoryMax=` in the unit, or lower `max_connections`",
        ),
        "connect_unreachable" => (
            "there is no route to the backend, or a rule of this host forbids it",
            "`ip route get ADDRESS` shows the route; look at the firewall",
        ),
        _ => ("no descriptor was left", "raise `LimitNOFILE=` in the unit, or lower `max_connections`"),
    }
}

/// Why connects fail for a lack on this host, and not because of the backend.
const OF_POOLS: [CloseReason; 5] = [
    CloseReason::NoSourceAddress,
    CloseReason::NoSourcePort,
    CloseReason::NoDescriptor,
    CloseReason::NoResources,
    CloseReason::ConnectUnreachable,
];

/// How often one shortage is logged, and for how long it is a problem after its last occurrence.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Lines of one check. What is not logged then is logged at the next one.
const LINES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Felt, Key, LINES_MAX, Shortages};
    use crate::monitor::now;

    #[test]
    fn a_shortage_is_said_at_once_and_then_once_a_minute_with_the_number_since() {
        let (mut shortages, begun) = (Shortages::default(), now());
        let mut look = |seconds: u64, total, is_said| {
            let felt = Felt { total, is_said, ..felt("db") };
            let lines = shortages.count([felt].into_iter(), begun + Duration::from_secs(seconds));
            lines.first().map(|(_, line)| line.split(':').nth(1).unwrap().trim().to_owned())
        };
        assert_eq!(look(0, 0, false), None);
        assert_eq!(look(1, 1, false).unwrap(), "1 connect failed (`no_source_port`)");
        assert_eq!(look(2, 5, false), None);
        assert_eq!(look(60, 9, false), None);
        assert_eq!(look(61, 9, false).unwrap(), "8 connects failed (`no_source_port`)");
        // Without a new one there is nothing to say.
        assert_eq!(look(200, 9, false), None);
        assert_eq!(look(201, 10, false).unwrap(), "1 connect failed (`no_source_port`)");
        // What is logged elsewhere is not logged here, neither then nor later.
        assert_eq!(look(300, 20, true), None);
        assert_eq!(look(301, 20, false), None);
        // The pool was made again, and counts from 0.
        assert_eq!(look(400, 0, false), None);
        assert_eq!(look(401, 2, false).unwrap(), "2 connects failed (`no_source_port`)");
    }

    #[test]
    fn a_shortage_is_a_problem_until_a_minute_after_its_last_occurrence() {
        let (mut shortages, begun) = (Shortages::default(), now());
        let mut look = |seconds: u64, total| {
            let at = begun + Duration::from_secs(seconds);
            shortages.count([Felt { total, ..felt("db") }].into_iter(), at);
            shortages.current(at).into_iter().map(|it| it.text).collect::<Vec<_>>()
        };
        let text = "pool db: connects fail (`no_source_port`)";
        assert!(look(0, 0).is_empty());
        assert_eq!(look(1, 1), [text]);
        assert_eq!(look(59, 1), [text]);
        assert_eq!(look(60, 2), [text]);
        assert_eq!(look(119, 2), [text]);
        assert!(look(120, 2).is_empty());
    }

    #[test]
    fn a_look_has_few_lines_and_the_next_ones_have_the_rest() {
        let (mut shortages, now) = (Shortages::default(), now());
        let names: Vec<String> = (0..LINES_MAX + 3).map(|number| format!("pool-{number}")).collect();
        let mut look = || {
            let felt = names.iter().map(|name| Felt { total: 1, ..felt(name) });
            shortages.count(felt, now).len()
        };
        assert_eq!([look(), look(), look()], [LINES_MAX, 3, 0]);
    }

    fn felt(name: &str) -> Felt {
        let key = Key { is_pool: true, name: name.to_owned(), reason: "no_source_port" };
        Felt { key, total: 0, is_said: false }
    }
}
