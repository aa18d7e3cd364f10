//! One run: workers are turned, events happen, control publishes tables, in a random order; at the end, all of it must
//! have come out right.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use driver::{ListenGroup, Waker};
use table::{Inputs, PerWorker, Phase, Semaphore, Table, TableWriter};
use worker::{Balancer, QuerySender, Record, Recorder, Records, Settings, Worker};

use crate::agenda::{MICROSECOND, SECOND};
use crate::control;
use crate::coverage::{Coverage, Seen};
use crate::drain_windows::DrainWindows;
use crate::expected::Expected;
use crate::faults::Fault;
use crate::guards::Said;
use crate::health;
use crate::kernel::Kernel;
use crate::queries::Queries;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::world::World;

pub(crate) struct Run {
    pub(crate) world: Rc<RefCell<World>>,
    pub(crate) workers: Vec<Option<Worker<Kernel>>>,
    /// Where workers put records.
    records: Vec<Records>,
    /// What was taken of them.
    pub(crate) ended: Vec<Record>,
    pub(crate) wakers: Arc<[Waker]>,
    /// What workers wake when connects fail; here backends are ejected at random alone.
    failing: Arc<Waker>,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) writer: TableWriter,
    /// What the table in force must be like.
    pub(crate) expected: Expected,
    /// What probes say of backends; nothing where there are none.
    pub(crate) states: Inputs,
    pub(crate) drain_windows: DrainWindows,
    pub(crate) queries: Queries,
    /// What operators said about addresses of clients.
    pub(crate) said: Said,
    /// Every table that was published.
    pub(crate) tables: Vec<Arc<Table>>,
    /// When the last of them was, in nanoseconds.
    pub(crate) published_at: u64,
    /// Sockets of listeners that the table in force does not have, to be stopped next.
    pub(crate) to_stop: Vec<Arc<ListenGroup>>,
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
        let world = Rc::new(RefCell::new(World::new(random, &scenario, trace)));
        let now = world.borrow().agenda.instant();
        let mut states = Inputs { now, pools: HashMap::new(), access: Arc::default() };
        if scenario.variety.health {
            let mut world = world.borrow_mut();
            world.picks.severs = true;
            states = health::first(&mut world.random, &scenario.config, now);
        }
        let writer = control::start(&scenario.config, scenario.workers, &states, &mut world.borrow_mut());
        let (query_sender, queries) = QuerySender::new(scenario.workers);
        let wakers = (0..scenario.workers).map(|_| Waker::new().expect("few are open")).collect();
        let mut run = Self {
            world,
            workers: Vec::new(),
            records: Vec::new(),
            ended: Vec::new(),
            wakers,
            failing: Arc::new(Waker::new().expect("few are open")),
            gate: Arc::new(Semaphore::new(scenario.workers)),
            tables: vec![writer.table()],
            published_at: 0,
            writer,
            expected: Expected::new(&scenario.config),
            states,
            drain_windows: DrainWindows::default(),
            queries: Queries::new(query_sender),
            said: Said::default(),
            to_stop: Vec::new(),
            seen: (0..scenario.workers).map(|_| Seen::default()).collect(),
            scenario,
            ending_at: None,
            coverage: Coverage::default(),
            turns: 0,
            moved: 0,
            still_since: 0,
        };
        run.said.on_table();
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
                published: Arc::clone(self.writer.published()),
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
            self.turns = 0;
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
        self.coverage.observe(&mut self.seen[number], &view);
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
        match self.writer.table().phase {
            Phase::Serving => {
                self.check_quiet();
                self.drain();
            }
            phase @ (Phase::Draining | Phase::Ending) => panic!("a worker waits without end, {phase:?}"),
        }
    }
}

/// How much later than it could a slow worker goes on, in nanoseconds; several times over, if it has bad luck.
const SLOW_MAX: u64 = 500 * MICROSECOND;

/// How long a turn takes at most, in nanoseconds.
const TURN_MAX: u64 = 50 * MICROSECOND;
