//! The loop of a worker: one blocking call, one clock read, one table a turn.

mod begin; // A client is taken in,

mod open; // shows itself,

mod connect; // given a backend,
mod introduce; // to which the client is named,
mod wait; // for which it may have to wait,

mod close; // and closed,
mod evict; // by policy, too.

mod answer; // Queries of control, and views for tests.
mod inspect;

use std::sync::Arc;
use std::time::Instant;

use connection::CloseReason;
use driver::{Completion, Driver, Errno, Waker};
use table::{Dice, Phase, Reader};

use crate::Settings;
use crate::acceptor::Acceptors;
use crate::balancer::Balancer;
use crate::core::Core;
use crate::opening::Openings;
use crate::places::Places;
use crate::query::QueryReceiver;
use crate::record::Recording;
use crate::refused_sources::RefusedSources;
use crate::relay::{HalfId, Relays};
use crate::slots::Slots;
use crate::state::{Seeking, State, Step};
use crate::timers::Timers;
use crate::token::Kind;
use crate::waiting::WaitQueues;

/// One thread of the data plane, on whatever kernel its driver is.
///
/// [`spawn`](crate::spawn) is the way in for programs: it makes the driver and the thread, and turns. On a kernel
/// made for tests, the test calls [`turn`](Self::turn).
///
/// Each part has its own fields, which only its file sees, and works on the core beside them. What goes from one
/// part to another goes through here: a part says what is to be done, and the files in `worker/`, which are of the
/// life of a connection, do it.
pub struct Worker<D> {
    core: Core<D>,
    /// Where clients come from.
    acceptors: Acceptors,
    /// Clients that wait until a backend can take them.
    queues: WaitQueues,
    /// Clients that have yet to show themselves.
    openings: Openings,
    relays: Relays,
    recording: Recording,
    balancer: Balancer,
    queries: QueryReceiver,
    /// The next slot to visit for a connection that the table evicts; none if there is no more.
    evicting: Option<u32>,
    /// What picks leave to chance.
    dice: Dice,
    /// Wakes control.
    control: Arc<Waker>,
    reader: Reader,
    /// Completions of this turn; kept for its memory.
    done: Vec<Completion>,
    /// Slots whose timer expired in this turn; kept for its memory.
    due: Vec<u32>,
}

impl<D: Driver> Worker<D> {
    /// A worker that serves the published table from its first turn on. `buffers` is how many the driver has; their
    /// numbers are below it.
    pub fn new(driver: D, settings: Settings, buffers: u32) -> Self {
        let now = driver.now();
        let mut reader = settings.published.reader();
        let table = Arc::clone(reader.read());
        let core = Core {
            index: settings.index,
            now,
            table,
            slots: Slots::new(settings.connections_max),
            timers: Timers::new(settings.connections_max, now),
            counters: settings.counters,
            semaphore: settings.semaphore,
            connections_max: settings.connections_max,
            wakers: settings.wakers,
            refused_sources: RefusedSources::default(),
            places: Places::default(),
            driver,
        };
        let mut worker = Self {
            acceptors: Acceptors::default(),
            queues: WaitQueues::default(),
            openings: Openings::default(),
            relays: Relays::new(buffers, settings.pipes_max),
            recording: Recording::new(settings.recorder),
            balancer: settings.balancer,
            queries: settings.queries,
            evicting: None,
            // The same each time, and another for each worker.
            dice: Dice::new(settings.index as u64),
            control: settings.control,
            reader,
            done: Vec::with_capacity(COMPLETIONS_USUAL),
            due: Vec::new(),
            core,
        };
        worker.core.counters.of(settings.index).buffers.set(worker.core.driver.buffers_free().into());
        worker.acceptors.hold_reserve(&mut worker.core.driver);
        worker.apply_table();
        worker
    }

    /// Turns until the process drains and the last connection has ended.
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
        self.core.driver.wait(deadline, &mut self.done)?;
        self.core.now = self.core.driver.now();
        if !Arc::ptr_eq(self.reader.read(), &self.core.table) {
            self.core.table = Arc::clone(self.reader.read());
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
        self.relays.on_time(&mut self.core);
        self.expire_timers();
        self.evict_some();
        self.answer_queries();
        self.resume_accepting();
        self.serve_waiting();
        self.count_turn();
        Ok(self.lives())
    }

    /// Shows how it is.
    fn count_turn(&self) {
        let counters = self.core.counters.of(self.core.index);
        counters.turns.add(1);
        let shortages = self.core.driver.shortages();
        counters.early_submits.reach(shortages.early_submits);
        counters.overflows.reach(shortages.overflows);
        counters.buffers_free.set(self.core.driver.buffers_free().into());
        let (open, free) = self.relays.count_pipes();
        counters.pipes_open.set(open.into());
        counters.pipes_free.set(free as u64);
    }

