//! The writer thread: it formats records as lines and writes them.
//!
//! ```text
//! orders ─▶ records ─▶ lines ─▶ write ─┐
//!   ▲                                  │ none left: it parks until it is unparked, or for `FLUSH_INTERVAL`
//!   └──────────────────────────────────┘
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use config::{LogField, LogFormat};
use table::Semaphore;
use tokio::sync::{mpsc, oneshot};
use worker::{RECORDS_MAX, Record, Records};

use crate::ended::ENDED_MAX;
use crate::line::{Calendar, Clock, Line, PoolCounts};
use crate::selected;
use crate::shared::{Orders, Shared, Target, lock};
use crate::sink::Wrote;

pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    /// The semaphore of the process, for the number of its connections.
    connections: Arc<Semaphore>,
    notes: mpsc::Sender<String>,
    /// By worker.
    records: Vec<Records>,
    target: Option<Target>,
    calendar: Calendar,
    /// That of the ends of connections, which are in other seconds than their beginnings.
    calendar_of_ends: Calendar,
    /// Formatted lines.
    lines: Vec<u8>,
    /// How many bytes of `lines` have been written.
    written: usize,
    /// Whether the last write ended within a line.
    torn: bool,
    /// How long lines are pending and none could be written.
    stuck: Duration,
    /// Whether the current failure has been reported.
    is_failure_reported: bool,
    /// Receivers that wait until the records in the queues are taken.
    gathers: Vec<oneshot::Sender<()>>,
}

/// How often the queues are read while the log is on. A worker with many records unparks the writer earlier.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// How many records of a worker are formatted before they are written.
const BATCH_MAX: usize = 1024;

/// How long nothing can be written before a warning is logged.
const STUCK_AFTER: Duration = Duration::from_secs(1);

impl LogWriter {
    pub(crate) fn new(shared: Arc<Shared>, connections: Arc<Semaphore>, notes: mpsc::Sender<String>) -> Self {
        Self {
            shared,
            connections,
            notes,
            records: Vec::new(),
            target: None,
            calendar: Calendar::default(),
            calendar_of_ends: Calendar::default(),
            lines: Vec::new(),
            written: 0,
            torn: false,
            stuck: Duration::ZERO,
            is_failure_reported: false,
            gathers: Vec::new(),
        }
    }

    pub(crate) fn run(mut self) {
        loop {
            let ends = self.execute_orders();
            let is_free = self.lines.is_empty();
            let gathered = is_free && self.gather();
            if is_free {
                for gather in self.gathers.drain(..) {
                    // It fails if the query was given up.
                    let _ = gather.send(());
                }
            }
            if !self.lines.is_empty() {
                self.write(FLUSH_INTERVAL);
            } else if gathered {
                // Every record was skipped; the queues may hold more.
            } else if ends {
                return;
            } else if self.target.is_some() {
                std::thread::park_timeout(FLUSH_INTERVAL);
            } else {
                std::thread::park();
            }
        }
    }

    /// Executes the pending orders. Returns whether the thread is to end.
    fn execute_orders(&mut self) -> bool {
        let Orders { records, target, reopen, gathers, end } = self.shared.take_orders();
        self.records.extend(records);
        self.gathers.extend(gathers);
        if let Some(target) = target {
            self.set_target(target);
        }
        if reopen {
            self.reopen();
        }
        end
    }

    fn set_target(&mut self, target: Option<Target>) {
        // Pending records go to the old target, as far as it takes them without blocking.
        for _ in 0..=RECORDS_MAX / BATCH_MAX {
            if self.target.is_none() || self.lines.is_empty() && !self.gather() {
                break;
            }
            while self.write(Duration::ZERO) {}
        }
        self.target = target;
        if self.target.is_none() {
            self.drop_lines();
        }
        (self.torn, self.stuck, self.is_failure_reported) = (false, Duration::ZERO, false);
        *lock(&self.shared.error) = None;
    }

    fn reopen(&mut self) {
        let Some(target) = &mut self.target else { return };
        match target.sink.reopen() {
            Ok(()) => self.torn = false,
            Err(error) => {
                self.note(format!(
                    "access log: cannot reopen the file, and continues in the old one: {error}"
                ));
            }
        }
    }

