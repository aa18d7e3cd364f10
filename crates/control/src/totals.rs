//! What listeners and backends did, summed over workers, as lines of the log.
//!
//! Those that a reload removed are kept until their last connection has ended, so that no number is lost.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use connection::CloseReason;
use table::{BackendCounters, Counter, ListenerCounters, PerWorker, Table};

/// Whose totals are logged: everything of the table in force, and what reloads removed.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    current: Vec<Entry>,
    /// Removed ones that still had connections when their lines were last written.
    ///
    /// Bound: one connection each at least, so never more than the process holds connections.
    removed: Vec<Entry>,
}

/// A listener or a backend, and what it counts.
#[derive(Clone, Debug)]
enum Entry {
    Listener { name: String, addresses: String, counters: Arc<PerWorker<ListenerCounters>> },
    Backend { pool: String, name: String, address: SocketAddr, counters: Arc<PerWorker<BackendCounters>> },
}

impl Totals {
    /// Replaces the entries by those of `table`. Returns a line for each entry that is not in it any more.
    pub(crate) fn update(&mut self, table: &Table) -> Vec<String> {
        let before = std::mem::replace(&mut self.current, entries(table));
        let kept: HashSet<usize> = self.current.iter().map(Entry::identity).collect();
        let removed: Vec<Entry> =
            before.into_iter().filter(|entry| !kept.contains(&entry.identity())).collect();
        // One that returned counts on, and is a current one again.
        self.removed.retain(|entry| !kept.contains(&entry.identity()));
        let lines = removed.iter().map(|entry| entry.line(" removed=true")).collect();
        self.removed.extend(removed.into_iter().filter(|entry| entry.active() > 0));
        lines
    }

    /// A line for each entry. Removed ones without connections have their last one.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let current = self.current.iter().map(|entry| entry.line(""));
        // What is active is read before the rest: the last line of an entry has its last numbers.
        let active: Vec<bool> = self.removed.iter().map(|entry| entry.active() > 0).collect();
        let removed = self.removed.iter().map(|entry| entry.line(" removed=true"));
        let lines = current.chain(removed).collect();
        let mut active = active.into_iter();
        self.removed.retain(|_| active.next() == Some(true));
        lines
    }
}

fn entries(table: &Table) -> Vec<Entry> {
    let listeners = table.listeners.iter().map(|listener| Entry::Listener {
        name: listener.name.clone(),
        addresses: config::show_addresses(listener.addresses()).replace(", ", ","),
        counters: Arc::clone(&listener.counters),
    });
    let backends = table.pools.iter().flat_map(|pool| {
        pool.backends.iter().map(|backend| Entry::Backend {
            pool: pool.name.clone(),
            name: backend.name.clone(),
            address: backend.address,
            counters: Arc::clone(&backend.counters),
        })
    });
    listeners.chain(backends).collect()
}

impl Entry {
    /// Where its counters are: those that count into the same are the same.
    fn identity(&self) -> usize {
        match self {
            Self::Listener { counters, .. } => Arc::as_ptr(counters).addr(),
            Self::Backend { counters, .. } => Arc::as_ptr(counters).addr(),
        }
    }

    fn active(&self) -> u64 {
        match self {
            Self::Listener { counters, .. } => counters.sum(|worker| worker.active.get()),
            Self::Backend { counters, .. } => counters.sum(|worker| worker.active.get()),
        }
    }

    /// `key=value` pairs on one line; reasons that never occurred are left out.
    fn line(&self, suffix: &str) -> String {
        let mut line = String::new();
        match self {
            Self::Listener { name, addresses, counters } => {
                line.push_str("totals");
                pair(&mut line, "listener", name);
                pair(&mut line, "address", addresses);
                pair(&mut line, "accepted", counters.sum(|worker| worker.accepted.get()));
                pair(&mut line, "active", counters.sum(|worker| worker.active.get()));
                pair(&mut line, "accept_errors", counters.sum(|worker| worker.accept_errors.get()));
                pair(&mut line, "bytes_to_backend", counters.sum(|worker| worker.bytes_to_backend.get()));
                pair(&mut line, "bytes_to_client", counters.sum(|worker| worker.bytes_to_client.get()));
                closed(&mut line, counters, ListenerCounters::closed);
            }
            Self::Backend { pool, name, address, counters } => {
                line.push_str("totals");
                pair(&mut line, "pool", pool);
                pair(&mut line, "backend", name);
                pair(&mut line, "address", address);
                pair(&mut line, "picked", counters.sum(|worker| worker.picked.get()));
                pair(&mut line, "connected", counters.sum(|worker| worker.connected.get()));
                pair(&mut line, "active", counters.sum(|worker| worker.active.get()));
                pair(&mut line, "connect_failed", counters.sum(|worker| worker.connect_failed.get()));
                pair(&mut line, "retried", counters.sum(|worker| worker.retried.get()));
                pair(&mut line, "bytes_to_backend", counters.sum(|worker| worker.bytes_to_backend.get()));
                pair(&mut line, "bytes_to_client", counters.sum(|worker| worker.bytes_to_client.get()));
                closed(&mut line, counters, BackendCounters::closed);
            }
        }
        line.push_str(suffix);
        line
    }
}