    /// Whether it has something to do, or may yet be given it.
    fn lives(&mut self) -> bool {
        if self.core.table.phase == Phase::Serving || !self.balancer.is_closed() {
            return true;
        }
        // What was given last, before the last of the workers closed.
        self.take_given();
        self.core.slots.active() > 0 || !self.acceptors.is_empty()
    }

    fn on_completion(&mut self, completion: Completion) {
        let kind = Kind::of(completion.token);
        match kind {
            Kind::Accept => self.on_accept(completion),
            Kind::Listen => self.acceptors.on_client(&mut self.core, completion),
            Kind::CancelAccept => {}
            Kind::Connect
            | Kind::Opening
            | Kind::Receive(_)
            | Kind::Ready(_)
            | Kind::HangupPoll(_)
            | Kind::Cancel => {
                self.on_connection(kind, completion);
            }
        }
    }

    fn on_connection(&mut self, kind: Kind, completion: Completion) {
        let slot = completion.token.slot();
        let core = &mut self.core;
        // A slot is freed only when nothing of it is in flight, so nothing can come for an old tenant.
        assert!(core.slots.lives(slot, completion.token.generation()), "a completion came for no tenant");
        if !completion.more {
            core.slots.end(slot);
        }
        if let State::Closing(_) = core.slots.get(slot).state {
            return self.close_join(slot, completion.buffer);
        }
        match kind {
            Kind::Opening => self.on_opening(slot, completion.result),
            Kind::Connect => self.on_connect(slot, completion.result),
            Kind::Receive(direction) => self.relays.on_receive(core, slot, direction, completion),
            Kind::Ready(direction) => self.relays.on_ready(core, slot, direction),
            Kind::HangupPoll(direction) => {
                let ended = core.on_hangup_poll(slot, direction);
                self.close_if(slot, ended);
            }
            Kind::Cancel => {} // What it was to end says how it ended.
            Kind::Accept | Kind::Listen | Kind::CancelAccept => unreachable!("told apart by the caller"),
        }
    }

    fn apply_table(&mut self) {
        let table = Arc::clone(&self.core.table);
        match table.phase {
            Phase::Serving => self.acceptors.listen_to(&mut self.core, &table.listeners),
            Phase::Draining => self.end_accepting(),
            Phase::Ending => {
                self.end_accepting();
                self.reject_held();
                for slot in self.core.slots.live() {
                    self.close(slot, CloseReason::Drained);
                }
            }
        }
        self.retry_waiting();
        self.begin_evicting();
    }

    fn end_accepting(&mut self) {
        self.acceptors.listen_to(&mut self.core, &[]);
        if self.balancer.close() {
            // Some may have nothing to do but to wait for this.
            self.core.wakers.iter().for_each(Waker::wake);
        }
    }

    /// When the next turn begins at the latest, whatever completes.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.relays.runnable() > 0 || self.evicting.is_some() || self.queries.are_due() {
            return Some(self.core.now);
        }
        let deadlines = [self.core.timers.next(), self.acceptors.paused_until(), self.relays.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Runs the halves that may have something to do, once each.
    fn run_halves(&mut self) {
        for _ in 0..self.relays.runnable() {
            let Some(half) = self.relays.next_runnable() else { break };
            self.run_half(half);
        }
    }

    /// Has halves that waited for a buffer receive again, once each, if there are buffers.
    fn unpark(&mut self) {
        if self.core.driver.buffers_free() == 0 {
            return;
        }
        for _ in 0..self.relays.parked() {
            let Some(half) = self.relays.next_parked() else { break };
            self.run_half(half);
        }
    }

    fn run_half(&mut self, half: HalfId) {
        let ended = self.relays.run(&mut self.core, half);
        self.close_if(half.slot, ended);
    }

    fn expire_timers(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.core.timers.expire(self.core.now, &mut due);
        for slot in due.drain(..) {
            match &self.core.slots.get(slot).state {
                State::Seeking(Seeking { step: Step::Connecting(_), .. }) => {
                    self.on_attempt_timer(slot);
                }
                State::Seeking(Seeking { step: Step::Waiting(wait), .. }) => {
                    let wait_for = wait.wait_for;
                    self.on_wait_timeout(slot, wait_for);
                }
                State::Relaying(_) => {
                    let ended = self.core.on_idle_timer(slot);
                    self.close_if(slot, ended);
                }
                State::Opening(_) => self.on_opening_timeout(slot),
                State::Seeking(_) | State::Closing(_) => {
                    unreachable!("these have no timer")
                }
            }
        }
        self.due = due;
    }

    /// Closes a connection for which a part says so.
    fn close_if(&mut self, slot: u32, ended: Result<(), CloseReason>) {
        if let Err(reason) = ended {
            self.close(slot, reason);
        }
    }
}

/// How many completions a turn usually answers; more make room for themselves once.
const COMPLETIONS_USUAL: usize = 1024;
