//! The life of the process: start, serve, reload, drain, end.
//!
//! ```text
//!            SIGHUP: reload; SIGUSR1: the access log is opened again
//!              ┌──┐
//! start ──▶ Serving ── SIGTERM, SIGINT ──▶ Draining ── workers ended ──────────────▶ Ok
//!              │                              │ drain_timeout
//!              │ a worker failed              ├────────────▶ Ending ── workers ended ─▶ DrainTimedOut
//!              ▼                              │ SIGTERM, SIGINT
//!            Ending ──▶ Runtime               └────────────▶ Ending ── workers ended ─▶ Ok
//! ```

mod ask; // What the admin interface asks.
mod live; // Connections, one by one.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{Changes, Config, Warning};
use driver::{ListenGroup, Uring, Waker};
use log::Level;
use table::{Inputs, PerWorker, Phase, Published, Semaphore, Table, WorkerCounters};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use worker::{Balancer, QueryReceiver, QuerySender, Settings, WorkerError};

use access_log::{AccessLog, Prepared};
use admin::{Admin, AdminRequest, REQUESTS_MAX};
use api::Answer;

use crate::event_log::EventLog;
use crate::failure::Failure;
use crate::monitor::{HealthMonitor, now};
use crate::overrides::Overrides;
use crate::peaks::Peaks;
use crate::reading::{self, Asked, Asker, Done, Loaded, READ_TIME_MAX, Reading};
use crate::ready::{Ready, ReadyListener};
use crate::reload::{Origin, Refusal, plan};
use crate::reloads::{Reloads, refused};
use crate::retired::Retired;
use crate::shortages::Shortages;
use crate::sources::{Line, Sources};
use crate::status_line::StatusLine;
use crate::totals::Totals;
use crate::transitions::{self, Snapshot};
use api::EventKind;
use config::counted;
use host::Inherited;
use host::Notify;
use host::{BindError, Host, holds};
use host::{Sizes, TooLittle};

/// Where the config comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From this file, at start and at every SIGHUP.
    File(PathBuf),
    /// From the caller, once and for all.
    Fixed(Config),
    /// Likewise, for a process that is not to outlive its terminal: SIGHUP ends it as SIGTERM does.
    Attached(Config),
}

/// Balances until a signal ends the process, or something does that should not. Calls `ready` once, when every
/// listener is bound and every worker runs.
///
/// # Errors
///
/// Why it could not start, or did not end as it should; the process is to exit with the failure's code.
pub fn run(source: Source, ready: impl FnOnce(&Ready)) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(format!("the control thread could not start: {error}")))?;
    runtime.block_on(async {
        let (mut control, sizes) = Control::start(source).await?;
        ready(&control.ready(&sizes)?);
        control.tell_ready();
        // A task of its own, because to wake the one that is blocked on takes a write(2) each time.
        let serving = tokio::spawn(control.serve());
        serving.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    })
}

/// The one writer.
struct Control {
    source: Source,
    /// The config in force, as the file says it.
    config: Config,
    /// What the table in force was built from: that, with what operators said laid over it.
    effective: Config,
    published: Arc<Published>,
    wakers: Arc<[Waker]>,
    /// Woken by workers when connects to a backend fail too often.
    failing: AsyncFd<Arc<Waker>>,
    /// Places for connections in the process.
    gate: Arc<Semaphore>,
    totals: Totals,
    watch: HealthMonitor,
    access_log: AccessLog,
    /// Where workers count what they do.
    workers: Arc<PerWorker<WorkerCounters>>,
    /// What operators said of backends.
    overrides: Overrides,
    /// What the table in force goes by.
    health: Inputs,
    /// The same of the table whose coming was noted last.
    noted: Inputs,
    chronicle: EventLog,
    peaks: Peaks,
    sources: Sources,
    shortages: Shortages,
    retired: Retired,
    swept_at: Instant,
    host: Host,
    connections_max: u32,
    reloads: Reloads,
    /// In seconds since 1970.
    started_at: f64,
    events: mpsc::Receiver<Event>,
    /// What connections of the admin interface want. It comes after all else: nobody who asks holds up a signal or a probe.
    asks: mpsc::Receiver<AdminRequest>,
    /// Where workers are asked for their connections.
    query_sender: QuerySender,
    /// Workers that have not ended.
    running: usize,
    /// ListenGroup that systemd passed on.
    inherited: Inherited,
    /// The read of the file that is under way.
    reading: Reading,
    /// Tells systemd.
    notify: Notify,
    /// When the connections that are left are cut; none while it does not drain.
    cut_at: Option<Instant>,
    admin: Admin,
}

