//! What each operation of the writer publishes, keeps and stops.

use driver::{ListenGroup, Owner};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Config;
use table::{
    Availability, BackendKey, BackendState, Drain, DrainWindow, EffectiveConfig, Inputs, Origin, Override,
    Phase, PoolInputs, Table, TableWriter, Written,
};

use crate::story::{WORKERS, address, origin};

#[test]
fn listeners_keep_their_sockets_by_address() {
    let kept = Origin::Kept;
    check_origins(&["a 1.1.1.1:1"], &["a 1.1.1.1:1"], &[kept(0)]);
    check_origins(&["a 1.1.1.1:1"], &["renamed 1.1.1.1:1"], &[kept(0)]);
    check_origins(&["a 1.1.1.1:1"], &["a 1.1.1.1:2"], &[Origin::Bound]);
    check_origins(&["a 1.1.1.1:1", "b 1.1.1.1:2"], &["b 1.1.1.1:2", "a 1.1.1.1:1"], &[kept(1), kept(0)]);
    check_origins(
        &["a 1.1.1.1:1", "b 1.1.1.1:2"],
        &["c 1.1.1.1:3", "b 1.1.1.1:2"],
        &[Origin::Bound, kept(1)],
    );
    check_origins(&["a [::]:1"], &["a [::]:1 v6only"], &[Origin::Bound]);
    check_origins(
        &["a [::]:1,[::]:2", "b [::]:3"],
        &["b [::]:2,[::]:4", "a [::]:3"],
        &[kept(1), Origin::Bound, kept(2)],
    );
    check_origins(&["a 1.1.1.1:1 freebind"], &["a 1.1.1.1:1"], &[Origin::Bound]);
}

#[track_caller]
fn check_origins(previous: &[&str], next: &[&str], expected: &[Origin]) {
    let writing = Writing::new(previous, &["1"]);
    assert_eq!(writing.writer.origins(&config(next, &["1"])), expected);
}

#[test]
fn a_reload_stops_the_sockets_of_removed_listeners_alone() {
    check_stopped(&["a 1.1.1.1:1"], &["a 1.1.1.1:1"], &[]);
    check_stopped(&["a 1.1.1.1:1"], &["renamed 1.1.1.1:1"], &[]);
    check_stopped(&["a 1.1.1.1:1", "b 1.1.1.1:2"], &["b 1.1.1.1:2"], &[0]);
    check_stopped(&["a 1.1.1.1:1", "b 1.1.1.1:2"], &["a 1.1.1.1:1", "b 1.1.1.1:3"], &[1]);
    check_stopped(&["a 1.1.1.1:1", "b 1.1.1.1:2"], &[], &[0, 1]);
    // One address of a listener is removed, or goes to another one.
    check_stopped(&["a 1.1.1.1:1,1.1.1.1:2,1.1.1.1:3"], &["a 1.1.1.1:3,1.1.1.1:4"], &[0, 1]);
    check_stopped(&["a 1.1.1.1:1,1.1.1.1:2"], &["a 1.1.1.1:1", "b 1.1.1.1:2"], &[]);
}

#[test]
fn a_listener_stays_the_same_as_long_as_an_address_stays() {
    // Which listener of before each of the next ones is.
    check_same(&["a 1.1.1.1:1"], &["a 1.1.1.1:1,1.1.1.1:2"], "a");
    check_same(&["a 1.1.1.1:1,1.1.1.1:2"], &["a 1.1.1.1:2"], "a");
    check_same(&["a 1.1.1.1:1"], &["a 1.1.1.1:2"], "-");
    check_same(&["a 1.1.1.1:1"], &["renamed 1.1.1.1:2,1.1.1.1:1"], "a");
    // Two that exchange their addresses exchange their names.
    check_same(&["a 1.1.1.1:1", "b 1.1.1.1:2"], &["a 1.1.1.1:2", "b 1.1.1.1:1"], "b a");
    // The one that keeps the name of a listener that is split stays, wherever it is in the file.
    check_same(&["a 1.1.1.1:1,1.1.1.1:2"], &["b 1.1.1.1:1", "a 1.1.1.1:2"], "- a");
    check_same(&["a 1.1.1.1:1,1.1.1.1:2"], &["b 1.1.1.1:1", "c 1.1.1.1:2"], "a -");
    // Of two that are joined, the one of that name stays, or else the one whose address comes first.
    check_same(&["a 1.1.1.1:1", "b 1.1.1.1:2"], &["b 1.1.1.1:1,1.1.1.1:2"], "b");
    check_same(&["a 1.1.1.1:1", "b 1.1.1.1:2"], &["c 1.1.1.1:2,1.1.1.1:1"], "b");
    // None is two.
    check_same(&["a 1.1.1.1:1,1.1.1.1:2", "b 1.1.1.1:3"], &["c 1.1.1.1:1", "d 1.1.1.1:2,1.1.1.1:3"], "a b");
}

