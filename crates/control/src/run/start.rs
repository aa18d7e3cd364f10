//! From the config to workers that run.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access_log::{AccessLog, Prepared};
use admin::{Admin, REQUESTS_MAX};
use api::EventKind;
use config::{Config, counted};
use driver::{ListenGroup, Uring, Waker};
use host::{BindError, Host, Inherited, Notify, Sizes, TooLittle};
use log::Level;
use table::{EffectiveConfig, PerWorker, Phase, Semaphore, TableWriter};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use worker::{Balancer, QueryReceiver, QuerySender, Settings};

use super::event::Event;
use super::logging::{log_sizes, warn_of, warn_of_backlogs};
use super::phases::Stage;
use super::{Control, Source};
use crate::access_pace::AccessPace;
use crate::event_log::EventLog;
use crate::failure::Failure;
use crate::file_check::FileCheck;
use crate::history::History;
use crate::monitor::{HealthMonitor, now};
use crate::peaks::Peaks;
use crate::reading::{self, Done, Loaded, READ_TIME_MAX, Reading};
use crate::ready::{Ready, ReadyListener};
use crate::reloads::Reloads;
use crate::shortages::Shortages;
use crate::source_sweep::{SourceSweep, new_sources};
use crate::sources::Sources;
use crate::state_file::{self, Restored, StateFile};
use crate::totals::Totals;

impl Control {
    pub(super) async fn start(source: Source) -> Result<(Self, Sizes), Failure> {
        // Before anything listens: from the first connection on, no signal is deadly.
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        forward_signals(&source, &sender)
            .map_err(|error| Failure::Runtime(format!("signals cannot be received: {error}")))?;
        let Loaded { config, access_log, token } = load(&source).await?;
        let host = Host::prepare()
            .map_err(|error| Failure::Runtime(format!("the CPU affinity cannot be read: {error}")))?;
        let inherited = Inherited::from_environment();
        let config = adapt(config, &host, &inherited);
        host::refuse_loops(&config).map_err(Failure::Own)?;
        let sizes = sizes(&config, &host)?;
        log_sizes(&sizes, &host);
        warn_of_backlogs(&config, host.backlog_max);
        warn_of(&host::warnings(&config), &[]);

        let workers = sizes.cpus.len();
        let semaphore = Arc::new(Semaphore::new(workers));
        let access_log = AccessLog::start(access_log.unwrap_or_else(Prepared::none), Arc::clone(&semaphore))
            .map_err(|error| Failure::Runtime(format!("a thread for the access log: {error}")))?;
        let (request_sender, requests) = mpsc::channel(REQUESTS_MAX);
        let token = token.map(|(token, warning)| {
            warn_of(warning.as_slice(), &[]);
            token
        });
        let admin = Admin::start(&config.admin, token, &request_sender)?;
        let all: Vec<_> = config.listen_addresses().collect();
        let sockets = bind(&config, &all, workers, &[], admin.http, &inherited)?;
        let sockets = sockets.into_iter().map(Arc::new).collect();
        inherited.warn_of_unused(&config);
        let mut event_log = EventLog::default();
        let mut monitor = HealthMonitor::new(&EffectiveConfig::new(config.clone()));
        monitor.first_round(FIRST_ROUND_MAX, &mut event_log).await;
        let now = now();
        monitor.evaluate(now, &mut event_log);
        let mut writer = TableWriter::new(
            config,
            sockets,
            workers,
            monitor.inputs(now),
            new_sources(sizes.connections_max),
        );
        let state_file = restore(&mut writer, &monitor, &mut event_log).await;
        let no_waker = |error| Failure::Runtime(format!("a waker could not be made: {error}"));
        let wakers = (0..workers).map(|_| Waker::new()).collect::<io::Result<_>>().map_err(no_waker)?;
        let failing = Waker::new().and_then(|waker| poll(Arc::new(waker))).map_err(no_waker)?;
        let mut totals = Totals::default();
        totals.update(&writer.table());
        let mut reloads = Reloads::default();
        reloads.on_load();
        let (query_sender, queries) = QuerySender::new(workers);
        let file_check = FileCheck::new(source.file().cloned(), writer.config().written());
        let mut control = Self {
            source,
            writer,
            stage: Stage::Serving,
            wakers,
            failing,
            semaphore,
            totals,
            monitor,
            access_log,
            workers: Arc::new(PerWorker::new(workers)),
            event_log,
            peaks: Peaks::new(now),
            history: History::default(),
            sources: Sources::default(),
            shortages: Shortages::default(),
            source_sweep: SourceSweep::new(now),
            swept_at: Instant::now(),
            host,
            connections_max: sizes.connections_max,
            started_at: reloads.status().loaded_at,
            reloads,
            events,
            requests,
            query_sender: Arc::new(query_sender),
            access_pace: AccessPace::new(now),
            state_file,
            closings: Vec::new(),
            running: 0,
            inherited,
            reading: Reading::new(),
            file_check,
            notify: Notify::from_environment(workers, Instant::now()),
            admin,
        };
        control.check_sources();
        control.spawn(&sizes, queries, &sender)?;
        control.note_start();
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
                semaphore: Arc::clone(&self.semaphore),
                balancer,
                queries,
                pipes_max: sizes.pipes_per_worker,
                counters: Arc::clone(&self.workers),
                recorder,
                wakers: Arc::clone(&self.wakers),
                control: Arc::clone(self.failing.get_ref()),
                published: Arc::clone(self.writer.published()),
            };
            let sender = sender.clone();
            let on_end = move |result| {
                // It fails when the process has ended.
                let _ = sender.blocking_send(Event::WorkerEnded { worker: index, result });
            };
            if let Err(error) = worker::spawn(settings, Uring::new, on_end) {
                self.enter_phase(Phase::Ending);
                return Err(Failure::Kernel(error));
            }
            self.running += 1;
        }
        Ok(())
    }

    fn note_start(&mut self) {
        let config = self.writer.config().written();
        let backends = config.pools.iter().map(|pool| pool.backends.len()).sum::<usize>();
        let text = format!(
            "rondel {} started: {}, {}, {}",
            env!("CARGO_PKG_VERSION"),
            counted(config.listeners.len(), "listener"),
            counted(config.pools.len(), "pool"),
            counted(backends, "backend")
        );
        self.event_log.note(Level::Info, EventKind::Phase, text);
    }

    pub(super) fn ready(&self, sizes: &Sizes) -> Result<Ready, Failure> {
        let table = self.writer.table();
        let listener = |listener: &Arc<table::Listener>| {
            let addresses = listener.endpoints.iter().map(|endpoint| endpoint.sockets.address());
            Ok(ReadyListener {
                name: listener.name.clone(),
                addresses: addresses.collect::<io::Result<_>>()?,
            })
        };
        let listeners = table.listeners.iter().map(listener).collect::<io::Result<_>>();
        Ok(Ready {
            listeners: listeners.map_err(|error| Failure::Runtime(format!("getsockname: {error}")))?,
            workers: sizes.cpus.len(),
            connections_max: sizes.connections_max,
            http: self.admin.http,
        })
    }
}

