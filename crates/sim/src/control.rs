//! What control does in a run. It drives the same writer as in production; what must come of that is worked out a
//! second time, by [`Expected`](crate::expected::Expected).

use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;

use config::Config;
use driver::{ListenGroup, Owner, Waker};
use table::{BackendKey, Origin, Phase, Sources, TableWriter, Written};
use worker::Worker;

use crate::agenda::nanos;
use crate::expected::{self, Command, Made};
use crate::health::{self, Snapshot};
use crate::run::Run;
use crate::scenario::{self, Change, Drain};
use crate::world::World;

/// The writer with the first table in force.
pub(crate) fn start(
    config: &Config,
    workers: usize,
    states: &table::Inputs,
    world: &mut World,
) -> TableWriter {
    let addresses = config.listen_addresses();
    let sockets = addresses.map(|(listener, address)| bind(listener, address, workers, world)).collect();
    world.picks.on_table(config);
    TableWriter::new(config.clone(), sockets, workers, states.clone(), Sources::default())
}

fn bind(
    listener: &config::Listener,
    address: SocketAddr,
    workers: usize,
    world: &mut World,
) -> Arc<ListenGroup> {
    let stand_in = |_| File::open("/dev/null").expect("few are open").into();
    let sockets = Arc::new(ListenGroup::new((0..workers).map(stand_in).collect(), Owner::Process));
    world.queues.listen(address, &sockets, listener.backlog);
    sockets
}

impl Run {
    /// When control has something to do.
    pub(crate) fn control_at(&self) -> Option<u64> {
        let table = self.writer.table();
        let change = self.scenario.changes.first().map(|(at, _)| *at);
        let drain = match (self.scenario.drain, table.phase) {
            (Drain::At(at), Phase::Serving) => Some(at),
            (Drain::At(at), Phase::Draining) => Some(at + self.scenario.drain_timeout),
            (Drain::WhenQuiet, _) | (_, Phase::Ending) => None,
        };
        let due = table.due.into_iter().chain(self.access_due()).min();
        let due = due.map(|due| self.world.borrow().agenda.nanos(due));
        let ends = table.phase == Phase::Ending;
        change.into_iter().chain(due).filter(|_| !ends).chain(drain).min()
    }

    /// Does the first thing that is due.
    pub(crate) fn control(&mut self) {
        let now = self.now();
        let instant = self.world.borrow().agenda.instant();
        if self.scenario.changes.first().is_some_and(|(at, _)| *at <= now) {
            let (_, change) = self.scenario.changes.remove(0);
            return self.change(change);
        }
        if self.writer.is_due(instant) {
            return self.refresh();
        }
        if self.access_due().is_some_and(|due| due <= instant) {
            return self.expire_access();
        }
        match self.writer.table().phase {
            Phase::Serving => self.drain(),
            Phase::Draining => {
                self.ending_at = Some(now);
                self.enter_phase(Phase::Ending);
            }
            Phase::Ending => unreachable!("it has no more to do"),
        }
    }

    fn change(&mut self, change: Change) {
        let serves = self.writer.table().phase == Phase::Serving;
        match change {
            Change::ConnectionQuery => self.query(),
            Change::Health => {
                let config = self.writer.config().written();
                health::change(&mut self.world.borrow_mut().random, config, &mut self.states);
                self.refresh();
            }
            // A draining process refuses these.
            Change::Reload | Change::Override | Change::Failback | Change::Access if !serves => {}
            Change::Access => self.change_access(),
            Change::Reload => self.reload(),
            Change::Override => self.change_override(),
            Change::Failback => self.fail_back(),
        }
    }

    fn reload(&mut self) {
        let mut world = self.world.borrow_mut();
        let before = self.writer.config().written();
        let mut config = before.clone();
        scenario::change(&mut world.random, self.scenario.variety, &mut config);
        let now = world.agenda.now();
        self.drain_windows.on_reload(before, &config, now);
        world.picks.severs |= !self.drain_windows.is_empty();
        self.expected.on_reload(&config);
        let table = self.writer.table();
        let known: Vec<_> = table.sockets().collect();
        let origins = self.writer.origins(&config).into_iter().zip(config.listen_addresses());
        let sockets = origins.map(|(origin, (listener, address))| match origin {
            Origin::Kept(index) => {
                let sockets = known[index];
                world.queues.relisten(sockets, listener.backlog);
                Arc::clone(sockets)
            }
            Origin::Bound => bind(listener, address, self.scenario.workers, &mut world),
        });
        let sockets = sockets.collect();
        let (states, now) = (&self.states, world.agenda.instant());
        let written = self.writer.reload(config, sockets, |config| health::inputs(states, config, now));
        drop(world);
        self.on_written(written, &Made::Reload);
    }