#[track_caller]
fn check_same(previous: &[&str], next: &[&str], expected: &str) {
    let mut writing = Writing::new(previous, &["1"]);
    let before = writing.table();
    drop(writing.reload(next, &["1"]));
    let same = |after: &Arc<table::Listener>| {
        let known = before.listeners.iter().find(|known| known.is_same(after));
        if let Some(known) = known {
            assert!(Arc::ptr_eq(&known.semaphore, &after.semaphore));
            assert!(writing.table().current(known).is_some_and(|now| Arc::ptr_eq(now, after)));
        }
        known.map_or("-", |known| known.name.as_str())
    };
    let after = writing.table();
    assert_eq!(after.listeners.iter().map(same).collect::<Vec<_>>().join(" "), expected);
    let gone = before.listeners.iter().filter(|known| after.current(known).is_none());
    let removed: Vec<&str> = after.removed.listeners().map(|removed| removed.name.as_str()).collect();
    assert_eq!(removed, gone.map(|gone| gone.name.as_str()).collect::<Vec<_>>());
}

/// `expected` are the indices of addresses in `previous`.
#[track_caller]
fn check_stopped(previous: &[&str], next: &[&str], expected: &[usize]) {
    let mut writing = Writing::new(previous, &["1"]);
    let before = writing.table();
    let written = writing.reload(next, &["1"]);
    let index = |sockets: &Arc<ListenGroup>| {
        before.sockets().position(|before| Arc::ptr_eq(before, sockets)).unwrap()
    };
    assert_eq!(written.stopped.iter().map(index).collect::<Vec<_>>(), expected);
    assert!(Arc::ptr_eq(&written.table, &before));
    // The table in force, which workers read before sockets are stopped, has none of them.
    let table = writing.table();
    assert!(written.stopped.iter().all(|sockets| table.listener_on(sockets).is_none()));
}

#[test]
fn a_phase_stops_all_sockets_once() {
    let mut writing = Writing::new(&["a 1.1.1.1:1", "b 1.1.1.1:2"], &["1"]);
    assert_eq!(writing.writer.enter_phase(Phase::Draining).stopped.len(), 2);
    assert_eq!(writing.table().phase, Phase::Draining);
    assert_eq!(writing.writer.enter_phase(Phase::Ending).stopped.len(), 0);
    assert_eq!(writing.table().phase, Phase::Ending);
}

#[test]
fn a_draining_process_keeps_draining_through_changes() {
    let mut writing = Writing::new(&["a 1.1.1.1:1"], &["1", "1"]);
    drop(writing.writer.enter_phase(Phase::Draining));
    assert!(writing.tell(&[(0, Availability::Down)]));
    assert_eq!(writing.table().phase, Phase::Draining);
    drop(writing.change(0, |it| it.disabled = true));
    assert_eq!(writing.table().phase, Phase::Draining);
}

#[test]
#[should_panic(expected = "while the process drains")]
fn a_draining_process_does_not_reload() {
    let mut writing = Writing::new(&["a 1.1.1.1:1"], &["1"]);
    drop(writing.writer.enter_phase(Phase::Draining));
    drop(writing.reload(&["a 1.1.1.1:1"], &["1"]));
}

#[test]
fn an_override_counts_at_once_and_outlives_reloads_of_its_backend() {
    let mut writing = Writing::new(&[], &["1", "2", "3"]);
    drop(writing.change(0, |it| it.weight = Some(7)));
    drop(writing.change(2, |it| it.disabled = true));
    assert_eq!(writing.weights(), [7, 2, 0]);
    assert_eq!(writing.writer.config().written().pools[0].backends[0].weight, 1);
    drop(writing.reload(&[], &["5", "5", "5", "5"]));
    assert_eq!(writing.weights(), [7, 5, 0, 5]);
    // The backend is removed, and its override with it; it returns without.
    drop(writing.reload(&[], &["5", "5"]));
    drop(writing.reload(&[], &["5", "5", "5"]));
    assert_eq!(writing.weights(), [7, 5, 5]);
    drop(writing.change(0, |it| *it = Override::default()));
    assert_eq!(writing.weights(), [5, 5, 5]);
}

