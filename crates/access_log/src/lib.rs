//! The access log: a line for each connection that ended, made of the records of workers.
//!
//! ```text
//! worker ──▶ queue of records ──┐
//! worker ──▶ queue of records ──┴─▶ scribe, a thread of its own ──▶ file, stderr or syslog
//!                                          ▲         └─▶ the last that ended, and how many lines were written or lost
//! control ── where to write, reopen, end ──┘
//! ```
//!
//! Nobody waits for the scribe but control at the end of the process, and that not for long: where nothing can be written, records
//! stay in the queues until those are full, and then they are lost, and counted.

mod writer; // The thread. Start here.

mod ended;
mod line;
mod open_error;
mod sink;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use api::{AccessLogStatus, Ended};
use config::{AccessLog as Config, LogFormat};
use table::Semaphore;
use tokio::sync::mpsc;
use worker::{Recorder, Records};

use self::ended::LastEnded;
pub use self::open_error::OpenError;
use self::sink::Sink;
use self::writer::LogWriter;

/// The access log, as control has it. The scribe always runs: an operator may turn the log on at any time.
pub struct AccessLog {
    /// What the scribe was told last.
    config: Option<Config>,
    shared: Arc<Shared>,
    scribe: Thread,
    /// What is to be said in the log of the process.
    notes: mpsc::Receiver<String>,
    /// Says when the scribe has ended.
    ended: Receiver<()>,
}

/// A config with its sink open, for the scribe to go over to.
pub struct Prepared(Option<Config>, Option<Target>);

/// Where and how lines are written.
struct Target {
    sink: Sink,
    format: LogFormat,
    skip_empty: bool,
}

/// What control and the scribe share. Whoever locks something holds it for a moment, and never while he writes.
#[derive(Default)]
struct Shared {
    orders: Mutex<Orders>,
    written: AtomicU64,
    lost: AtomicU64,
    /// Why the last lines were lost; none if the last ones were written.
    error: Mutex<Option<String>>,
    ended: Mutex<LastEnded>,
}

/// What the scribe is to do. A new order takes the place of the one before, so there is no queue of them.
#[derive(Default)]
struct Orders {
    /// To take records from these as well.
    records: Vec<Records>,
    /// To write there, or nowhere.
    #[expect(clippy::option_option, reason = "no order, and the order to write nowhere")]
    target: Option<Option<Target>>,
    /// To open its file again, by its path.
    reopen: bool,
    /// To write what there is, and end.
    end: bool,
}

/// Notes that wait to be said. At the bound a note is dropped: those before it say the same.
const NOTES_MAX: usize = 4;

/// How long the process waits at its end for the last lines to be written.
const END_TIMEOUT: Duration = Duration::from_secs(1);

impl AccessLog {
    /// Starts the scribe with what was opened. `gate` counts the connections of the process.
    pub fn start(Prepared(config, target): Prepared, gate: Arc<Semaphore>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.orders().target = Some(target);
        let (say, notes) = mpsc::channel(NOTES_MAX);
        let (end, ended) = sync_channel(1);
        let scribe = LogWriter::new(Arc::clone(&shared), gate, say);
        let body = move || {
            scribe.run();
            // Nobody may be waiting for it.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("rondel-log".to_owned()).spawn(body)?;
        Ok(Self { config, shared, scribe: thread.thread().clone(), notes, ended })
    }

    /// Where workers put their records.
    pub fn recorders(&self, workers: usize) -> Vec<Recorder> {
        let ends = (0..workers).map(|_| Recorder::new(self.scribe.clone()));
        let (recorders, records): (Vec<_>, Vec<_>) = ends.unzip();
        self.order(|orders| orders.records = records);
        recorders
    }

    /// What the scribe goes by, or is to go over to.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Has the scribe go over to what was prepared.
    pub fn go_over(&mut self, Prepared(config, target): Prepared) {
        self.config = config;
        self.order(|orders| orders.target = Some(target));
    }

    /// Has the scribe open its file again: it was renamed.
    pub fn reopen(&self) {
        self.order(|orders| orders.reopen = true);
    }

    /// Waits for what is to be said in the log of the process.
    pub async fn note(&mut self) -> String {
        match self.notes.recv().await {
            Some(note) => note,
            // The scribe has ended, and says no more.
            None => std::future::pending().await,
        }
    }

    /// Opens where it writes again, and has the scribe go over to that, and says whether that worked. Returns where it
    /// writes; none if it is off.
    pub fn open_again(&mut self) -> Result<Option<String>, OpenError> {
        let Some(config) = &self.config else { return Ok(None) };
        let to = config.to.to_string();
        let prepared = Prepared::new(Some(config))?;
        self.go_over(prepared);
        Ok(Some(to))
    }

    /// Has the scribe write what there is, and end; does not wait for longer than [`END_TIMEOUT`]. Workers have ended before.
    pub fn end(&self) {
        self.order(|orders| orders.end = true);
        if self.ended.recv_timeout(END_TIMEOUT).is_err() {
            log::warn!("access log: the last lines could not be written within {END_TIMEOUT:?}");
        }
    }

    /// How it is. `unwritten` is how many records workers could not even hand on.
    pub fn status(&self, unwritten: u64) -> AccessLogStatus {
        AccessLogStatus {
            to: self.config.as_ref().map_or("off".to_owned(), |config| config.to.to_string()),
            written: self.shared.written.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed) + unwritten,
            error: lock(&self.shared.error).clone(),
        }
    }

    /// The connections of logged listeners that ended last, the latest first.
    pub fn ended(&self) -> Vec<Ended> {
        lock(&self.shared.ended).latest_first()
    }

    fn order(&self, order: impl FnOnce(&mut Orders)) {
        order(&mut self.shared.orders());
        self.scribe.unpark();
    }
}

impl Prepared {
    /// No access log.
    pub fn none() -> Self {
        Self(None, None)
    }

    /// Opens what `config` names.
    pub fn new(config: Option<&Config>) -> Result<Self, OpenError> {
        let Some(config) = config else { return Ok(Self::none()) };
        let sink = Sink::open(&config.to).map_err(|error| OpenError { to: config.to.to_string(), error })?;
        let target = Target { sink, format: config.format, skip_empty: config.skip_empty };
        Ok(Self(Some(config.clone()), Some(target)))
    }
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        lock(&self.orders)
    }

    /// The order to end stands until it is followed.
    fn take_orders(&self) -> Orders {
        let mut orders = self.orders();
        let end = orders.end;
        std::mem::replace(&mut *orders, Orders { end, ..Orders::default() })
    }
}

/// What lies behind a lock is whole between any two lines of those who lock it, so it is of use even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