/// What control waits for. Signals that arrive while one is being answered count as one; none is lost.
enum Event {
    /// SIGHUP, unless the process ends with its terminal.
    Reload,
    /// SIGUSR1.
    Reopen,
    /// SIGTERM or SIGINT, or such a SIGHUP.
    End,
    /// A worker ended.
    Ended { worker: usize, result: Result<(), WorkerError> },
}

impl Control {
    async fn start(source: Source) -> Result<(Self, Sizes), Failure> {
        // Before anything listens: from the first connection on, no signal is deadly.
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        forward_signals(&source, &sender)
            .map_err(|error| Failure::Runtime(format!("signals cannot be received: {error}")))?;
        let Loaded { config, access_log } = load(&source).await?;
        let host = Host::prepare()
            .map_err(|error| Failure::Runtime(format!("the CPU affinity cannot be read: {error}")))?;
        let inherited = Inherited::from_environment();
        let config = adapt(config, &host, &inherited);
        host::refuse_loops(&config).map_err(Failure::Own)?;
        let sizes = Sizes::new(
            &config.runtime,
            config.listeners.len(),
            probes(&config),
            Admin::descriptors(&config.admin),
            &host,
        )
        .map_err(too_little)?;
        log_sizes(&sizes, &host);
        warn_of_backlogs(&config, host.backlog_max);
        warn_of(&host::warnings(&config), &[]);

        let workers = sizes.cpus.len();
        let gate = Arc::new(Semaphore::new(workers));
        let access_log = AccessLog::start(access_log.unwrap_or_else(Prepared::none), Arc::clone(&gate))
            .map_err(|error| Failure::Runtime(format!("a thread for the access log: {error}")))?;
        let (ask, asks) = mpsc::channel(REQUESTS_MAX);
        let admin = Admin::start(&config.admin, &ask)?;
        let all: Vec<usize> = (0..config.listeners.len()).collect();
        let sockets = bind(&config, &all, workers, &[], admin.http, &inherited)?;
        let sockets = sockets.into_iter().map(Arc::new).collect();
        inherited.warn_of_unused(&config);
        let mut watch = HealthMonitor::new(&config);
        let mut chronicle = EventLog::default();
        watch.first_round(FIRST_ROUND_MAX, &mut chronicle).await;
        let health = watch.health(now(), &mut chronicle);
        let table = Table::build(&config, sockets, workers, Some(&health), None);
        let no_waker = |error| Failure::Runtime(format!("a waker could not be made: {error}"));
        let wakers = (0..workers).map(|_| Waker::new()).collect::<io::Result<_>>().map_err(no_waker)?;
        let failing = Waker::new().and_then(|waker| poll(Arc::new(waker))).map_err(no_waker)?;
        let mut totals = Totals::default();
        totals.follow(&table);
        let mut reloads = Reloads::default();
        reloads.on_load();
        let (query_sender, queries) = QuerySender::new(workers);
        let mut control = Self {
            source,
            effective: config.clone(),
            config,
            published: Arc::new(Published::new(table)),
            wakers,
            failing,
            gate,
            totals,
            watch,
            access_log,
            workers: Arc::new(PerWorker::new(workers)),
            overrides: Overrides::default(),
            noted: health.clone(),
            health,
            chronicle,
            peaks: Peaks::new(now()),
            sources: Sources::default(),
            shortages: Shortages::default(),
            retired: Retired::default(),
            swept_at: Instant::now(),
            host,
            connections_max: sizes.connections_max,
            started_at: reloads.status().loaded_at,
            reloads,
            events,
            asks,
            query_sender,
            running: 0,
            inherited,
            reading: Reading::new(),
            notify: Notify::from_environment(workers, Instant::now()),
            cut_at: None,
            admin,
        };
        control.look_at_sources();
        control.spawn(&sizes, queries, &sender)?;
        Ok((control, sizes))
    }