    fn change_override(&mut self) {
        let mut world = self.world.borrow_mut();
        let pools = &self.writer.config().written().pools;
        let pool = &pools[world.random.index(pools.len())];
        let address = pool.backends[world.random.index(pool.backends.len())].address;
        let backend = BackendKey { pool: pool.name.clone(), address };
        let command = Command::some(&mut world.random);
        let (now, instant) = (world.agenda.now(), world.agenda.instant());
        world.note(format_args!("an operator says {command:?} of {backend:?}"));
        self.expected.on_command(&backend, command, instant);
        if let Command::Drain(Some(timeout)) = command {
            self.drain_windows.on_drain(now, nanos(timeout));
            world.picks.severs = true;
        }
        let states = &self.states;
        let written = self.writer.change_override(
            &backend,
            |it| command.apply(it, instant),
            |config| health::inputs(states, config, instant),
        );
        drop(world);
        self.on_written(written, &Made::Override);
    }

    fn fail_back(&mut self) {
        let pools = &self.writer.config().written().pools;
        let pool = pools[self.world.borrow_mut().random.index(pools.len())].name.clone();
        let inputs = self.inputs();
        let written = self.writer.fail_back(&pool, inputs);
        self.on_written(written, &Made::Failback(pool));
    }

    /// The inputs changed, or a time is due.
    fn refresh(&mut self) {
        let inputs = self.inputs();
        if let Some(written) = self.writer.refresh(inputs) {
            self.on_written(written, &Made::Refresh);
        }
    }

    pub(crate) fn drain(&mut self) {
        self.scenario.drain = Drain::At(self.now());
        self.enter_phase(Phase::Draining);
    }

    fn enter_phase(&mut self, phase: Phase) {
        self.world.borrow().note(format_args!("control begins {phase:?}"));
        self.expected.on_phase(phase);
        let written = self.writer.enter_phase(phase);
        self.on_written(written, &Made::Phase);
    }

    /// Operators said something else about addresses.
    pub(crate) fn on_access_written(&mut self, written: Written) {
        self.on_written(written, &Made::Access);
    }

    pub(crate) fn inputs(&self) -> table::Inputs {
        let now = self.world.borrow().agenda.instant();
        health::inputs(&self.states, self.writer.config(), now)
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

    fn on_written(&mut self, written: Written, made: &Made) {
        self.world.borrow().note(format_args!("control publishes another table: {made:?}"));
        let table = self.writer.table();
        let effective = self.expected.effective();
        if matches!(made, Made::Reload | Made::Override) {
            self.world.borrow_mut().picks.on_table(&effective);
        }
        self.expected.check(&effective, &written.table, &table);
        self.expected.check_overrides(self.writer.config().overrides());
        self.expected.check_stopped(&written, &table);
        expected::check_tiers(&effective, [&written.table, &table], self.writer.inputs(), made);
        self.coverage.count("writer", phase(written.table.phase), made.name());
        self.to_stop.extend(written.stopped);
        self.said.on_table();
        self.tables.push(table);
        self.published_at = self.now();
        self.writer.sweep();
        self.tell();
        self.wakers.iter().for_each(Waker::wake);
    }

    /// The world knows what workers may do.
    pub(crate) fn tell(&mut self) {
        let snapshot = Snapshot { table: self.writer.table(), inputs: self.writer.inputs().clone() };
        self.world.borrow_mut().snapshots.push(snapshot);
    }

    /// Stops listening, as control does once a table without the listeners is in force.
    pub(crate) fn stop(&mut self) {
        for sockets in self.to_stop.drain(..) {
            self.world.borrow_mut().stop_listening(&sockets);
        }
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Serving => "serving",
        Phase::Draining => "draining",
        Phase::Ending => "ending",
    }
}
