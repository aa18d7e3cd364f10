//! The access log: one line for each connection that ended, from the records of workers.
//!
//! ```text
//! worker ──▶ queue of records ──┐
//! worker ──▶ queue of records ──┴─▶ writer thread ──▶ file, stderr or syslog
//!                                      ▲      └─▶ the connections that ended last; counts of written and lost lines
//! control ── target, reopen, gather ───┘
//! ```
//!
//! The writer never blocks a worker. While it cannot write, records stay in the queues; when a queue is full,
//! further records are dropped and counted. At the end of the process control waits for the writer for at most
//! `END_TIMEOUT`.

mod writer; // The thread. Start here.

mod ended;
mod line;
mod open_error;
mod selected;
mod shared;
mod sink;
mod udp;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Thread;
use std::time::Duration;

use api::{AccessLogStatus, Ended};
use config::AccessLog as Config;
use table::Semaphore;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use worker::Recorder;

pub use self::open_error::OpenError;
use self::shared::{Orders, Shared, Target, lock};
use self::sink::Sink;
use self::writer::LogWriter;

/// The handle of the access log. The writer thread always runs, because a reload may enable the log.
pub struct AccessLog {
    /// The configuration that the writer has or is about to apply; `None` if the log is off.
    config: Option<Config>,
    shared: Arc<Shared>,
    writer: Thread,
    /// Warnings of the writer for the process's log.
    notes: mpsc::Receiver<String>,
    /// Receives once, when the writer has ended.
    ended: Receiver<()>,
}

/// A configuration with its sink open, for [`AccessLog::apply`].
pub struct Prepared(Option<Config>, Option<Target>);

/// Warnings that control has not logged yet. When the queue is full, a warning is dropped: those in it report the
/// same.
const NOTES_MAX: usize = 4;

/// How long [`AccessLog::ended`] waits for the writer. It is busy for longer only if its target takes nothing.
const GATHER_MAX: Duration = Duration::from_secs(1);

/// How long [`AccessLog::end`] waits for the last lines.
const END_TIMEOUT: Duration = Duration::from_secs(1);

impl AccessLog {
    /// Starts the writer. `connections` is the semaphore of the process.
    ///
    /// # Errors
    ///
    /// The thread cannot be created.
    pub fn start(Prepared(config, target): Prepared, connections: Arc<Semaphore>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.orders().target = Some(target);
        let (note, notes) = mpsc::channel(NOTES_MAX);
        let (end, ended) = sync_channel(1);
        let writer = LogWriter::new(Arc::clone(&shared), connections, note);
        let body = move || {
            writer.run();
            // It fails if the handle was dropped.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("rondel-log".to_owned()).spawn(body)?;
        Ok(Self { config, shared, writer: thread.thread().clone(), notes, ended })
    }

    /// Makes a queue of records for each worker, and returns the sending halves.
    pub fn recorders(&self, workers: usize) -> Vec<Recorder> {
        let ends = (0..workers).map(|_| Recorder::new(self.writer.clone()));
        let (recorders, records): (Vec<_>, Vec<_>) = ends.unzip();
        self.order(|orders| orders.records = records);
        recorders
    }

    /// The configuration that was applied last; `None` if the log is off.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Applies a configuration.
    pub fn apply(&mut self, Prepared(config, target): Prepared) {
        self.config = config;
        self.order(|orders| orders.target = Some(target));
    }

    /// Requests that the writer reopens its file, after log rotation has renamed it. A failure becomes a
    /// [`note`](Self::note).
    pub fn reopen(&self) {
        self.order(|orders| orders.reopen = true);
    }

    /// Waits for the next warning for the process's log.
    pub async fn note(&mut self) -> String {
        match self.notes.recv().await {
            Some(note) => note,
            // The writer has ended.
            None => std::future::pending().await,
        }
    }

    /// Opens the target again and applies it. Returns the target; `None` if the log is off.
    ///
    /// # Errors
    ///
    /// The target cannot be opened. The writer keeps the old one.
    pub fn try_reopen(&mut self) -> Result<Option<String>, OpenError> {
        let Some(config) = &self.config else { return Ok(None) };
        let to = config.to.to_string();
        let prepared = Prepared::new(Some(config))?;
        self.apply(prepared);
        Ok(Some(to))
    }

    /// Requests that the writer writes the last lines and ends, and waits for it, at most for `END_TIMEOUT`.
    /// Workers must have ended before.
    pub fn end(&self) {
        self.order(|orders| orders.end = true);
        if self.ended.recv_timeout(END_TIMEOUT).is_err() {
            log::warn!("access log: the last lines were not written within {END_TIMEOUT:?}");
        }
    }

    /// The status. `dropped` is the number of records that workers dropped because their queue was full.
    pub fn status(&self, dropped: u64, left_out: u64) -> AccessLogStatus {
        AccessLogStatus {
            to: self.config.as_ref().map_or("off".to_owned(), |config| config.to.to_string()),
            written: self.shared.written.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed) + dropped,
            left_out,
            error: lock(&self.shared.error).clone(),
        }
    }

    /// The connections of logged listeners that ended last, the latest first. They include those whose lines are not
    /// written yet, unless the writer is busy for longer than `GATHER_MAX`.
    pub fn ended(&self) -> impl Future<Output = Vec<Ended>> + Send + use<> {
        let (sender, gathered) = oneshot::channel();
        self.order(|orders| orders.gathers.push(sender));
        let shared = Arc::clone(&self.shared);
        async move {
            let _ = timeout(GATHER_MAX, gathered).await;
            lock(&shared.ended).latest_first()
        }
    }

    fn order(&self, order: impl FnOnce(&mut Orders)) {
        order(&mut self.shared.orders());
        self.writer.unpark();
    }
}

impl Prepared {
    /// The access log is off.
    pub fn none() -> Self {
        Self(None, None)
    }

    /// Opens the target of `config`; `None` turns the log off.
    ///
    /// # Errors
    ///
    /// The target cannot be opened.
    pub fn new(config: Option<&Config>) -> Result<Self, OpenError> {
        let Some(config) = config else { return Ok(Self::none()) };
        let sink = Sink::open(config).map_err(|error| OpenError { to: config.to.to_string(), error })?;
        let target = Target {
            sink,
            format: config.format,
            fields: config.fields.clone(),
            skip_empty: config.skip_empty,
        };
        Ok(Self(Some(config.clone()), Some(target)))
    }
}