    /// Formats a batch of records. Returns whether there were any.
    #[expect(
        clippy::disallowed_methods,
        reason = "records have monotonic times, lines have wall-clock times"
    )]
    fn gather(&mut self) -> bool {
        let clock = Clock { instant: Instant::now(), time: SystemTime::now() };
        let mut pools = PoolCounts::default();
        let mut gathered: Vec<(usize, Record)> = Vec::new();
        for (worker, records) in self.records.iter_mut().enumerate() {
            let taken = std::iter::from_fn(|| records.take()).take(BATCH_MAX);
            gathered.extend(taken.map(|record| (worker, record)));
        }
        let Some(target) = &self.target else { return !gathered.is_empty() };
        // The records of a worker are in order already, so this is a merge.
        gathered.sort_by_key(|(_, record)| record.ended_at);
        let kept_from = gathered.len().saturating_sub(ENDED_MAX);
        let mut kept = Vec::new();
        let (mut accepted_at, mut ended_at) = (String::new(), String::new());
        let names_end = target.fields.as_ref().is_some_and(|fields| fields.contains(&LogField::EndedAt));
        for (number, (worker, record)) in gathered.iter().enumerate() {
            let is_written = !(target.skip_empty && is_empty(record));
            if !is_written && number < kept_from {
                continue;
            }
            self.calendar.write(clock.time(record.stats.accepted_at), &mut accepted_at);
            if names_end || number >= kept_from {
                self.calendar_of_ends.write(clock.time(record.ended_at), &mut ended_at);
            }
            let line = Line::new(record, *worker, &accepted_at, self.connections.active(), &mut pools);
            if is_written {
                match (target.format, &target.fields) {
                    (format, Some(fields)) => {
                        selected::write(&line, format, fields, &ended_at, &mut self.lines);
                    }
                    (LogFormat::Text, None) => line.write_text(&mut self.lines),
                    (LogFormat::Json, None) => line.write_json(&mut self.lines),
                }
            }
            if number >= kept_from {
                kept.push((record.ended_at, line.to_ended(&ended_at)));
            }
        }
        let mut last = lock(&self.shared.ended);
        for (at, ended) in kept {
            last.insert(at, ended);
        }
        !gathered.is_empty()
    }

    /// Writes some of the lines within `timeout`. Returns whether to call it again at once: lines are left, and
    /// writing works.
    fn write(&mut self, timeout: Duration) -> bool {
        let Some(target) = &mut self.target else { return false };
        if self.torn {
            self.lines.insert(self.written, b'\n');
            self.torn = false;
        }
        let rest = &self.lines[self.written..];
        if rest.is_empty() {
            return false;
        }
        match target.sink.write(rest, timeout) {
            Ok(Wrote { length: 0, .. }) => {
                self.stuck += timeout;
                if self.stuck >= STUCK_AFTER {
                    self.report_failure("the target accepts no data");
                }
                false
            }
            Ok(Wrote { length, lost }) => {
                let lines = count_lines(&rest[..length]);
                let is_over = lost.is_none() && self.is_failure_reported && !target.sink.is_doubtful();
                self.written += length;
                self.stuck = Duration::ZERO;
                if let Some(error) = lost {
                    self.shared.lost.fetch_add(lines, Ordering::Relaxed);
                    self.report_failure(&error.to_string());
                } else {
                    self.shared.written.fetch_add(lines, Ordering::Relaxed);
                }
                if is_over {
                    self.is_failure_reported = false;
                    *lock(&self.shared.error) = None;
                    self.note("access log: lines are written again".to_owned());
                }
                if self.written == self.lines.len() {
                    self.lines.clear();
                    self.written = 0;
                }
                !self.lines.is_empty()
            }
            Err(error) => {
                self.report_failure(&error.to_string());
                self.drop_lines();
                false
            }
        }
    }

    /// Drops the lines that are not written, and counts them as lost.
    fn drop_lines(&mut self) {
        let lost = count_lines(&self.lines[self.written..]);
        self.shared.lost.fetch_add(lost, Ordering::Relaxed);
        self.torn = self.written > 0 && self.lines[self.written - 1] != b'\n';
        self.lines.clear();
        self.written = 0;
    }

    /// Reports why lines are or soon will be lost: once, until a write succeeds.
    fn report_failure(&mut self, why: &str) {
        *lock(&self.shared.error) = Some(why.to_owned());
        if !std::mem::replace(&mut self.is_failure_reported, true) {
            self.note(format!("access log: {why}; lines are lost until this is fixed"));
        }
    }

    fn note(&self, note: String) {
        // If the queue is full, control is busy, and the notes in it report the same failure.
        let _ = self.notes.try_send(note);
    }
}

/// Whether a client, such as a health check, connected and closed without sending anything.
fn is_empty(record: &Record) -> bool {
    use connection::CloseReason::{ClientLost, ClientReset, Done};
    record.stats.bytes == [0, 0] && matches!(record.reason, Done | ClientReset | ClientLost)
}

/// Counts complete lines. An empty line does not count: it terminates a torn one.
fn count_lines(bytes: &[u8]) -> u64 {
    let ends: u64 = bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum();
    ends - u64::from(bytes.starts_with(b"\n"))
}
