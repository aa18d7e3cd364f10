//! One run: workers are turned, events happen, control publishes tables, in an order left to chance; then all of it
//! must have come to a good end.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use config::Config;
use driver::Waker;
use driver::{ListenGroup, Owner};
use table::{Inputs, PerWorker, Phase, Published, Semaphore, Table};
use worker::{Balancer, QuerySender, Record, Recorder, Records, Settings, Worker};

use crate::agenda::{MICROSECOND, SECOND, nanos};
use crate::coverage::{Coverage, Seen};
use crate::drain_windows::Notices;
use crate::faults::Fault;
use crate::health::{self, Told};
use crate::kernel::Kernel;
use crate::queries::QueryReceiver;
use crate::random::Random;
use crate::scenario::{self, Change, Drain, Scenario};
use crate::trace::Trace;
use crate::world::World;

pub(crate) struct Run {
    pub(crate) world: Rc<RefCell<World>>,
    pub(crate) workers: Vec<Option<Worker<Kernel>>>,
    /// Where workers put records.
    records: Vec<Records>,
    /// What was taken of them.
    pub(crate) ended: Vec<Record>,
    wakers: Arc<[Waker]>,
    /// What workers wake when connects fail; nobody puts a backend aside here but by chance.
    failing: Arc<Waker>,
    pub(crate) gate: Arc<Semaphore>,
    published: Arc<Published>,
    config: Config,
    /// What is known of backends: nothing, if nobody asks.
    health: Inputs,
    pub(crate) notices: Notices,
    pub(crate) queries: QueryReceiver,
    /// Every table that was published.
    pub(crate) tables: Vec<Arc<Table>>,
    /// When the last of them was, in nanoseconds.
    pub(crate) published_at: u64,
    /// The sockets of the listeners that are listened at.
    sockets: BTreeMap<SocketAddr, Arc<ListenGroup>>,
    /// Those of listeners that are in the table no more, to be stopped next.
    to_stop: Vec<Arc<ListenGroup>>,
    pub(crate) scenario: Scenario,
    pub(crate) ending_at: Option<u64>,
    pub(crate) coverage: Coverage,
    seen: Vec<Seen>,
    /// Turns since something moved or happened.
    turns: u32,
    /// How often something had moved after the last turn.
    moved: u64,
    /// Since when nothing has moved, in nanoseconds.
    pub(crate) still_since: u64,
}

/// Turns without anything moving and anything happening, after which a worker spins.
const TURNS_MAX: u32 = 1_000;

/// Steps that no run needs.
const STEPS_MAX: u32 = 3_000_000;

/// How soon after all connections were told to end they have, in nanoseconds.
const ENDING_MAX: u64 = SECOND;

impl Run {
    pub(crate) fn new(seed: u64, trace: Rc<RefCell<Trace>>) -> Self {
        let mut random = Random::new(seed);
        let scenario = Scenario::new(&mut random);
        let mut sockets = BTreeMap::new();
        let config = scenario.config.clone();
        let world = Rc::new(RefCell::new(World::new(random, &scenario, trace)));
        let now = world.borrow().agenda.instant();
        let mut health = Inputs { now, pools: HashMap::new() };
        if scenario.variety.health {
            let mut world = world.borrow_mut();
            world.picks.severs = true;
            health = health::first(&mut world.random, &config, now);
        }
        let table = build(&config, &mut sockets, scenario.workers, &health, None, &world);
        let (query_sender, queries) = QuerySender::new(scenario.workers);
        let published = Arc::new(Published::new(table));
        let wakers = (0..scenario.workers).map(|_| Waker::new().expect("few are open")).collect();
        let mut run = Self {
            world,
            workers: Vec::new(),
            records: Vec::new(),
            ended: Vec::new(),
            wakers,
            failing: Arc::new(Waker::new().expect("few are open")),
            gate: Arc::new(Semaphore::new(scenario.workers)),
            tables: vec![published.load_full()],
            published_at: 0,
            published,
            config,
            health,
            notices: Notices::default(),
            queries: QueryReceiver::new(query_sender),
            sockets,
            to_stop: Vec::new(),
            seen: (0..scenario.workers).map(|_| Seen::default()).collect(),
            scenario,
            ending_at: None,
            coverage: Coverage::default(),
            turns: 0,
            moved: 0,
            still_since: 0,
        };
        run.tell();
        run.start_workers(queries);
        run
    }

