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

mod event; // What control waits for, and what it does for each. Start here.
mod logging;
mod phases; // Serving, draining, ending.
mod reload; // Another config, whole or not at all.
mod start;
mod systemd; // What systemd is told.

mod access; // What operators say about addresses of clients.
mod connections; // Queries for connections, which workers answer.
mod requests; // What the admin interface asks.

use std::path::PathBuf;
use std::sync::Arc;

use access_log::AccessLog;
use admin::{Admin, AdminRequest};
use config::Config;
use driver::Waker;
use host::{Host, Inherited, Notify};
use table::{PerWorker, Semaphore, TableWriter, WorkerCounters, Written};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::Instant;
use worker::QuerySender;

use self::access::Closing;
use self::event::Event;
use self::phases::Stage;
use crate::access_pace::AccessPace;
use crate::event_log::EventLog;
use crate::failure::Failure;
use crate::file_check::FileCheck;
use crate::history::History;
use crate::monitor::{HealthMonitor, now};
use crate::peaks::Peaks;
use crate::reading::Reading;
use crate::ready::Ready;
use crate::reloads::Reloads;
use crate::shortages::Shortages;
use crate::source_sweep::SourceSweep;
use crate::sources::Sources;
use crate::state_file::StateFile;
use crate::totals::Totals;
use crate::transitions::{self, Snapshot};

/// Where the config comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From this file, at start and at every SIGHUP.
    File(PathBuf),
    /// From the caller, once.
    Fixed(Box<Config>),
    /// From this file, for a process that ends with its terminal: SIGHUP ends it as SIGTERM does, and only a command
    /// reloads the file.
    Attached(PathBuf),
}

impl Source {
    /// The file, if there is one.
    fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) | Self::Attached(path) => Some(path),
            Self::Fixed(_) => None,
        }
    }
}

/// Balances until a signal or a failure ends the process. Calls `ready` once, when every listener is bound and
/// every worker runs.
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
        // A task of its own, because waking the one that is blocked on takes a write(2) each time.
        let serving = tokio::spawn(control.serve());
        serving.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    })
}

/// The one writer: it drives [`TableWriter`], and does what that must not.
struct Control {
    source: Source,
    writer: TableWriter,
    stage: Stage,
    wakers: Arc<[Waker]>,
    /// Woken by workers when connects to a backend fail too often.
    failing: AsyncFd<Arc<Waker>>,
    /// Permits for connections of the process.
    semaphore: Arc<Semaphore>,
    totals: Totals,
    monitor: HealthMonitor,
    access_log: AccessLog,
    /// Where workers count what they do.
    workers: Arc<PerWorker<WorkerCounters>>,
    event_log: EventLog,
    peaks: Peaks,
    history: History,
    sources: Sources,
    shortages: Shortages,
    source_sweep: SourceSweep,
    swept_at: Instant,
    host: Host,
    connections_max: u32,
    reloads: Reloads,
    /// In seconds since 1970.
    started_at: f64,
    /// Signals, and ends of workers.
    events: mpsc::Receiver<Event>,
    /// Requests of the admin interface. They come last: none of them delays a signal or a probe.
    requests: mpsc::Receiver<AdminRequest>,
    /// Where workers are asked for their connections.
    query_sender: Arc<QuerySender>,
    /// When what operators say about addresses may make a table.
    access_pace: AccessPace,
    /// Where what operators say about addresses survives a restart.
    state_file: StateFile,
    /// Denials that close connections, and wait for their table. Bound: requests of the admin interface.
    closings: Vec<Closing>,
    /// Workers that have not ended.
    running: usize,
    /// Sockets that systemd passed on.
    inherited: Inherited,
    /// The read of the file that is under way.
    reading: Reading,
    /// Whether the file differs from the config in force.
    file_check: FileCheck,
    /// Tells systemd.
    notify: Notify,
    admin: Admin,
}

impl Control {
    /// Another table is in force: notes what it brings, wakes workers, and then stops sockets.
    fn on_written(&mut self, written: Written) {
        log::debug!(target: "tables", "another table is in force");
        let table = self.writer.table();
        let before = Snapshot { table: &written.table, inputs: &written.inputs };
        transitions::note(
            before,
            Snapshot { table: &table, inputs: self.writer.inputs() },
            &mut self.event_log,
        );
        self.wakers.iter().for_each(Waker::wake);
        // After the table, so that no worker takes the end of its socket for an error.
        written.stopped.iter().for_each(|sockets| sockets.stop());
        drop(written);
        self.sweep();
        self.close_what_is_denied();
    }

    fn sweep(&mut self) {
        self.writer.sweep();
        self.swept_at = Instant::now();
    }

    /// Publishes a table for the current states of backends, if it differs.
    fn refresh(&mut self) {
        let now = now();
        if self.monitor.evaluate(now, &mut self.event_log) || self.writer.is_due(now) {
            self.publish(now);
        }
    }

    /// Publishes a table for the states of backends as they were evaluated, if it differs.
    fn publish(&mut self, now: std::time::Instant) {
        if let Some(written) = self.writer.refresh(self.monitor.inputs(now)) {
            self.on_written(written);
        }
    }
}
