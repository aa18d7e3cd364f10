//! When connections of a drained or removed backend or listener are evicted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use connection::CloseReason;
use driver::{ListenGroup, Owner};
use table::{Backend, DrainBucket, DrainWindow, Inputs, Listener, PoolInputs, RemovedListener, Table};

use crate::story::{Story, WORKERS, address};

#[test]
fn connections_of_a_drained_backend_are_evicted_in_even_steps_over_the_second_half() {
    let mut removal = Removal::new("");
    let a = removal.backend(0);
    removal.drain(64);
    for (second, share) in [(0, 0), (31, 0), (32, 0), (33, 1), (48, 16), (63, 31), (64, 32), (99, 32)] {
        removal.tell_after(second);
        let evicted = removal.evicted(&a, CloseReason::BackendDrained);
        assert!(
            (share * 940..=share * 1060).contains(&evicted),
            "after {second} s {evicted} of 32000 are evicted"
        );
        assert_eq!(removal.table().evicts(), share > 0);
    }
    assert_eq!(removal.table().due, None);
    assert_eq!(removal.evicted(&removal.backend(1), CloseReason::BackendDrained), 0);
    // The operator undrains it.
    removal.drains.clear();
    removal.tell_after(100);
    assert_eq!(removal.evicted(&a, CloseReason::BackendDrained), 0);
}

#[test]
fn each_step_is_due_and_none_is_too_many() {
    let mut removal = Removal::new("");
    removal.drain(64);
    removal.tell_after(0);
    let mut dues = Vec::new();
    while let Some(due) = removal.table().due {
        dues.push((due - removal.begun).as_secs());
        removal.story.now = due;
        removal.tell();
    }
    assert_eq!(dues, (33..=64).collect::<Vec<_>>());
}

#[test]
fn a_backend_that_may_be_picked_keeps_its_connections() {
    let mut removal = Removal::new("");
    removal.drain(0);
    removal.story.config.pools[0].backends[0].weight = 1;
    removal.tell_after(1);
    assert_eq!(removal.evicted(&removal.backend(0), CloseReason::BackendDrained), 0);
}

#[test]
fn connections_of_a_removed_backend_are_evicted_by_on_remove() {
    check("", 300, ALL);
    check("", 299, ALL / 32 * 31);
    check("", 150, 0);
    check("on_remove_timeout: 10s", 10, ALL);
    check("on_remove: keep", 100_000, 0);
    check("on_remove: close", 0, ALL);
}

const ALL: usize = 32_000;

#[track_caller]
fn check(keys: &str, seconds: u64, expected: usize) {
    let mut removal = Removal::new(keys);
    let a = removal.backend(0);
    let _connection = Connection::to(&a);
    removal.remove_backend();
    removal.tell_after(seconds);
    let evicted = removal.evicted(&a, CloseReason::Removed);
    assert!(
        evicted.abs_diff(expected) < ALL / 200,
        "`{keys}`: after {seconds} s {evicted} are evicted, not {expected}"
    );
    assert_eq!(removal.evicted(&removal.backend(0), CloseReason::Removed), 0, "the other one stays");
}

#[test]
fn connections_of_a_removed_pool_are_evicted_by_its_own_on_remove() {
    let mut removal = Removal::new("on_remove_timeout: 10s");
    let a = removal.backend(0);
    let _connection = Connection::to(&a);
    removal.story.config.pools[0].name = "other".to_owned();
    removal.tell_after(0);
    removal.tell_after(10);
    assert_eq!(removal.evicted(&a, CloseReason::Removed), ALL);
}

#[test]
fn a_drained_backend_gets_no_more_time_when_it_is_removed() {
    for keys in ["", "on_remove: keep"] {
        let mut removal = Removal::new(keys);
        let a = removal.backend(0);
        let _connection = Connection::to(&a);
        removal.drain(60);
        removal.tell_after(0);
        removal.remove_backend();
        removal.tell_after(59);
        assert!(removal.evicted(&a, CloseReason::BackendDrained) < ALL);
        removal.tell_after(60);
        assert_eq!(removal.evicted(&a, CloseReason::BackendDrained), ALL);
    }
}

#[test]
fn a_backend_that_returns_is_the_same_as_before() {
    for forgotten in [false, true] {
        let mut removal = Removal::new("");
        let a = removal.backend(0);
        let connection = Connection::to(&a);
        let pool = removal.story.config.pools[0].clone();
        if forgotten {
            removal.story.config.pools[0].name = "other".to_owned();
        } else {
            removal.remove_backend();
        }
        removal.tell_after(200);
        assert_eq!(removed(removal.table()), [("pool".to_owned(), 1)]);
        removal.story.config.pools[0] = pool;
        removal.tell_after(250);
        assert_eq!(removed(removal.table()), []);
        removal.tell_after(1_000);
        assert_eq!(removal.evicted(&a, CloseReason::Removed), 0);
        let returned = removal.backend(0);
        assert_eq!(returned.semaphore.active(), 1);
        // A client that waits for a permit there is served when a connection from before ends.
        removal.table().pools[0].waiters.wait(1);
        drop(connection);
        assert_eq!(returned.semaphore.active(), 0);
        assert!(!removal.table().pools[0].waiters.waits(1));
    }
}

