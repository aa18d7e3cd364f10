//! The loop of a worker: one blocking call, one clock read, one table a turn.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use connection::{Chunks, CloseReason, Direction, IdleTimeouts, Stage};
use driver::{BufferId, Completion, Driver, Errno, Waker};
use table::{Dice, Listener, PerWorker, Phase, Reader, Semaphore, Table, WorkerCounters};

use crate::Settings;
use crate::acceptor::Acceptors;
use crate::balancer::{Balancer, Client, GIVEN_MAX};
use crate::held_acks::HeldAcks;
use crate::pipes::Pipes;
use crate::query::QueryReceiver;
use crate::record::{Record, Recorder};
use crate::slots::{Slots, State};
use crate::stats::ConnectionStats;
use crate::timers::Timers;
use crate::token::Kind;
use crate::waiting::Lines;

/// One thread of the data plane, on whatever kernel its driver is.
///
/// [`spawn`](crate::spawn) is the way in for programs: it makes the ring and the thread, and turns. On a kernel made for
/// tests, who made it calls [`turn`](Self::turn).
///
/// What it does for a connection is told in `connect`, `relay` and `close`, in the order of its life.
pub struct Worker<D> {
    pub(crate) driver: D,
    pub(crate) index: usize,
    /// The time of this turn.
    pub(crate) now: Instant,
    reader: Reader,
    /// The table of this turn.
    pub(crate) table: Arc<Table>,
    pub(crate) acceptors: Acceptors,
    pub(crate) slots: Slots,
    /// One timer per slot: when to look whether its connection waits in vain.
    pub(crate) timers: Timers,
    /// The queues of all halves.
    pub(crate) chunks: Chunks,
    pub(crate) pipes: Pipes,
    /// Halves that may have something to do, in their order: those that something happened to, and streams that gave way
    /// to the others. A half stands in it a few times at most.
    pub(crate) runnable: VecDeque<HalfId>,
    pub(crate) held_acks: HeldAcks,
    /// Halves that wait for a receive buffer, in their order.
    pub(crate) parked: VecDeque<HalfId>,
    /// Clients that wait until a backend can take them.
    pub(crate) waiting: Lines,
    /// The next slot to look at for a connection that the table severs; none if there is no more.
    pub(crate) severing: Option<u32>,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) handover: Balancer,
    pub(crate) queries: QueryReceiver,
    /// What picks leave to chance.
    pub(crate) dice: Dice,
    pub(crate) connections_max: u32,
    pub(crate) counters: Arc<PerWorker<WorkerCounters>>,
    pub(crate) recorder: Recorder,
    /// Clients whose records are wanted, by slot; none of them, and no memory, as long as nobody wants any.
    pub(crate) clients: Vec<Option<SocketAddr>>,
    wakers: Arc<[Waker]>,
    /// Wakes control.
    pub(crate) control: Arc<Waker>,
    /// Completions of this turn; kept for its memory.
    done: Vec<Completion>,
    /// Slots whose timer expired in this turn; kept for its memory.
    due: Vec<u32>,
}

/// A half of a connection, which may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) direction: Direction,
}

impl<D: Driver> Worker<D> {
    /// A worker that serves the published table from its first turn on. `buffers` is how many the driver has; their
    /// numbers are below it.
    pub fn new(driver: D, settings: Settings, buffers: u32) -> Self {
        let now = driver.now();
        let mut reader = settings.published.reader();
        let table = Arc::clone(reader.read());
        let mut worker = Self {
            index: settings.index,
            now,
            reader,
            table,
            acceptors: Acceptors::default(),
            slots: Slots::new(settings.connections_max),
            timers: Timers::new(settings.connections_max, now),
            chunks: Chunks::new(buffers),
            pipes: Pipes::new(settings.pipes_max),
            runnable: VecDeque::new(),
            held_acks: HeldAcks::default(),
            parked: VecDeque::new(),
            waiting: Lines::default(),
            severing: None,
            gate: settings.gate,
            connections_max: settings.connections_max,
            counters: settings.counters,
            recorder: settings.recorder,
            clients: Vec::new(),
            wakers: settings.wakers,
            control: settings.control,
            handover: settings.handover,
            queries: settings.queries,
            // The same each time, and another for each worker.
            dice: Dice::new(settings.index as u64),
            done: Vec::with_capacity(COMPLETIONS_USUAL),
            due: Vec::new(),
            driver,
        };
        worker.counters.of(worker.index).buffers.set(worker.driver.buffers_free().into());
        worker.hold_reserve();
        worker.apply_table();
        worker
    }