    /// Starts every worker, or none: those before one that fails are told to end.
    fn spawn(
        &mut self,
        sizes: &Sizes,
        queries: Vec<QueryReceiver>,
        sender: &mpsc::Sender<Event>,
    ) -> Result<(), Failure> {
        let workers = sizes.cpus.len();
        let recorders = self.access_log.recorders(workers);
        let ends = Balancer::new(workers).into_iter().zip(queries).zip(recorders);
        for ((index, &cpu), ((balancer, queries), recorder)) in sizes.cpus.iter().enumerate().zip(ends) {
            let settings = Settings {
                index,
                cpu,
                connections_max: sizes.connections_max,
                buffers_max: sizes.buffers_per_worker,
                semaphore: Arc::clone(&self.gate),
                balancer,
                queries,
                pipes_max: sizes.pipes_per_worker,
                counters: Arc::clone(&self.workers),
                recorder,
                wakers: Arc::clone(&self.wakers),
                control: Arc::clone(self.failing.get_ref()),
                published: Arc::clone(&self.published),
            };
            let sender = sender.clone();
            let on_end = move |result| {
                // Nobody listens any more when the process ends: then there is nobody to tell.
                let _ = sender.blocking_send(Event::Ended { worker: index, result });
            };
            if let Err(error) = worker::spawn(settings, Uring::new, on_end) {
                self.enter_phase(Phase::Ending);
                return Err(Failure::Kernel(error));
            }
            self.running += 1;
        }
        Ok(())
    }

    fn ready(&self, sizes: &Sizes) -> Result<Ready, Failure> {
        let table = self.published.load_full();
        let listener = |listener: &Arc<table::Listener>| {
            Ok(ReadyListener { name: listener.name.clone(), address: listener.sockets.address()? })
        };
        let listeners = table.listeners.iter().map(listener).collect::<io::Result<_>>();
        Ok(Ready {
            listeners: listeners.map_err(|error| Failure::Runtime(format!("getsockname: {error}")))?,
            workers: sizes.cpus.len(),
            connections_max: sizes.connections_max,
            http: self.admin.http,
        })
    }

    /// Answers signals until one ends the process.
    async fn serve(mut self) -> Result<(), Failure> {
        let result = loop {
            match self.event().await {
                Event::Reload => self.reload(None),
                Event::Reopen => self.access_log.reopen(),
                Event::End => break self.drain().await,
                Event::Ended { worker, result } => {
                    let failure = ended_unasked(worker, result);
                    self.chronicle.note(Level::Error, EventKind::Phase, &failure);
                    self.enter_phase(Phase::Ending);
                    self.join().await;
                    break Err(failure);
                }
            }
        };
        self.log_totals(Level::Info);
        self.access_log.end();
        result
    }

