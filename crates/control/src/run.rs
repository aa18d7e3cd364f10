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
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use log::Level;
use table::{Changes, Gate, Health, PerWorker, Phase, Published, Sockets, Table, WorkerCounters};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use uring::Waker;
use worker::{Handover, Inquirer, Inquiries, Settings, WorkerError};

use crate::access_log::AccessLog;
use crate::admin::{ASKS_MAX, Admin, Answer, Ask, Overrides, Reloads};
use crate::chronicle::{Chronicle, Kind};
use crate::failure::Failure;
use crate::host::Host;
use crate::inherited::Inherited;
use crate::notify::{Line, Notify};
use crate::peaks::Peaks;
use crate::ready::{Ready, ReadyListener};
use crate::reload::{Origin, Refusal, plan};
use crate::retired::Retired;
use crate::sizing::{Sizes, TooFewDescriptors};
use crate::sockets;
use crate::succession::{self, Reign};
use crate::totals::Totals;
use crate::watch::{Watch, now};

/// Where the config comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From this file, at start and at every SIGHUP.
    File(PathBuf),
    /// From the caller, once and for all.
    Fixed(Config),
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
    laid_over: Config,
    published: Arc<Published>,
    wakers: Arc<[Waker]>,
    /// Woken by workers when connects to a backend fail too often.
    failing: AsyncFd<Arc<Waker>>,
    /// Places for connections in the process.
    gate: Arc<Gate>,
    totals: Totals,
    watch: Watch,
    access_log: AccessLog,
    /// Where workers count what they do.
    workers: Arc<PerWorker<WorkerCounters>>,
    /// What operators said of backends.
    overrides: Overrides,
    /// What the table in force goes by.
    health: Health,
    /// The same of the table whose coming was noted last.
    noted: Health,
    chronicle: Chronicle,
    peaks: Peaks,
    retired: Retired,
    swept_at: Instant,
    /// The longest queue of clients not yet accepted that the kernel allows.
    backlog_max: u32,
    connections_max: u32,
    reloads: Reloads,
    /// In seconds since 1970.
    started_at: f64,
    events: mpsc::Receiver<Event>,
    /// What connections of the admin interface want. It comes after all else: nobody who asks holds up a signal or a probe.
    asks: mpsc::Receiver<Ask>,
    /// Where workers are asked for their connections.
    inquirer: Inquirer,
    /// Workers that have not ended.
    running: usize,
    /// Sockets that systemd passed on.
    inherited: Inherited,
    /// Tells systemd.
    notify: Notify,
    /// When the connections that are left are cut; none while it does not drain.
    cut_at: Option<Instant>,
    admin: Admin,
}

/// What control waits for. Signals that arrive while one is being answered count as one; none is lost.
enum Event {
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Reopen,
    /// SIGTERM or SIGINT.
    End,
    /// A worker ended.
    Ended { worker: usize, result: Result<(), WorkerError> },
}

impl Control {
    async fn start(source: Source) -> Result<(Self, Sizes), Failure> {
        // Before anything listens: from the first connection on, no signal is deadly.
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        forward_signals(&sender)
            .map_err(|error| Failure::Runtime(format!("signals cannot be received: {error}")))?;
        let config = load(&source)?;
        let host = Host::prepare()
            .map_err(|error| Failure::Runtime(format!("the CPU affinity cannot be read: {error}")))?;
        let sizes = Sizes::new(
            &config.runtime,
            config.listeners.len(),
            probes(&config),
            Admin::descriptors(&config.admin),
            &host,
        )
        .map_err(too_few)?;
        log_sizes(&sizes, &host);
        warn_of_backlogs(&config, host.backlog_max);

        let workers = sizes.cpus.len();
        let gate = Arc::new(Gate::new(workers));
        let access_log = AccessLog::start(config.access_log.as_ref(), Arc::clone(&gate))?;
        let (ask, asks) = mpsc::channel(ASKS_MAX);
        let admin = Admin::start(&config.admin, &ask)?;
        let all: Vec<usize> = (0..config.listeners.len()).collect();
        let inherited = Inherited::from_environment();
        let sockets = bind(&config, &all, workers, &[], &inherited)?.into_iter().map(Arc::new).collect();
        inherited.warn_of_unused(&config);
        let mut watch = Watch::new(&config);
        let mut chronicle = Chronicle::default();
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
        let (inquirer, inquiries) = Inquirer::new(workers);
        let mut control = Self {
            source,
            laid_over: config.clone(),
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
            retired: Retired::default(),
            swept_at: Instant::now(),
            backlog_max: host.backlog_max,
            connections_max: sizes.connections_max,
            started_at: reloads.status().loaded_at,
            reloads,
            events,
            asks,
            inquirer,
            running: 0,
            inherited,
            notify: Notify::from_environment(workers, Instant::now()),
            cut_at: None,
            admin,
        };
        control.spawn(&sizes, inquiries, &sender)?;
        Ok((control, sizes))
    }

