//! What becomes of connections whose backend or listener leaves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use connection::CloseReason;
use table::{
    Backend, DrainBucket, DrainWindow, Inputs, Listener, PoolInputs, RemovedListener, Sockets, Table,
};

use crate::story::{Story, WORKERS, address};

#[test]
fn those_of_a_drained_backend_go_in_even_steps_over_the_last_half_of_its_time() {
    let mut leaving = Leaving::new("");
    let a = leaving.backend(0);
    leaving.drain(64);
    for (second, share) in [(0, 0), (31, 0), (32, 0), (33, 1), (48, 16), (63, 31), (64, 32), (99, 32)] {
        leaving.tell_after(second);
        let gone = leaving.gone(&a, CloseReason::BackendDrained);
        assert!((share * 940..=share * 1060).contains(&gone), "after {second} s {gone} of 32000 are gone");
        assert_eq!(leaving.table().severs(), share > 0);
    }
    assert_eq!(leaving.table().due, None);
    assert_eq!(leaving.gone(&leaving.backend(1), CloseReason::BackendDrained), 0);
    // It is taken back.
    leaving.drains.clear();
    leaving.tell_after(100);
    assert_eq!(leaving.gone(&a, CloseReason::BackendDrained), 0);
}

#[test]
fn each_step_is_due_and_none_is_too_many() {
    let mut leaving = Leaving::new("");
    leaving.drain(64);
    leaving.tell_after(0);
    let mut dues = Vec::new();
    while let Some(due) = leaving.table().due {
        dues.push((due - leaving.begun).as_secs());
        leaving.story.now = due;
        leaving.tell();
    }
    assert_eq!(dues, (33..=64).collect::<Vec<_>>());
}

#[test]
fn whoever_may_be_picked_keeps_what_it_has() {
    let mut leaving = Leaving::new("");
    leaving.drain(0);
    leaving.story.config.pools[0].backends[0].weight = 1;
    leaving.tell_after(1);
    assert_eq!(leaving.gone(&leaving.backend(0), CloseReason::BackendDrained), 0);
}

#[test]
fn a_removed_backend_is_left_as_its_pool_says() {
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
    let mut leaving = Leaving::new(keys);
    let a = leaving.backend(0);
    let _connection = Connection::to(&a);
    leaving.remove_backend();
    leaving.tell_after(seconds);
    let gone = leaving.gone(&a, CloseReason::Removed);
    assert!(
        gone.abs_diff(expected) < ALL / 200,
        "`{keys}`: after {seconds} s {gone} are gone, not {expected}"
    );
    assert_eq!(leaving.gone(&leaving.backend(0), CloseReason::Removed), 0, "the other one stays");
}

#[test]
fn a_removed_pool_is_left_as_it_said_itself() {
    let mut leaving = Leaving::new("on_remove_timeout: 10s");
    let a = leaving.backend(0);
    let _connection = Connection::to(&a);
    leaving.story.config.pools[0].name = "other".to_owned();
    leaving.tell_after(0);
    leaving.tell_after(10);
    assert_eq!(leaving.gone(&a, CloseReason::Removed), ALL);
}

#[test]
fn who_was_drained_has_no_more_time_when_it_is_removed() {
    for keys in ["", "on_remove: keep"] {
        let mut leaving = Leaving::new(keys);
        let a = leaving.backend(0);
        let _connection = Connection::to(&a);
        leaving.drain(60);
        leaving.tell_after(0);
        leaving.remove_backend();
        leaving.tell_after(59);
        assert!(leaving.gone(&a, CloseReason::BackendDrained) < ALL);
        leaving.tell_after(60);
        assert_eq!(leaving.gone(&a, CloseReason::BackendDrained), ALL);
    }
}

#[test]
fn a_backend_that_returns_is_the_same_as_before() {
    for forgotten in [false, true] {
        let mut leaving = Leaving::new("");
        let a = leaving.backend(0);
        let connection = Connection::to(&a);
        let pool = leaving.story.config.pools[0].clone();
        if forgotten {
            leaving.story.config.pools[0].name = "other".to_owned();
        } else {
            leaving.remove_backend();
        }
        leaving.tell_after(200);
        assert_eq!(removed(leaving.table()), [("pool".to_owned(), 1)]);
        leaving.story.config.pools[0] = pool;
        leaving.tell_after(250);
        assert_eq!(removed(leaving.table()), []);
        leaving.tell_after(1_000);
        assert_eq!(leaving.gone(&a, CloseReason::Removed), 0);
        let returned = leaving.backend(0);
        assert_eq!(returned.semaphore.active(), 1);
        // Who waits for a place there hears of the end of what it had before.
        leaving.table().pools[0].waiters.wait(1);
        drop(connection);
        assert_eq!(returned.semaphore.active(), 0);
        assert!(!leaving.table().pools[0].waiters.waits(1));
    }
}