    /// No new connections; those that exist may finish until a deadline.
    async fn drain(&mut self) -> Result<(), Failure> {
        let timeout = self.config.runtime.drain_timeout;
        let text = format!(
            "draining: connections={} may finish within {}; a second signal ends them now",
            self.gate.active(),
            config::show_duration(timeout)
        );
        self.chronicle.note(Level::Info, EventKind::Phase, text);
        self.enter_phase(Phase::Draining);
        for asker in self.reading.give_up() {
            let _ = asker.send(Answer::refused(DRAINING));
        }
        let now = Instant::now();
        let deadline = now + timeout;
        self.cut_at = Some(deadline);
        self.notify.stopping(&self.line(now), now);
        let mut failed = None;
        while self.running > 0 {
            let Ok(event) = timeout_at(deadline, self.event()).await else {
                let connections = u64::from(self.gate.active());
                self.enter_phase(Phase::Ending);
                self.join().await;
                return Err(Failure::DrainTimedOut { connections });
            };
            match event {
                Event::Reopen => self.access_log.reopen(),
                Event::Reload => log::warn!("SIGHUP: not reloading while draining"),
                Event::End => {
                    let text = format!("ending at once: connections={} are closed", self.gate.active());
                    self.chronicle.note(Level::Info, EventKind::Phase, text);
                    self.enter_phase(Phase::Ending);
                    self.join().await;
                    break;
                }
                Event::Ended { result: Ok(()), .. } => self.running -= 1,
                Event::Ended { worker, result } => {
                    self.running -= 1;
                    let failure = ended_unasked(worker, result);
                    log::error!("{failure}");
                    failed = Some(failure);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Waits for workers that were told to end; not forever, because the process ends either way.
    async fn join(&mut self) {
        let deadline = Instant::now() + JOIN_TIMEOUT;
        while self.running > 0 {
            match timeout_at(deadline, self.event()).await {
                Ok(Event::Ended { worker, result }) => {
                    self.running -= 1;
                    if let Err(error) = result {
                        log::error!("worker {worker}: {error}");
                    }
                }
                // It ends already.
                Ok(Event::Reload | Event::Reopen | Event::End) => {}
                Err(_) => {
                    let workers = counted(self.running, "worker");
                    return log::error!("{workers} did not end within {JOIN_TIMEOUT:?}");
                }
            }
        }
    }

    /// Begins to read the file again. [`on_read`](Self::on_read) goes over to it, whole or not at all.
    fn reload(&mut self, asker: Option<Asker>) {
        let Source::File(path) = &self.source else {
            log::warn!("reload: {NO_FILE}; the configuration stays");
            return tell(asker, &Answer::refused(NO_FILE));
        };
        let read = reading::load(path.clone(), self.access_log.config().cloned());
        match self.reading.ask(asker, read) {
            Asked::Begun => self.notify.reloading(),
            // It is told to systemd when it begins.
            Asked::Queued => {}
            Asked::Hangs(since, asker) => {
                let refusal = unread(path, since);
                self.notify.reloading();
                let answer = self.refuse(&refusal, since);
                self.tell_ready();
                tell(asker, &answer);
            }
        }
    }

    /// A read of the file has come to something.
    fn on_read(&mut self, done: Done) {
        let Source::File(path) = &self.source else { return };
        if self.published.load_full().phase != Phase::Serving {
            // Who asked has been told.
            return;
        }
        match done {
            Done::Read { read, begun, askers, next } => {
                self.log_totals(Level::Debug);
                let loaded = read.map(|loaded| Loaded { config: self.adapt(loaded.config), ..loaded });
                let answer = match loaded.map_err(Refusal::from).and_then(|loaded| self.apply(loaded)) {
                    Ok(changes) => {
                        self.reloads.on_applied(begun.elapsed());
                        Answer::Done(changes.lines().map(str::to_owned).collect())
                    }
                    Err(refusal) => self.refuse(&refusal, begun.elapsed()),
                };
                self.tell_ready();
                tell(askers, &answer);
                if let Some(askers) = next {
                    self.read_again(askers);
                }
            }
            Done::Overdue(askers) => {
                let refusal = unread(path, READ_TIME_MAX);
                let answer = self.refuse(&refusal, READ_TIME_MAX);
                self.tell_ready();
                tell(askers, &answer);
            }
            Done::Late(took) => {
                log::warn!(
                    "{}: it was read within {took:.1?}; reload again to go over to it",
                    path.display()
                );
            }
        }
    }

    /// Begins another read for those that asked while the last one was under way.
    fn read_again(&mut self, askers: Vec<Asker>) {
        let Source::File(path) = &self.source else { return };
        let read = reading::load(path.clone(), self.access_log.config().cloned());
        self.notify.reloading();
        self.reading.ask(askers, read);
    }

    /// Nothing changes; says why.
    fn refuse(&mut self, refusal: &Refusal, took: Duration) -> Answer {
        for line in refusal.lines() {
            self.chronicle.note(Level::Error, EventKind::Reload, format_args!("reload refused: {line}"));
        }
        log::info!("the configuration before it stays in force");
        self.reloads.on_refused(refusal, took);
        refused(refusal)
    }

    /// What `config` means on this host.
    fn adapt(&self, config: Config) -> Config {
        adapt(config, &self.host, &self.inherited)
    }

    fn apply(&mut self, Loaded { config, access_log }: Loaded) -> Result<Changes, Refusal> {
        let origins = plan(&self.config, &config)?;
        host::refuse_loops(&config).map_err(Failure::Own)?;
        let previous = self.published.load_full();
        let sockets = self.sockets(&config, &origins, &previous)?;
        // Nothing can fail from here on.
        for (listener, origin) in config.listeners.iter().zip(&origins) {
            if let Origin::Kept(before) = *origin {
                self.relisten(&previous.listeners[before], &config, listener, &self.config.listeners[before]);
            }
        }
        let changes = Changes::between(&self.config, &config);
        self.overrides.follow(&config);
        self.effective = self.overrides.applied_to(&config);
        self.watch.follow(&self.effective, &self.overrides, &mut self.chronicle);
        self.health = self.look();
        let table =
            Table::build(&self.effective, sockets, self.wakers.len(), Some(&self.health), Some(&previous));
        let removed = self.totals.follow(&table);
        warn_of_backlogs(&config, self.host.backlog_max);
        warn_of(&host::warnings(&config), &host::warnings(&self.config));
        self.config = config;
        if let Some(prepared) = access_log {
            self.access_log.go_over(prepared);
        }
        self.publish(table);
        // After the table, so that no worker takes the end of its socket for an error.
        for (index, listener) in previous.listeners.iter().enumerate() {
            if !origins.contains(&Origin::Kept(index)) {
                listener.sockets.stop();
            }
        }
        log_lines(changes.lines(), "changes");
        log_lines(removed.iter().map(String::as_str), "totals of what was removed");
        self.inherited.warn_of_unused(&self.config);
        self.look_at_sources();
        let text = match changes.lines().len() {
            0 => "reloaded: nothing changed".to_owned(),
            1 => "reloaded: 1 change".to_owned(),
            number => format!("reloaded: {number} changes"),
        };
        self.chronicle.note(Level::Info, EventKind::Reload, text);
        Ok(changes)
    }

    /// The sockets of each listener of `config`: kept, or bound now.
    fn sockets(
        &self,
        config: &Config,
        origins: &[Origin],
        previous: &Table,
    ) -> Result<Vec<Arc<ListenGroup>>, Failure> {
        let new: Vec<usize> = (0..origins.len()).filter(|&index| origins[index] == Origin::Bound).collect();
        let held = previous.listeners.iter().map(|listener| listener.sockets.address());
        let held: Vec<_> = held.filter_map(Result::ok).collect();
        let bound = bind(config, &new, self.wakers.len(), &held, self.admin.http, &self.inherited)?;
        let mut bound = bound.into_iter().map(Arc::new);
        let origin = |origin: &Origin| match *origin {
            Origin::Kept(before) => Arc::clone(&previous.listeners[before].sockets),
            Origin::Bound => bound.next().expect("one for each that is new"),
        };
        Ok(origins.iter().map(origin).collect())
    }

    /// Gives sockets that stay the backlog and keepalive that they are to have.
    fn relisten(
        &self,
        kept: &table::Listener,
        config: &Config,
        listener: &config::Listener,
        before: &config::Listener,
    ) {
        let options = host::options(listener, &config.pools[listener.pool.0]);
        let before = host::options(before, &self.config.pools[before.pool.0]);
        if (options.backlog, options.keepalive) == (before.backlog, before.keepalive) {
            return;
        }
        for socket in kept.sockets.iter() {
            if let Err(error) = driver::relisten(socket, options.backlog, options.keepalive) {
                log::warn!("listener {}: backlog and keepalive stay as they were: {error}", listener.name);
            }
        }
    }

    /// Nobody is accepted any more.
    fn enter_phase(&mut self, phase: Phase) {
        let table = self.published.load_full();
        self.publish(table.in_phase(phase));
        // After the table, so that no worker takes the end of its socket for an error.
        table.listeners.iter().for_each(|listener| listener.sockets.stop());
    }

    fn publish(&mut self, table: Table) {
        let before = self.published.load_full();
        transitions::note(
            Snapshot { table: &before, health: &self.noted },
            Snapshot { table: &table, health: &self.health },
            &mut self.chronicle,
        );
        self.noted = self.health.clone();
        self.retired.keep(before);
        self.published.publish(table);
        self.wakers.iter().for_each(Waker::wake);
        self.sweep();
    }

    fn sweep(&mut self) {
        self.retired.sweep();
        self.swept_at = Instant::now();
    }

    /// At the end of the process they are for everybody; at a reload, where the metrics have them too, for those who debug.
    fn log_totals(&mut self, level: Level) {
        for line in self.totals.lines() {
            log::log!(target: "totals", level, "{line}");
        }
    }

    /// Waits for what is to be answered, and meanwhile keeps the table to what is known of backends.
    async fn event(&mut self) -> Event {
        loop {
            let sweep = (!self.retired.is_empty()).then_some(self.swept_at + SWEEP_INTERVAL);
            let due = self.due();
            let told = self.notify.due();
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    let event = event.expect("the tasks that receive signals hold senders and do not end");
                    if let Event::Ended { worker, .. } = event {
                        self.notify.on_ended(worker);
                    }
                    return event;
                }
                // Before all that there may be much of: a watchdog that is not fed ends the process.
                () = sleep_until(told.unwrap_or_else(Instant::now)), if told.is_some() => self.tell(),
                report = self.watch.next() => {
                    if self.watch.on_report(&report, now(), &mut self.chronicle) {
                        self.refresh();
                    }
                }
                ready = self.failing.readable() => {
                    if let Ok(mut ready) = ready {
                        ready.clear_ready();
                    }
                    self.on_failing();
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.refresh(),
                () = sleep_until(sweep.unwrap_or_else(Instant::now)), if sweep.is_some() => self.sweep(),
                done = self.reading.next() => self.on_read(done),
                note = self.access_log.note() => log::warn!("{note}"),
                () = sleep_until(self.peaks.due().into()) => self.look_at_counters(),
                Some(ask) = self.asks.recv() => self.answer(ask),
            }
        }
    }

    /// Looks at what workers have counted since the last time, once a second.
    fn look_at_counters(&mut self) {
        let table = self.published.load_full();
        self.peaks.look(&table, now());
        self.look_at_sources();
        for line in self.shortages.look(&table, &self.sources, now()) {
            self.chronicle.note(Level::Warn, EventKind::Host, line);
        }
    }

    /// Says which addresses to connect from this host has lost, or got.
    fn look_at_sources(&mut self) {
        for Line { held, text } in self.sources.look(&self.config, now(), holds) {
            let level = if held { Level::Info } else { Level::Error };
            self.chronicle.note(level, EventKind::Host, text);
        }
    }

    // What systemd is told.

    fn tell_ready(&mut self) {
        let now = Instant::now();
        self.notify.ready(&self.line(now), now);
        // From here on it is looked whether they turn.
        self.wakers.iter().for_each(Waker::wake);
    }

    fn tell(&mut self) {
        let now = Instant::now();
        let turns: Vec<u64> = self.workers.iter().map(|worker| worker.turns.get()).collect();
        let ends = self.published.load_full().phase != Phase::Serving;
        let line = self.line(now);
        if self.notify.on_due(now, &turns, ends, line) {
            self.wakers.iter().for_each(Waker::wake);
        }
    }

    fn line(&self, now: Instant) -> String {
        let table = self.published.load_full();
        let standings = || self.health.pools.values().flat_map(|pool| pool.backends.values());
        let reloads = self.reloads.status();
        StatusLine {
            phase: table.phase,
            listeners: table.listeners.len(),
            backends: standings().count(),
            available: standings().filter(|standing| standing.availability.is_available()).count(),
            connections: self.gate.active(),
            left: self.cut_at.map(|at| at.saturating_duration_since(now)),
            refused: reloads.last_error.as_deref(),
        }
        .to_string()
    }

    /// Connects to a backend have failed as often in a row as its pool puts it aside for.
    fn on_failing(&mut self) {
        self.failing.get_ref().clear();
        if self.watch.on_failures(&self.published.load_full(), now(), &mut self.chronicle) {
            self.refresh();
        }
    }

    /// When time alone asks for another table.
    fn due(&self) -> Option<Instant> {
        let table = self.published.load_full().due;
        table.into_iter().chain(self.watch.due()).min().map(Instant::from_std)
    }

    /// Puts a table in force that goes by what is known of backends now, if that is another.
    fn refresh(&mut self) {
        let previous = self.published.load_full();
        let is_due = previous.due.is_some_and(|due| due <= now());
        if !self.watch.look(now(), &mut self.chronicle) && !is_due {
            return;
        }
        let health = self.look();
        // Where operators say otherwise, another may be the same.
        if health.pools != self.health.pools || is_due {
            self.health = health;
            self.rebuild(&previous);
        }
    }

    /// What is known of backends now, and what operators say.
    fn look(&mut self) -> Inputs {
        self.overrides.with_drains(self.watch.health(now(), &mut self.chronicle))
    }

    /// Puts a table in force that is made of the same config and sockets as the `previous` one.
    fn rebuild(&mut self, previous: &Table) {
        let sockets = previous.listeners.iter().map(|listener| Arc::clone(&listener.sockets)).collect();
        let workers = self.wakers.len();
        let table = Table::build(&self.effective, sockets, workers, Some(&self.health), Some(previous));
        self.publish(table.in_phase(previous.phase));
    }
}

/// The config at the start. Signals that come meanwhile are answered after it.
async fn load(source: &Source) -> Result<Loaded, Failure> {
    let path = match source {
        Source::File(path) => path,
        Source::Fixed(config) | Source::Attached(config) => {
            return Ok(Loaded { config: config.clone(), access_log: None });
        }
    };
    let mut reading = Reading::new();
    reading.ask([], reading::load(path.clone(), None));
    match reading.next().await {
        Done::Read { read, .. } => read,
        Done::Overdue(_) | Done::Late(_) => Err(Failure::Config(Config::unread(path, READ_TIME_MAX))),
    }
}

/// Why a file that is still being read is not gone over to.
fn unread(path: &Path, since: Duration) -> Refusal {
    Refusal::from(Failure::Config(Config::unread(path, Duration::from_secs(since.as_secs()))))
}

/// Tells those that asked. They may have left.
fn tell(askers: impl IntoIterator<Item = Asker>, answer: &Answer) {
    for asker in askers {
        let _ = asker.send(answer.clone());
    }
}

fn adapt(config: Config, host: &Host, inherited: &Inherited) -> Config {
    host.adapt(config, |address| inherited.addresses().any(|passed| passed == address))
}

#[expect(
    deprecated,
    reason = "what replaces it is unsafe; a waker keeps its descriptor for as long as it is"
)]
fn poll(waker: Arc<Waker>) -> io::Result<AsyncFd<Arc<Waker>>> {
    AsyncFd::with_interest(waker, Interest::READABLE)
}

/// How many probes may run at once.
fn probes(config: &Config) -> usize {
    let pools = config.pools.iter().filter(|pool| pool.probe.is_some());
    pools.map(|pool| pool.backends.len()).sum::<usize>().min(health::RUNNING_MAX)
}

/// Binds the listeners of these indices.
fn bind(
    config: &Config,
    indices: &[usize],
    workers: usize,
    held: &[SocketAddr],
    http: Option<SocketAddr>,
    inherited: &Inherited,
) -> Result<Vec<ListenGroup>, BindError> {
    let listeners: Vec<_> = indices
        .iter()
        .map(|&index| &config.listeners[index])
        .map(|listener| (listener.name.as_str(), host::options(listener, &config.pools[listener.pool.0])))
        .collect();
    host::listen(&listeners, workers, held, http, inherited)
}

fn forward_signals(source: &Source, sender: &mpsc::Sender<Event>) -> io::Result<()> {
    let on_hangup: fn() -> Event = match source {
        Source::File(_) | Source::Fixed(_) => || Event::Reload,
        Source::Attached(_) => || Event::End,
    };
    forward(signal(SignalKind::hangup())?, sender.clone(), on_hangup);
    forward(signal(SignalKind::user_defined1())?, sender.clone(), || Event::Reopen);
    forward(signal(SignalKind::terminate())?, sender.clone(), || Event::End);
    forward(signal(SignalKind::interrupt())?, sender.clone(), || Event::End);
    Ok(())
}

/// Turns a signal into events. While there is no room for an event, signals of the kind count as one.
fn forward(mut signal: Signal, sender: mpsc::Sender<Event>, event: fn() -> Event) {
    tokio::spawn(async move {
        while signal.recv().await.is_some() {
            if sender.send(event()).await.is_err() {
                return;
            }
        }
    });
}

fn ended_unasked(worker: usize, result: Result<(), WorkerError>) -> Failure {
    Failure::Runtime(match result {
        Ok(()) => format!("worker {worker} ended without being asked to"),
        Err(error) => format!("worker {worker}: {error}"),
    })
}

fn too_little(wants: TooLittle) -> Failure {
    Failure::Runtime(match wants {
        TooLittle::Descriptors { limit, needed } => format!(
            "the limit of open files is {limit}, and one connection needs {needed}\n  \
             raise it: `LimitNOFILE=` in the unit, or `ulimit -n`"
        ),
        TooLittle::Memory { left, needed } => format!(
            "the limit of memory (RLIMIT_DATA or RLIMIT_AS) leaves {} MiB, and the workers need {} MiB\n  \
             raise it: `LimitDATA=` and `LimitAS=` in the unit, or `ulimit -d` and `ulimit -v`; \
             or lower `runtime.max_connections` or `runtime.workers`",
            left >> 20,
            needed.div_ceil(1 << 20)
        ),
    })
}

fn log_sizes(sizes: &Sizes, host: &Host) {
    let descriptors = host.descriptors_max;
    log::info!(
        "workers={} pinned={} connections_max={} pipes_per_worker={} open_files_limit={descriptors}",
        sizes.cpus.len(),
        sizes.cpus.iter().all(Option::is_some),
        sizes.connections_max,
        sizes.pipes_per_worker,
    );
    if let Some(wanted) = sizes.clipped_from {
        log::warn!(
            "`runtime.max_connections` is {wanted}, and the limit of {descriptors} open files allows {}; \
             raise it: `LimitNOFILE=` in the unit, or `ulimit -n`",
            sizes.connections_max
        );
    }
}

/// Logs these lines, the first [`LINES_MAX`] of them if there are more.
fn log_lines<'a>(mut lines: impl Iterator<Item = &'a str>, what: &str) {
    for line in lines.by_ref().take(LINES_MAX) {
        log::info!("{line}");
    }
    let more = lines.count();
    if more > 0 {
        log::info!("and {more} more {what}");
    }
}