#[test]
fn inputs_are_given_by_the_config_that_is_in_force_from_now_on() {
    let mut writing = Writing::new(&[], &["1", "2"]);
    let states = writing.inputs();
    let disabled = |config: &EffectiveConfig| {
        assert!(config.overrides().of("pool", address(0)).disabled);
        assert_eq!(config.effective().pools[0].backends[0].weight, 0);
        states
    };
    drop(writing.writer.change_override(&key(0), |it| it.disabled = true, disabled));
    let states = writing.inputs();
    let reloaded = |config: &EffectiveConfig| {
        let weights: Vec<u16> = config.effective().pools[0].backends.iter().map(|of| of.weight).collect();
        assert_eq!(weights, [0, 9]);
        states
    };
    drop(writing.writer.reload(config(&[], &["8", "9"]), Vec::new(), reloaded));
}

#[test]
fn a_table_is_made_of_other_inputs_or_of_time_and_of_nothing_else() {
    let mut writing = Writing::new(&[], &["1", "1"]);
    assert!(!writing.tell(&[]));
    assert!(writing.tell(&[(0, Availability::Down)]));
    assert!(!writing.tell(&[(0, Availability::Down)]));
    writing.now += Duration::from_secs(1000);
    assert!(!writing.tell(&[(0, Availability::Down)]));
    assert!(writing.tell(&[]));
    // A drain has steps, and each is due.
    let window = DrainWindow::drained(writing.now, Duration::from_secs(64));
    drop(writing.change(0, |it| it.drain = Some(Drain::Until(window))));
    assert!(!writing.tell(&[]));
    let mut steps = 0;
    while let Some(due) = writing.table().due {
        writing.now = due;
        assert!(writing.writer.is_due(due));
        assert!(writing.tell(&[]));
        assert!(!writing.tell(&[]));
        steps += 1;
        assert!(steps <= 32, "a drain has 32 steps");
    }
    assert_eq!(steps, 32);
    assert_eq!(writing.now, window.until);
}

#[test]
fn a_drain_keeps_its_window_whatever_is_written_meanwhile() {
    let mut writing = Writing::new(&[], &["1", "1", "1"]);
    let window = DrainWindow::drained(writing.now, Duration::from_secs(64));
    drop(writing.change(0, |it| it.drain = Some(Drain::Until(window))));
    let drained = |writing: &Writing| writing.table().pools[0].backends[0].drain_window;
    assert_eq!(drained(&writing), Some(window));
    writing.now += Duration::from_secs(10);
    assert!(writing.tell(&[(1, Availability::Down)]));
    assert_eq!(drained(&writing), Some(window));
    drop(writing.change(2, |it| it.weight = Some(3)));
    drop(writing.reload(&[], &["4", "4"]));
    assert_eq!(drained(&writing), Some(window));
    drop(writing.change(0, |it| it.drain = Some(Drain::Open)));
    assert_eq!(drained(&writing), None);
    drop(writing.change(0, |it| it.drain = None));
    assert_eq!(writing.weights(), [4, 4]);
}

#[test]
fn an_order_to_fail_back_counts_once() {
    let mut writing = Writing::new(&[], &["1", "1, tier: backup"]);
    let tier = |writing: &Writing| writing.table().pools[0].tier();
    assert!(writing.tell(&[(0, Availability::Down)]));
    assert_eq!(tier(&writing), config::Tier::Backup);
    // The active tier is not fit: the order has no effect, now or later.
    writing.fail_back(&[(0, Availability::Down)]);
    assert_eq!(tier(&writing), config::Tier::Backup);
    assert!(writing.tell(&[]));
    assert_eq!(tier(&writing), config::Tier::Backup);
    assert!(writing.tell(&[(0, Availability::Up)]));
    assert_eq!(tier(&writing), config::Tier::Backup);
    writing.fail_back(&[(0, Availability::Up)]);
    assert_eq!(tier(&writing), config::Tier::Active);
    assert!(writing.tell(&[(0, Availability::Down)]));
    assert!(writing.tell(&[(0, Availability::Up)]));
    assert_eq!(tier(&writing), config::Tier::Backup);
}