#[test]
fn it_is_forgotten_with_its_last_connection() {
    let mut leaving = Leaving::new("on_remove: keep");
    let connection = Connection::to(&leaving.backend(0));
    leaving.remove_backend();
    leaving.tell_after(1_000);
    assert_eq!(removed(leaving.table()), [("pool".to_owned(), 1)]);
    drop(connection);
    leaving.tell_after(1_001);
    assert_eq!(removed(leaving.table()), []);
}

#[test]
fn connections_of_a_removed_listener_go_though_their_backend_stays() {
    let mut leaving = Leaving::new("on_remove_timeout: 10s");
    let sockets = Arc::new(Sockets::new(Vec::new()));
    let listener = listener();
    leaving.story.config.listeners.push(listener.clone());
    leaving.sockets.push(Arc::clone(&sockets));
    leaving.tell_after(0);
    let before = Arc::clone(&leaving.table().listeners[0]);
    before.counters.of(0).active.add(1);
    let gone = |leaving: &Leaving, listener: &Listener| {
        lots().filter(|lot| leaving.table().listener_leaves(listener, *lot).is_some()).count()
    };
    leaving.story.config.listeners.clear();
    leaving.sockets.clear();
    leaving.tell_after(1);
    assert_eq!(leaving.table().removed.listeners().map(RemovedListener::connections).sum::<u64>(), 1);
    leaving.tell_after(11);
    assert_eq!(gone(&leaving, &before), ALL);
    assert_eq!(leaving.gone(&leaving.backend(0), CloseReason::Removed), 0);
    // The file has it again, with sockets of its own.
    leaving.story.config.listeners.push(listener);
    leaving.sockets.push(Arc::new(Sockets::new(Vec::new())));
    leaving.tell_after(12);
    assert_eq!(gone(&leaving, &before), 0);
    assert_eq!(leaving.table().removed.listeners().count(), 0);
}

/// A pool of `a` and `b`, told with what operators drain.
struct Leaving {
    story: Story,
    sockets: Vec<Arc<Sockets>>,
    drains: HashMap<std::net::SocketAddr, DrainWindow>,
    begun: std::time::Instant,
}

/// A connection to a backend, as workers count them.
struct Connection(Arc<Backend>);

impl Leaving {
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

    /// An operator drains `a`, and gives it so long.
    fn drain(&mut self, seconds: u64) {
        self.story.config.pools[0].backends[0].weight = 0;
        let notice = DrainWindow::drained(self.story.now, Duration::from_secs(seconds));
        self.drains.insert(address(0), notice);
    }

    /// A reload removes `a`.
    fn remove_backend(&mut self) {
        self.story.config.pools[0].backends.remove(0);
        self.drains.clear();
        self.tell_after(0);
    }

    /// The next table, so long after the first.
    fn tell_after(&mut self, seconds: u64) {
        self.story.now = self.begun + Duration::from_secs(seconds);
        self.tell();
    }

    fn tell(&mut self) {
        let pool = PoolInputs { drains: self.drains.clone(), ..PoolInputs::default() };
        let health = Inputs { now: self.story.now, pools: [("pool".to_owned(), pool)].into() };
        let table = &self.story.table;
        self.story.table =
            Table::build(&self.story.config, self.sockets.clone(), WORKERS, Some(&health), Some(table));
    }

    /// Of connections to `backend`, how many go for this reason.
    fn gone(&self, backend: &Backend, reason: CloseReason) -> usize {
        lots().filter(|lot| self.table().backend_leaves(backend, *lot) == Some(reason)).count()
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
    let each = table.removed.backends().map(|(pool, gone)| (pool.to_owned(), gone.connections()));
    each.filter(|(_, connections)| *connections > 0).collect()
}

/// The lots of many connections, in slots of two workers and over their tenants.
fn lots() -> impl Iterator<Item = DrainBucket> {
    (0..2).flat_map(|worker| {
        (0..1_600).flat_map(move |slot| (0..10).map(move |tenant| DrainBucket::of(worker, slot, tenant)))
    })
}

fn listener() -> config::Listener {
    let like = Config::forward(address(9), &[address(0)]).listeners.remove(0);
    config::Listener { name: "web".to_owned(), ..like }
}