    /// Turns until the process drains and the last connection is gone.
    pub(crate) fn run(mut self) -> Result<(), Errno> {
        while self.turn()? {}
        Ok(())
    }

    /// One pass of the loop; says whether there is another.
    ///
    /// # Errors
    ///
    /// The driver is broken ([`Driver::wait`]); there is no going on.
    pub fn turn(&mut self) -> Result<bool, Errno> {
        let deadline = self.next_deadline();
        self.driver.wait(deadline, &mut self.done)?;
        self.now = self.driver.now();
        if !Arc::ptr_eq(self.reader.read(), &self.table) {
            self.table = Arc::clone(self.reader.read());
            self.apply_table();
        }
        self.take_given();
        let mut done = std::mem::take(&mut self.done);
        for completion in done.drain(..) {
            self.on_completion(completion);
        }
        self.done = done;
        self.run_halves();
        self.unpark();
        self.release_acks();
        self.expire_timers();
        self.sever_some();
        self.answer_queries();
        self.resume_accepting();
        self.serve_waiting();
        self.count_turn();
        Ok(self.lives())
    }

    /// Lets others see how it is.
    fn count_turn(&self) {
        let counters = self.counters.of(self.index);
        counters.turns.add(1);
        let shortages = self.driver.shortages();
        counters.early_submits.reach(shortages.early_submits);
        counters.overflows.reach(shortages.overflows);
        counters.buffers_free.set(self.driver.buffers_free().into());
        let (open, free) = self.pipes.count();
        counters.pipes_open.set(open.into());
        counters.pipes_free.set(free as u64);
    }

    /// Whether it has something to do, or may yet be given it.
    fn lives(&mut self) -> bool {
        if self.table.phase == Phase::Serving || !self.handover.is_closed() {
            return true;
        }
        // What was given last, before the last of the workers closed.
        self.take_given();
        self.slots.active() > 0 || !self.acceptors.is_empty()
    }

    /// Takes in the clients that other workers gave to this one.
    fn take_given(&mut self) {
        for _ in 0..GIVEN_MAX {
            let Some(mut client) = self.handover.take() else { break };
            if !self.is_ending() {
                // Another table may have come while it was on its way.
                if let Some(listener) = self.table.listener_on(&client.listener.sockets) {
                    client.listener = Arc::clone(listener);
                }
                self.begin_connection(client);
                continue;
            }
            let listener = Arc::clone(&client.listener);
            self.turn_away(client, CloseReason::Drained);
            self.handover.on_end();
            self.dismiss(&listener);
        }
    }

    fn on_completion(&mut self, completion: Completion) {
        let kind = Kind::of(completion.token);
        match kind {
            Kind::Accept => self.on_accept(completion),
            Kind::Listen => self.on_client(completion),
            Kind::CancelAccept => {}
            Kind::Connect | Kind::Receive(_) | Kind::Ready(_) | Kind::HangupPoll(_) | Kind::Cancel => {
                self.on_connection(kind, completion);
            }
        }
    }

    fn on_connection(&mut self, kind: Kind, completion: Completion) {
        let slot = completion.token.slot();
        // A slot is freed only when nothing of it is in flight, so nothing can come for an old tenant.
        assert!(self.slots.lives(slot, completion.token.generation()), "a completion came for nobody");
        if !completion.more {
            self.slots.end(slot);
        }
        if let State::Closing(_) = self.slots.get(slot).state {
            return self.close_join(slot, completion.buffer);
        }
        match kind {
            Kind::Connect => self.on_connect(slot, completion.result),
            Kind::Receive(direction) => self.on_receive(slot, direction, completion),
            Kind::Ready(direction) => self.on_ready(slot, direction),
            Kind::HangupPoll(direction) => self.on_alarm(slot, direction),
            Kind::Cancel => {} // What it was to end says how it ended.
            Kind::Accept | Kind::Listen | Kind::CancelAccept => unreachable!("told apart by the caller"),
        }
    }

    fn apply_table(&mut self) {
        let table = Arc::clone(&self.table);
        match table.phase {
            Phase::Serving => self.listen_to(&table.listeners),
            Phase::Draining => self.end_accepting(),
            Phase::Ending => {
                self.end_accepting();
                self.turn_away_held();
                for slot in self.slots.live() {
                    self.close(slot, CloseReason::Drained);
                }
            }
        }
        self.retry_waiting();
        self.begin_severing();
    }

    fn end_accepting(&mut self) {
        self.listen_to(&[]);
        if self.handover.close() {
            // Some may have nothing to do but to wait for this.
            self.wakers.iter().for_each(Waker::wake);
        }
    }