/// Restores what operators said about addresses before the start, before anything is accepted by a table without it.
async fn restore(writer: &mut TableWriter, monitor: &HealthMonitor, event_log: &mut EventLog) -> StateFile {
    let state_file = StateFile::new(writer.config().written().runtime.state.as_deref(), now());
    let Some(path) = state_file.path() else { return state_file };
    let Restored { said, mut ended } = match state_file::restore(path.to_owned(), now()).await {
        Ok(restored) => restored,
        Err(why) => {
            event_log.note(Level::Warn, EventKind::Access, why);
            return state_file;
        }
    };
    let number = said.len();
    for (key, said) in said {
        writer.note_access(key, Some(said));
    }
    let dropped = writer.drop_access_without_list();
    ended += dropped;
    // No worker has seen a table yet.
    drop(writer.refresh(monitor.inputs(now())));
    if number + ended > 0 {
        let text = format!(
            "state: what operators said about {} holds again; {ended} more have ended or name lists that are gone",
            counted(number - dropped, "prefix")
        );
        event_log.note(Level::Info, EventKind::Access, text);
    }
    state_file
}

/// The config at the start. Signals that come meanwhile are answered after it.
async fn load(source: &Source) -> Result<Loaded, Failure> {
    let path = match source {
        Source::File(path) | Source::Attached(path) => path,
        Source::Fixed(config) => {
            return Ok(Loaded { config: Config::clone(config), access_log: None, token: None });
        }
    };
    let mut reading = Reading::new();
    reading.ask([], reading::load(path.clone(), None));
    match reading.next().await {
        Done::Read { read, .. } => read,
        Done::Overdue(_) | Done::Late(_) => Err(Failure::Config(Config::unread(path, READ_TIME_MAX))),
    }
}

pub(super) fn adapt(config: Config, host: &Host, inherited: &Inherited) -> Config {
    host.adapt(config, |address| inherited.addresses().any(|passed| passed == address))
}

fn sizes(config: &Config, host: &Host) -> Result<Sizes, Failure> {
    let descriptors = Admin::descriptors(&config.admin);
    Sizes::new(&config.runtime, config.listen_addresses().count(), probes(config), descriptors, host)
        .map_err(too_little)
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

/// Binds these addresses of these listeners.
pub(super) fn bind(
    config: &Config,
    addresses: &[(&config::Listener, SocketAddr)],
    workers: usize,
    held: &[SocketAddr],
    http: Option<SocketAddr>,
    inherited: &Inherited,
) -> Result<Vec<ListenGroup>, BindError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &(listener, address) in addresses {
        let options = host::options(listener, address, &config.pools[listener.pool.0]);
        listeners.push((listener.name.as_str(), options));
    }
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

/// Events that wait to be handled. At the bound their senders wait: signals of a kind count as one, and a worker
/// that has ended stays a thread for a moment longer.
const EVENTS_MAX: usize = 16;

/// How long the first round of probes may take, before any client is served.
const FIRST_ROUND_MAX: Duration = Duration::from_secs(1);