fn closed<T>(line: &mut String, counters: &PerWorker<T>, of: impl Fn(&T, CloseReason) -> &Counter) {
    for reason in CloseReason::ALL {
        let count = counters.sum(|worker| of(worker, reason).get());
        if count > 0 {
            pair(line, &format!("closed_{}", reason.name()), count);
        }
    }
}

fn pair(line: &mut String, key: &str, value: impl std::fmt::Display) {
    write!(line, " {key}={value}").expect("a String takes everything");
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use connection::CloseReason;
    use driver::{ListenGroup, Owner};
    use table::Table;

    use super::Totals;
    use crate::reload::tests::config;

    #[test]
    fn sums_over_workers_and_leaves_out_what_never_happened() {
        let table = table(&["web 127.0.0.1:80"], None);
        let listener = &table.listeners[0].counters;
        listener.of(0).accepted.add(2);
        listener.of(1).accepted.add(3);
        listener.of(0).active.add(2);
        listener.of(1).active.add(1);
        listener.of(1).closed(CloseReason::Done).add(1);
        listener.of(1).closed(CloseReason::Idle).add(1);
        listener.of(1).bytes_to_client.add(1_000);
        let backend = &table.pools[0].backends[0].counters;
        backend.of(0).picked.add(3);
        backend.of(0).connect_failed.add(1);
        backend.of(0).retried.add(1);
        backend.of(0).connected.add(2);
        let mut totals = Totals::default();
        assert!(totals.update(&table).is_empty());
        assert_eq!(
            totals.lines(),
            [
                "totals listener=web address=127.0.0.1:80 accepted=5 active=3 accept_errors=0 \
                 bytes_to_backend=0 bytes_to_client=1000 closed_done=1 closed_idle=1",
                "totals pool=app backend=a address=10.0.0.1:80 picked=3 connected=2 active=0 \
                 connect_failed=1 retried=1 bytes_to_backend=0 bytes_to_client=0",
            ]
        );
    }

    #[test]
    fn what_was_removed_is_reported_until_its_last_connection_has_ended() {
        let before = table(&["web 127.0.0.1:80", "old 127.0.0.1:81"], None);
        let mut totals = Totals::default();
        totals.update(&before);
        let old = Arc::clone(&before.listeners[1].counters);
        old.of(0).active.add(1);
        let sockets = vec![Arc::clone(&before.listeners[0].endpoints[0].sockets)];
        let after = Table::build(&config(&["web 127.0.0.1:80"]), sockets, 2, None, Some(&before));
        check(&totals.update(&after), &["listener=old"]);
        check(&totals.lines(), &["listener=web", "pool=app", "listener=old"]);
        old.of(0).active.sub(1);
        check(&totals.lines(), &["listener=web", "pool=app", "listener=old"]);
        check(&totals.lines(), &["listener=web", "pool=app"]);
    }

    #[track_caller]
    fn check(lines: &[String], expected: &[&str]) {
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(&format!("totals {expected} ")), "{line}");
            assert_eq!(line.ends_with(" removed=true"), *expected == "listener=old", "{line}");
        }
    }

    /// A table of two workers with these listeners and the pool `app`.
    pub(crate) fn table(listeners: &[&str], previous: Option<&Table>) -> Table {
        let sockets =
            listeners.iter().map(|_| Arc::new(ListenGroup::new(Vec::new(), Owner::Process))).collect();
        Table::build(&config(listeners), sockets, 2, None, previous)
    }
}