/// Logs what is likely to be meant otherwise, and was not logged `before`.
fn warn_of(warnings: &[Warning], before: &[Warning]) {
    for warning in warnings.iter().filter(|warning| !before.contains(warning)).take(LINES_MAX) {
        log::warn!("{warning}");
    }
}

fn warn_of_backlogs(config: &Config, backlog_max: u32) {
    for listener in config.listeners.iter().filter(|listener| listener.backlog > backlog_max) {
        log::warn!(
            "listener {}: the kernel clips `backlog` {} at net.core.somaxconn {backlog_max}; \
             raise it: `sysctl -w net.core.somaxconn={}`",
            listener.name,
            listener.backlog,
            listener.backlog
        );
    }
}

/// Lines of one kind that a reload logs. `rondel reload` and `rondel plan` print all of what changes.
const LINES_MAX: usize = 50;

/// Why nothing is changed by a command.
const DRAINING: &str = "the process is draining: nothing is changed any more";

/// Why there is nothing to reload.
const NO_FILE: &str = "there is no file to read";

/// Events that wait to be answered. At the bound whoever has the next one waits: signals of a kind count as
/// one, and a worker that has ended stays a thread for a moment longer.
const EVENTS_MAX: usize = 16;

/// How long the first round of probes may take, before anybody is served.
const FIRST_ROUND_MAX: Duration = Duration::from_secs(1);

/// How often it is looked whether connections have let go of what reloads replaced.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long workers may take to close everything at once.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);