    fn start_workers(&mut self, queries: Vec<worker::QueryReceiver>) {
        let counters = Arc::new(PerWorker::new(self.scenario.workers));
        let ends = Balancer::new(self.scenario.workers).into_iter().zip(queries);
        for (index, (balancer, queries)) in ends.enumerate() {
            let (recorder, records) = Recorder::new(std::thread::current());
            self.records.push(records);
            let settings = Settings {
                index,
                cpu: None,
                connections_max: self.scenario.connections_max,
                buffers_max: driver::BUFFERS_MAX,
                semaphore: Arc::clone(&self.gate),
                balancer,
                queries,
                pipes_max: self.scenario.pipes_max,
                counters: Arc::clone(&counters),
                recorder,
                wakers: Arc::clone(&self.wakers),
                control: Arc::clone(&self.failing),
                published: Arc::clone(&self.published),
            };
            let kernel = Kernel::new(Rc::clone(&self.world), index);
            self.workers.push(Some(Worker::new(kernel, settings, self.scenario.buffers.into())));
        }
    }

    /// Steps until every worker has ended, and then until all that is on its way has arrived.
    pub(crate) fn go_to_the_end(&mut self) {
        for _ in 0..STEPS_MAX {
            if self.workers.iter().any(Option::is_some) {
                self.step();
            } else if self.world.borrow().agenda.next().is_some() {
                self.happen();
            } else {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    pub(crate) fn now(&self) -> u64 {
        self.world.borrow().agenda.now()
    }

    fn step(&mut self) {
        let now = self.now();
        if let Some(ending_at) = self.ending_at {
            assert!(now <= ending_at + ENDING_MAX, "a worker lives on after all connections were to end");
        }
        self.notice_wakes();
        if self.control_at().is_some_and(|at| at <= now) {
            return self.control();
        }
        // Workers may turn between the two steps of control.
        if !self.to_stop.is_empty() && self.world.borrow_mut().random.chance(300) {
            return self.stop();
        }
        let runnable: Vec<usize> =
            (0..self.workers.len()).filter(|&worker| self.is_runnable(worker)).collect();
        let mut world = self.world.borrow_mut();
        let event = world.agenda.next();
        let is_due = event.is_some_and(|at| at <= now);
        if runnable.is_empty() {
            drop(world);
            return if is_due { self.happen() } else { self.pass_time() };
        }
        let is_soon = event.is_some_and(|at| at <= now + SLOW_MAX);
        let slow = is_soon && world.happens(Fault::SlowWorker);
        let happens_first = slow || is_due && world.random.chance(500);
        let worker = world.random.pick(&runnable);
        drop(world);
        if happens_first { self.happen() } else { self.go_on(worker) }
    }

    fn is_runnable(&self, worker: usize) -> bool {
        let Some(it) = &self.workers[worker] else { return false };
        let world = self.world.borrow();
        let due =
            || it.next_deadline().is_some_and(|deadline| world.agenda.nanos(deadline) <= world.agenda.now());
        world.rings[worker].has_queued() || world.is_ready(worker) || due()
    }

    fn happen(&mut self) {
        self.turns = 0;
        self.world.borrow_mut().happen();
    }

    /// The worker enters the kernel, or comes back from it and does a turn.
    fn go_on(&mut self, worker: usize) {
        let mut world = self.world.borrow_mut();
        if world.rings[worker].has_queued() {
            return world.enter(worker);
        }
        drop(world);
        self.turn(worker);
    }

    fn turn(&mut self, number: usize) {
        let worker = self.workers[number].as_mut().expect("it was found runnable");
        self.world.borrow().note(format_args!("worker {number} turns"));
        let lives = worker.turn().expect("the simulated kernel breaks no ring");
        let view = worker.inspect();
        self.ended.extend(std::iter::from_fn(|| self.records[number].take()));
        self.coverage.look(&mut self.seen[number], &view);
        self.queries.check(&self.world.borrow(), number, &view);
        self.check_turn(number, &view);
        if !lives {
            self.world.borrow().note(format_args!("worker {number} ends"));
            self.workers[number] = None;
        }
        let mut world = self.world.borrow_mut();
        let took = world.random.between(1, TURN_MAX);
        let now = world.agenda.now();
        world.agenda.pass_until(now + took);
        self.turns += 1;
        if world.moved != self.moved {
            (self.turns, self.moved, self.still_since) = (0, world.moved, now);
        }
        assert!(self.turns < TURNS_MAX, "worker {number} spins");
        world.close_unowned();
    }

    fn notice_wakes(&mut self) {
        let mut world = self.world.borrow_mut();
        for (waker, ring) in self.wakers.iter().zip(&mut world.rings) {
            ring.woken |= waker.clear();
        }
    }

    /// Nothing can happen before the next event or deadline: that is now.
    fn pass_time(&mut self) {
        self.turns = 0;
        if !self.to_stop.is_empty() {
            return self.stop();
        }
        let world = self.world.borrow();
        let deadlines = self.workers.iter().flatten().filter_map(Worker::next_deadline);
        let deadlines = deadlines.map(|deadline| world.agenda.nanos(deadline));
        let next = deadlines.chain(world.agenda.next()).chain(self.control_at()).min();
        drop(world);
        let Some(next) = next else { return self.on_quiet() };
        self.check_stillness(next);
        self.world.borrow_mut().agenda.pass_until(next);
    }

    /// Nothing will happen any more, unless control does it.
    fn on_quiet(&mut self) {
        match self.published.load_full().phase {
            Phase::Serving => {
                self.check_quiet();
                self.drain();
            }
            phase @ (Phase::Draining | Phase::Ending) => panic!("a worker waits for ever, {phase:?}"),
        }
    }

    fn control_at(&self) -> Option<u64> {
        let phase = self.published.load_full().phase;
        let change = self.scenario.changes.first().map(|(at, _)| *at).filter(|_| phase == Phase::Serving);
        let drain = match self.scenario.drain {
            Drain::At(at) if phase == Phase::Serving => Some(at),
            Drain::At(at) if phase == Phase::Draining => Some(at + self.scenario.drain_timeout),
            Drain::At(_) | Drain::WhenQuiet => None,
        };
        change.into_iter().chain(self.due_at()).chain(drain).min()
    }

    /// When time alone asks for another table.
    fn due_at(&self) -> Option<u64> {
        let table = self.published.load_full();
        let due = table.due.filter(|_| table.phase == Phase::Serving)?;
        Some(self.world.borrow().agenda.nanos(due))
    }

    fn control(&mut self) {
        self.turns = 0;
        let now = self.now();
        match self.published.load_full().phase {
            Phase::Serving if self.scenario.changes.first().is_some_and(|(at, _)| *at <= now) => {
                let (_, change) = self.scenario.changes.remove(0);
                if change == Change::ConnectionQuery { self.query() } else { self.change(change) }
            }
            Phase::Serving if self.due_at().is_some_and(|at| at <= now) => self.rebuild(),
            Phase::Serving => self.drain(),
            Phase::Draining => {
                self.ending_at = Some(now);
                self.enter_phase(Phase::Ending);
            }
            Phase::Ending => unreachable!("it has no more to do"),
        }
    }

    fn change(&mut self, change: Change) {
        let mut world = self.world.borrow_mut();
        match change {
            Change::Reload => {
                let before = self.config.clone();
                scenario::change(&mut world.random, self.scenario.variety, &mut self.config);
                self.notices.on_reload(&before, &self.config, world.agenda.now());
                world.picks.severs |= !self.notices.is_empty();
            }
            Change::ConnectionQuery => unreachable!("it changes nothing"),
            Change::Health => health::change(&mut world.random, &self.config, &mut self.health),
            Change::Drain => {
                self.health.now = world.agenda.instant();
                let timeout = health::drain(&mut world.random, &mut self.config, &mut self.health);
                if let Some(timeout) = timeout {
                    self.notices.on_drain(world.agenda.now(), nanos(timeout));
                    world.picks.severs = true;
                }
            }
        }
        drop(world);
        self.rebuild();
    }

    /// Control asks a worker.
    fn query(&mut self) {
        let mut world = self.world.borrow_mut();
        let worker = world.random.index(self.workers.len());
        let Some(view) = self.workers[worker].as_ref().map(Worker::inspect) else { return };
        world.note(format_args!("control asks worker {worker}"));
        // An operator's end of an attempt is followed by none.
        world.picks.severs |= self.queries.ask(&mut world.random, worker, &view);
        self.wakers[worker].wake();
    }

    fn rebuild(&mut self) {
        let previous = self.published.load_full();
        let before = self.sockets.clone();
        let workers = self.scenario.workers;
        self.health.now = self.world.borrow().agenda.instant();
        let table =
            build(&self.config, &mut self.sockets, workers, &self.health, Some(&previous), &self.world);
        self.world.borrow().note(format_args!("control publishes another table"));
        self.publish(table);
        // An order counts once.
        self.health.pools.values_mut().for_each(|pool| pool.failback = false);
        for (address, sockets) in before {
            if !self.sockets.contains_key(&address) {
                self.to_stop.push(sockets);
            }
        }
    }

    /// Ends listening for good, as control does once a table without the listeners is in force.
    fn stop(&mut self) {
        for sockets in self.to_stop.drain(..) {
            self.world.borrow_mut().stop_listening(&sockets);
        }
    }

    fn drain(&mut self) {
        self.scenario.drain = Drain::At(self.now());
        self.enter_phase(Phase::Draining);
    }

    fn enter_phase(&mut self, phase: Phase) {
        self.world.borrow().note(format_args!("control begins {phase:?}"));
        self.publish(self.published.load_full().in_phase(phase));
        self.to_stop.extend(self.sockets.values().map(Arc::clone));
    }

    /// The world knows what workers may do.
    fn tell(&mut self) {
        let told = Told { table: self.published.load_full(), health: self.health.clone() };
        self.world.borrow_mut().told.push(told);
    }

    fn publish(&mut self, table: Table) {
        self.published.publish(table);
        self.tables.push(self.published.load_full());
        self.published_at = self.now();
        self.tell();
        self.wakers.iter().for_each(Waker::wake);
    }
}

/// The table that a configuration asks for. Listeners that stay keep their sockets, as control has it.
fn build(
    config: &Config,
    sockets: &mut BTreeMap<SocketAddr, Arc<ListenGroup>>,
    workers: usize,
    health: &Inputs,
    previous: Option<&Table>,
    world: &RefCell<World>,
) -> Table {
    let mut world = world.borrow_mut();
    let mut kept = BTreeMap::new();
    let mut by_index = Vec::new();
    for listener in &config.listeners {
        let of_listener = if let Some(of_listener) = sockets.get(&listener.address) {
            world.queues.relisten(of_listener, listener.backlog);
            Arc::clone(of_listener)
        } else {
            let stand_in = |_| File::open("/dev/null").expect("few are open").into();
            let of_listener =
                Arc::new(ListenGroup::new((0..workers).map(stand_in).collect(), Owner::Process));
            world.queues.listen(listener.address, &of_listener, listener.backlog);
            of_listener
        };
        kept.insert(listener.address, Arc::clone(&of_listener));
        by_index.push(of_listener);
    }
    *sockets = kept;
    world.picks.on_table(config);
    Table::build(config, by_index, workers, Some(health), previous)
}

/// How much later than it could a slow worker goes on, in nanoseconds; several times over, if it has bad luck.
const SLOW_MAX: u64 = 500 * MICROSECOND;

/// How long a turn takes at most, in nanoseconds.
const TURN_MAX: u64 = 50 * MICROSECOND;