    /// When the next turn begins at the latest, whatever completes.
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.runnable.is_empty() || self.severing.is_some() || self.queries.are_due() {
            return Some(self.now);
        }
        [self.timers.next(), self.acceptors.paused_until(), self.held_acks.next()].into_iter().flatten().min()
    }

    fn expire_timers(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.timers.expire(self.now, &mut due);
        for slot in due.drain(..) {
            match &self.slots.get(slot).state {
                State::Connecting(_) => self.give_up(slot, CloseReason::ConnectTimedOut),
                State::Waiting(wait) => {
                    let goal = wait.goal;
                    self.on_wait_timeout(slot, goal);
                }
                State::Relaying(_) => self.on_stillness(slot),
                State::Closing(_) => unreachable!("closing clears the timer"),
            }
        }
        self.due = due;
    }

    /// Sets the timer of a relay, or closes the connection, whose time is up.
    pub(crate) fn set_patience(&mut self, slot: u32) {
        let now = self.now;
        let connection = self.slots.get(slot);
        let pool = &connection.listener.pool;
        let patience = IdleTimeouts { idle: pool.idle_timeout, half_closed: pool.half_closed_timeout };
        let keepalive_due = (!connection.kept_alive).then_some(now + pool.keepalive.idle);
        let due = connection.alarm_due(now).into_iter().chain(keepalive_due).min();
        let checked = match connection.relay().check(now, patience) {
            Err(_) if self.was_taken(slot) => self.slots.get(slot).relay().check(now, patience),
            checked => checked,
        };
        match checked {
            Ok(again) => self.timers.set(slot, due.map_or(again, |due| due.min(again))),
            Err(reason) => self.close(slot, reason),
        }
    }

    /// Looks whether a relay that stood still did not: whether a side took bytes meanwhile that the kernel held for
    /// it. It is two calls, so only a relay that is about to be ended is looked at.
    fn was_taken(&mut self, slot: u32) -> bool {
        let connection = self.slots.get(slot);
        let sockets = Direction::BOTH.map(|direction| connection.output(direction));
        let ago = sockets.into_iter().filter_map(|socket| self.driver.taken_ago(socket)).min();
        let at = ago.and_then(|ago| self.now.checked_sub(ago));
        at.is_some_and(|at| connection.relay().on_taken(at))
    }

    /// Takes the places of one more connection of this listener.
    ///
    /// # Errors
    ///
    /// The gate that is full. Who waits must wait at that one only: to wait at both would mean to be woken by
    /// the place that an attempt like this one gives back, and two workers could wake each other for ever.
    pub(crate) fn admit<'a>(&'a self, listener: &'a Listener) -> Result<(), &'a Semaphore> {
        if !self.gate.try_acquire(self.connections_max) {
            return Err(&self.gate);
        }
        if !listener.semaphore.try_acquire(listener.connections_max) {
            self.wake(self.gate.release());
            return Err(&listener.semaphore);
        }
        Ok(())
    }

    /// Gives the places of a connection of this listener back.
    pub(crate) fn dismiss(&self, listener: &Listener) {
        self.wake(listener.semaphore.release());
        self.wake(self.gate.release());
    }

    pub(crate) fn wake(&self, worker: Option<usize>) {
        if let Some(worker) = worker {
            self.wakers[worker].wake();
        }
    }

    pub(crate) fn give_back(&mut self, buffer: Option<u16>) {
        if let Some(buffer) = buffer {
            self.driver.give_back(BufferId(buffer));
        }
    }

    /// Whether every connection is to end now, and none may begin.
    pub(crate) fn is_ending(&self) -> bool {
        self.table.phase == Phase::Ending
    }

    /// Ends a client's connection that never got a slot.
    pub(crate) fn turn_away(&mut self, client: Client, reason: CloseReason) {
        let Client { socket, accepted_at, listener } = client;
        listener.counters.of(self.index).closed(reason).add(1);
        self.count_life(&listener, accepted_at);
        if listener.access_log {
            let (client, ended_at) = (self.driver.peer(socket), self.now);
            let mut facts = ConnectionStats::new(accepted_at);
            facts.waited.add(accepted_at, ended_at);
            self.record(Record {
                listener,
                backend: None,
                client,
                facts,
                ended_at,
                reason,
                stage: Stage::Accepted,
            });
        }
        self.driver.reset_on_close(socket);
        self.driver.close(socket);
    }

    /// A connection of this listener has ended.
    pub(crate) fn count_life(&self, listener: &Listener, accepted_at: Instant) {
        let life = self.now.saturating_duration_since(accepted_at);
        listener.pool.counters.of(self.index).life.add(life);
    }
}

/// How many completions a turn usually answers; more make room for themselves once.
const COMPLETIONS_USUAL: usize = 1024;