    /// Starts every worker, or none: those before one that fails are told to end.
    fn spawn(
        &mut self,
        sizes: &Sizes,
        inquiries: Vec<Inquiries>,
        sender: &mpsc::Sender<Event>,
    ) -> Result<(), Failure> {
        let workers = sizes.cpus.len();
        let recorders = self.access_log.recorders(workers);
        let ends = Handover::new(workers).into_iter().zip(inquiries).zip(recorders);
        for ((index, &cpu), ((handover, inquiries), recorder)) in sizes.cpus.iter().enumerate().zip(ends) {
            let settings = Settings {
                index,
                cpu,
                connections_max: sizes.connections_max,
                gate: Arc::clone(&self.gate),
                handover,
                inquiries,
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
            if let Err(error) = worker::spawn(settings, on_end) {
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
            Ok(ReadyListener { name: listener.name.clone(), address: sockets::address(&listener.sockets)? })
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
                Event::Reload => drop(self.reload()),
                Event::Reopen => self.access_log.reopen(),
                Event::End => break self.drain().await,
                Event::Ended { worker, result } => {
                    let failure = ended_unasked(worker, result);
                    self.chronicle.note(Level::Error, Kind::Phase, &failure);
                    self.enter_phase(Phase::Ending);
                    self.join().await;
                    break Err(failure);
                }
            }
        };
        self.log_totals();
        self.access_log.end();
        result
    }

    /// No new connections; those that exist may finish until a deadline.
    async fn drain(&mut self) -> Result<(), Failure> {
        let timeout = self.config.runtime.drain_timeout;
        let text = format!(
            "draining: connections={} may finish within {timeout:?}; a second signal ends them now",
            self.gate.active()
        );
        self.chronicle.note(Level::Info, Kind::Phase, text);
        self.enter_phase(Phase::Draining);
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
                    self.chronicle.note(Level::Info, Kind::Phase, text);
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
                    return log::error!("{} workers did not end within {JOIN_TIMEOUT:?}", self.running);
                }
            }
        }
    }

    /// Reads the file again and goes over to it, whole or not at all; says so to systemd.
    fn reload(&mut self) -> Answer {
        self.notify.reloading();
        let answer = self.reload_file();
        self.tell_ready();
        answer
    }

    fn reload_file(&mut self) -> Answer {
        self.log_totals();
        if let Source::Fixed(_) = self.source {
            log::warn!("reload: {NO_FILE}; the configuration stays");
            return Answer::refused(NO_FILE);
        }
        let begun = Instant::now();
        match load(&self.source).map_err(Refusal::from).and_then(|config| self.apply(config)) {
            Ok(changes) => {
                self.reloads.on_applied(begun.elapsed());
                Answer::Done(changes.lines().map(str::to_owned).collect())
            }
            Err(refusal) => {
                for line in refusal.lines() {
                    self.chronicle.note(Level::Error, Kind::Reload, format_args!("reload refused: {line}"));
                }
                log::info!("the configuration before it stays in force");
                self.reloads.on_refused(&refusal, begun.elapsed());
                Answer::from(&refusal)
            }
        }
    }

    fn apply(&mut self, config: Config) -> Result<Changes, Refusal> {
        let origins = plan(&self.config, &config)?;
        let previous = self.published.load_full();
        let access_log = self.access_log.prepare(config.access_log.as_ref())?;
        let sockets = self.sockets(&config, &origins, &previous)?;
        // Nothing can fail from here on.
        for (listener, origin) in config.listeners.iter().zip(&origins) {
            if let Origin::Kept(before) = *origin {
                self.relisten(&previous.listeners[before], &config, listener, &self.config.listeners[before]);
            }
        }
        let changes = Changes::between(&self.config, &config);
        self.overrides.follow(&config);
        self.laid_over = self.overrides.applied_to(&config);
        self.watch.follow(&self.laid_over, &self.overrides, &mut self.chronicle);
        self.health = self.look();
        let table =
            Table::build(&self.laid_over, sockets, self.wakers.len(), Some(&self.health), Some(&previous));
        let removed = self.totals.follow(&table);
        warn_of_backlogs(&config, self.backlog_max);
        self.config = config;
        if let Some(prepared) = access_log {
            self.access_log.go_over(prepared);
        }
        self.publish(table);
        // After the table, so that no worker takes the end of its socket for an error.
        for (index, listener) in previous.listeners.iter().enumerate() {
            if !origins.contains(&Origin::Kept(index)) {
                sockets::stop(&listener.sockets);
            }
        }
        log_lines(changes.lines());
        log_lines(removed.iter().map(String::as_str));
        self.inherited.warn_of_unused(&self.config);
        let text = match changes.lines().len() {
            0 => "reloaded: nothing changed".to_owned(),
            1 => "reloaded: 1 change".to_owned(),
            number => format!("reloaded: {number} changes"),
        };
        self.chronicle.note(Level::Info, Kind::Reload, text);
        Ok(changes)
    }

    /// The sockets of each listener of `config`: kept, or bound now.
    fn sockets(
        &self,
        config: &Config,
        origins: &[Origin],
        previous: &Table,
    ) -> Result<Vec<Arc<Sockets>>, Failure> {
        let new: Vec<usize> = (0..origins.len()).filter(|&index| origins[index] == Origin::Bound).collect();
        let held = previous.listeners.iter().map(|listener| sockets::address(&listener.sockets));
        let held: Vec<_> = held.filter_map(Result::ok).collect();
        let bound = bind(config, &new, self.wakers.len(), &held, &self.inherited)?;
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
        let options = sockets::options(listener, &config.pools[listener.pool.0]);
        let before = sockets::options(before, &self.config.pools[before.pool.0]);
        if (options.backlog, options.keepalive) == (before.backlog, before.keepalive) {
            return;
        }
        for socket in kept.sockets.iter() {
            if let Err(error) = uring::relisten(socket, options.backlog, options.keepalive) {
                log::warn!("listener {}: backlog and keepalive stay as they were: {error}", listener.name);
            }
        }
    }

    /// Nobody is accepted any more.
    fn enter_phase(&mut self, phase: Phase) {
        let table = self.published.load_full();
        self.publish(table.in_phase(phase));
        // After the table, so that no worker takes the end of its socket for an error.
        table.listeners.iter().for_each(|listener| sockets::stop(&listener.sockets));
    }

    fn publish(&mut self, table: Table) {
        let before = self.published.load_full();
        succession::note(
            Reign { table: &before, health: &self.noted },
            Reign { table: &table, health: &self.health },
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

    fn log_totals(&mut self) {
        log_lines(self.totals.lines().iter().map(String::as_str));
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
                note = self.access_log.note() => log::warn!("{note}"),
                () = sleep_until(self.peaks.due().into()) => self.peaks.look(&self.published.load_full(), now()),
                Some(ask) = self.asks.recv() => self.answer(ask),
            }
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
        Line {
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
    fn look(&mut self) -> Health {
        self.overrides.with_drains(self.watch.health(now(), &mut self.chronicle))
    }

    /// Puts a table in force that is made of the same config and sockets as the `previous` one.
    fn rebuild(&mut self, previous: &Table) {
        let sockets = previous.listeners.iter().map(|listener| Arc::clone(&listener.sockets)).collect();
        let workers = self.wakers.len();
        let table = Table::build(&self.laid_over, sockets, workers, Some(&self.health), Some(previous));
        self.publish(table.in_phase(previous.phase));
    }
}

/// The config. Reading is blocking: nothing else is waiting for this thread but signals.
fn load(source: &Source) -> Result<Config, Failure> {
    match source {
        Source::File(path) => Config::load(path).map_err(Failure::Config),
        Source::Fixed(config) => Ok(config.clone()),
    }
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
    held: &[std::net::SocketAddr],
    inherited: &Inherited,
) -> Result<Vec<Sockets>, Failure> {
    let listeners: Vec<_> = indices
        .iter()
        .map(|&index| &config.listeners[index])
        .map(|listener| (listener.name.as_str(), sockets::options(listener, &config.pools[listener.pool.0])))
        .collect();
    sockets::listen(&listeners, workers, held, inherited)
}

fn forward_signals(sender: &mpsc::Sender<Event>) -> io::Result<()> {
    forward(signal(SignalKind::hangup())?, sender.clone(), || Event::Reload);
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

fn too_few(TooFewDescriptors { limit, needed }: TooFewDescriptors) -> Failure {
    Failure::Runtime(format!(
        "the limit of open files is {limit}, and one connection needs {needed}\n  \
         raise it: `LimitNOFILE=` in the unit, or `ulimit -n`"
    ))
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

fn log_lines<'a>(lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        log::info!("{line}");
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