#[test]
fn a_replaced_table_is_freed_by_the_sweep_after_its_last_reader() {
    let mut writing = Writing::new(&["a 1.1.1.1:1"], &["1"]);
    let mut reader = writing.writer.published().reader();
    let before = Arc::downgrade(reader.read());
    drop(writing.reload(&[], &["1"]));
    writing.writer.sweep();
    reader.read();
    assert!(before.upgrade().is_some(), "the worker dropped it, and did not free it");
    assert!(writing.writer.has_retired());
    writing.writer.sweep();
    assert!(before.upgrade().is_none());
    assert!(!writing.writer.has_retired());
}

/// A writer, and the state of its driver.
struct Writing {
    writer: TableWriter,
    now: Instant,
}

impl Writing {
    fn new(listeners: &[&str], backends: &[&str]) -> Self {
        let (config, now) = (config(listeners, backends), origin());
        let sockets = config.listen_addresses().map(|_| sockets()).collect();
        let inputs = Inputs {
            now,
            pools: [("pool".to_owned(), PoolInputs::default())].into(),
            access: Arc::default(),
        };
        Self { writer: TableWriter::new(config, sockets, WORKERS, inputs, table::Sources::default()), now }
    }

    fn table(&self) -> Arc<Table> {
        self.writer.table()
    }

    fn weights(&self) -> Vec<u16> {
        self.table().pools[0].backends.iter().map(|backend| backend.weight).collect()
    }

    /// The states of before, now.
    fn inputs(&self) -> Inputs {
        Inputs { now: self.now, pools: self.writer.inputs().pools.clone(), access: Arc::default() }
    }

    /// Only these backends have a state; returns whether another table was made.
    fn tell(&mut self, known: &[(usize, Availability)]) -> bool {
        let inputs = self.states(known);
        self.writer.refresh(inputs).is_some()
    }

    fn fail_back(&mut self, known: &[(usize, Availability)]) {
        let inputs = self.states(known);
        drop(self.writer.fail_back("pool", inputs));
    }

    fn states(&self, known: &[(usize, Availability)]) -> Inputs {
        let state = |(index, availability): &(usize, Availability)| {
            (address(*index), BackendState { availability: *availability, ..BackendState::default() })
        };
        let pool = PoolInputs { backends: known.iter().map(state).collect(), ..PoolInputs::default() };
        Inputs { now: self.now, pools: [("pool".to_owned(), pool)].into(), access: Arc::default() }
    }

    fn change(&mut self, backend: usize, change: impl FnOnce(&mut Override)) -> Written {
        let inputs = self.inputs();
        self.writer.change_override(&key(backend), change, |_| inputs)
    }

    fn reload(&mut self, listeners: &[&str], backends: &[&str]) -> Written {
        let (config, inputs, table) = (config(listeners, backends), self.inputs(), self.table());
        let origins = self.writer.origins(&config).into_iter();
        let sockets = origins.map(|origin| match origin {
            Origin::Kept(index) => Arc::clone(table.sockets().nth(index).unwrap()),
            Origin::Bound => sockets(),
        });
        let sockets = sockets.collect();
        self.writer.reload(config, sockets, |_| inputs)
    }
}

fn key(backend: usize) -> BackendKey {
    BackendKey { pool: "pool".to_owned(), address: address(backend) }
}

fn sockets() -> Arc<ListenGroup> {
    Arc::new(ListenGroup::new(Vec::new(), Owner::Process))
}

/// Listeners `NAME ADDRESS[,ADDRESS]... [v6only] [freebind]`, and a pool of backends `WEIGHT[, KEYS]`.
fn config(listeners: &[&str], backends: &[&str]) -> Config {
    let backends: Vec<String> = backends.iter().map(|words| format!("weight: {words}")).collect();
    let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
    let mut config = crate::story::config("probe: { tcp: {} }; failback: manual", &backends);
    let like = Config::forward(address(9), &[address(0)]).listeners.remove(0);
    config.listeners = listeners
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let listen = |text: &str| text.parse::<SocketAddr>().unwrap().into();
            config::Listener {
                name: words[0].to_owned(),
                addresses: words[1].split(',').map(listen).collect(),
                v6only: words.contains(&"v6only"),
                freebind: words.contains(&"freebind"),
                ..like.clone()
            }
        })
        .collect();
    config
}