#[test]
fn it_is_forgotten_with_its_last_connection() {
    let mut removal = Removal::new("on_remove: keep");
    let connection = Connection::to(&removal.backend(0));
    removal.remove_backend();
    removal.tell_after(1_000);
    assert_eq!(removed(removal.table()), [("pool".to_owned(), 1)]);
    drop(connection);
    removal.tell_after(1_001);
    assert_eq!(removed(removal.table()), []);
}

#[test]
fn connections_of_a_removed_listener_are_evicted_though_their_backend_stays() {
    let mut removal = Removal::new("on_remove_timeout: 10s");
    let sockets = Arc::new(ListenGroup::new(Vec::new(), Owner::Process));
    let listener = listener();
    removal.story.config.listeners.push(listener.clone());
    removal.sockets.push(Arc::clone(&sockets));
    removal.tell_after(0);
    let before = Arc::clone(&removal.table().listeners[0]);
    before.counters.of(0).active.add(1);
    let evicted = |removal: &Removal, listener: &Listener| {
        buckets().filter(|bucket| removal.table().listener_drained(listener, *bucket).is_some()).count()
    };
    removal.story.config.listeners.clear();
    removal.sockets.clear();
    removal.tell_after(1);
    assert_eq!(removal.table().removed.listeners().map(RemovedListener::connections).sum::<u64>(), 1);
    removal.tell_after(11);
    assert_eq!(evicted(&removal, &before), ALL);
    assert_eq!(removal.evicted(&removal.backend(0), CloseReason::Removed), 0);
    // A reload adds it again, with other sockets.
    removal.story.config.listeners.push(listener);
    removal.sockets.push(Arc::new(ListenGroup::new(Vec::new(), Owner::Process)));
    removal.tell_after(12);
    assert_eq!(evicted(&removal, &before), 0);
    assert_eq!(removal.table().removed.listeners().count(), 0);
}

/// A pool of `a` and `b`, and the drains of operators.
struct Removal {
    story: Story,
    sockets: Vec<Arc<ListenGroup>>,
    drains: HashMap<std::net::SocketAddr, DrainWindow>,
    begun: std::time::Instant,
}

/// A connection to a backend, as workers count it.
struct Connection(Arc<Backend>);

impl Removal {
    fn new(keys: &str) -> Self {
        let story = Story::new(keys, &["", ""]);
        let begun = story.now;
        Self { story, sockets: Vec::new(), drains: HashMap::new(), begun }
    }

    fn table(&self) -> &Table {
        &self.story.table
    }

    fn backend(&self, index: usize) -> Arc<Backend> {
        Arc::clone(&self.table().pools[0].backends[index])
    }

    /// An operator drains `a` within this time.
    fn drain(&mut self, seconds: u64) {
        self.story.config.pools[0].backends[0].weight = 0;
        let window = DrainWindow::drained(self.story.now, Duration::from_secs(seconds));
        self.drains.insert(address(0), window);
    }

    /// A reload removes `a`.
    fn remove_backend(&mut self) {
        self.story.config.pools[0].backends.remove(0);
        self.drains.clear();
        self.tell_after(0);
    }

    /// The next table, at this time after the first.
    fn tell_after(&mut self, seconds: u64) {
        self.story.now = self.begun + Duration::from_secs(seconds);
        self.tell();
    }

    fn tell(&mut self) {
        let pool = PoolInputs { drains: self.drains.clone(), ..PoolInputs::default() };
        let inputs =
            Inputs { now: self.story.now, pools: [("pool".to_owned(), pool)].into(), access: Arc::default() };
        let table = &self.story.table;
        self.story.table =
            Table::build(&self.story.config, self.sockets.clone(), WORKERS, Some(&inputs), Some(table));
    }

    /// How many connections to `backend` are evicted for this reason.
    fn evicted(&self, backend: &Backend, reason: CloseReason) -> usize {
        buckets().filter(|bucket| self.table().backend_drained(backend, *bucket) == Some(reason)).count()
    }
}

impl Connection {
    fn to(backend: &Arc<Backend>) -> Self {
        assert!(backend.semaphore.try_acquire(u32::MAX));
        Self(Arc::clone(backend))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.release().for_each(drop);
    }
}

/// The names of the pools that backends were removed from, and how many connections those have.
fn removed(table: &Table) -> Vec<(String, u32)> {
    let each = table.removed.backends().map(|(pool, removed)| (pool.to_owned(), removed.connections()));
    each.filter(|(_, connections)| *connections > 0).collect()
}

/// The buckets of many connections, in slots of two workers and over the connections of each slot.
fn buckets() -> impl Iterator<Item = DrainBucket> {
    (0..2).flat_map(|worker| {
        (0..1_600).flat_map(move |slot| (0..10).map(move |tenant| DrainBucket::of(worker, slot, tenant)))
    })
}

fn listener() -> config::Listener {
    let like = Config::forward(address(9), &[address(0)]).listeners.remove(0);
    config::Listener { name: "web".to_owned(), ..like }
}
