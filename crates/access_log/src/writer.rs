//! The thread that makes lines of records and writes them.
//!
//! ```text
//! orders ─▶ records ─▶ lines ─▶ written ─┐
//!   ▲                                    │ none is left: it sleeps until it is woken, or for `FLUSH_INTERVAL`
//!   └────────────────────────────────────┘
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use config::LogFormat;
use table::Semaphore;
use tokio::sync::mpsc;
use worker::{RECORDS_MAX, Record, Records};

use crate::ended::ENDED_MAX;
use crate::line::{Calendar, Clock, Line, PoolCounts};
use crate::{Orders, Shared, Target, lock};

pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    /// Counts the connections of the process.
    gate: Arc<Semaphore>,
    notes: mpsc::Sender<String>,
    /// By worker.
    records: Vec<Records>,
    target: Option<Target>,
    calendar: Calendar,
    /// Lines that are to be written.
    lines: Vec<u8>,
    /// How much of them is.
    written: usize,
    /// Whether the end of what was written last is a part of a line.
    torn: bool,
    /// How long nothing could be written, though something is to be.
    stuck: Duration,
    /// Whether it has said that nothing can be written.
    complains: bool,
}

/// How long lines may wait until they are written: how often records are looked for, while there is a log. Workers wake the scribe
/// before, if they have many.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// How many records of a worker become lines before those are written.
const BATCH_MAX: usize = 1024;

/// After so long without a line written, something is said.
const STUCK_AFTER: Duration = Duration::from_secs(1);

impl LogWriter {
    pub(crate) fn new(shared: Arc<Shared>, gate: Arc<Semaphore>, notes: mpsc::Sender<String>) -> Self {
        Self {
            shared,
            gate,
            notes,
            records: Vec::new(),
            target: None,
            calendar: Calendar::default(),
            lines: Vec::new(),
            written: 0,
            torn: false,
            stuck: Duration::ZERO,
            complains: false,
        }
    }

    pub(crate) fn run(mut self) {
        loop {
            let ends = self.follow_orders();
            let gathered = self.lines.is_empty() && self.gather();
            if !self.lines.is_empty() {
                self.write(FLUSH_INTERVAL);
            } else if gathered {
                // None of them was to be written; there may be more.
            } else if ends {
                return;
            } else if self.target.is_some() {
                std::thread::park_timeout(FLUSH_INTERVAL);
            } else {
                std::thread::park();
            }
        }
    }

    /// Does as it was told; says whether it is to end.
    fn follow_orders(&mut self) -> bool {
        let Orders { records, target, reopen, end } = self.shared.take_orders();
        self.records.extend(records);
        if let Some(target) = target {
            self.go_over(target);
        }
        if reopen {
            self.reopen();
        }
        end
    }

    fn go_over(&mut self, target: Option<Target>) {
        // What there is still goes where it was to go, if that takes it.
        for _ in 0..=RECORDS_MAX / BATCH_MAX {
            if self.target.is_none() || self.lines.is_empty() && !self.gather() {
                break;
            }
            while self.write(Duration::ZERO) {}
        }
        self.target = target;
        if self.target.is_none() {
            self.give_up_lines();
        }
        (self.torn, self.stuck, self.complains) = (false, Duration::ZERO, false);
        *lock(&self.shared.error) = None;
    }

    fn reopen(&mut self) {
        let Some(target) = &mut self.target else { return };
        match target.sink.reopen() {
            Ok(()) => self.torn = false,
            Err(error) => {
                self.say(format!("access log: it cannot be opened again, and goes on where it was: {error}"));
            }
        }
    }

    /// Makes lines of records, if there are any; says whether there were.
    #[expect(clippy::disallowed_methods, reason = "records have times of one clock, and lines of the other")]
    fn gather(&mut self) -> bool {
        let clock = Clock { instant: Instant::now(), time: SystemTime::now() };
        let mut pools = PoolCounts::default();
        let mut gathered: Vec<(usize, Record)> = Vec::new();
        for (worker, records) in self.records.iter_mut().enumerate() {
            let taken = std::iter::from_fn(|| records.take()).take(BATCH_MAX);
            gathered.extend(taken.map(|record| (worker, record)));
        }
        let Some(target) = &self.target else { return !gathered.is_empty() };
        // Each worker's are in order already, so that this is a merge.
        gathered.sort_by_key(|(_, record)| record.ended_at);
        let remembered_from = gathered.len().saturating_sub(ENDED_MAX);
        let mut remembered = Vec::new();
        let (mut accepted_at, mut ended_at) = (String::new(), String::new());
        for (number, (worker, record)) in gathered.iter().enumerate() {
            let is_written = !(target.skip_empty && is_empty(record));
            if !is_written && number < remembered_from {
                continue;
            }
            self.calendar.write(clock.time(record.stats.accepted_at), &mut accepted_at);
            let line = Line::new(record, *worker, &accepted_at, self.gate.active(), &mut pools);
            if is_written {
                match target.format {
                    LogFormat::Text => line.write_text(&mut self.lines),
                    LogFormat::Json => line.write_json(&mut self.lines),
                }
            }
            if number >= remembered_from {
                self.calendar.write(clock.time(record.ended_at), &mut ended_at);
                remembered.push((record.ended_at, line.kept(&ended_at)));
            }
        }
        let mut last = lock(&self.shared.ended);
        for (at, ended) in remembered {
            last.remember(at, ended);
        }
        !gathered.is_empty()
    }

    /// Writes some of the lines, if that is possible within `patience`; says whether there are more, and they may be.
    fn write(&mut self, patience: Duration) -> bool {
        let Some(target) = &mut self.target else { return false };
        if self.torn {
            self.lines.insert(self.written, b'\n');
            self.torn = false;
        }
        let rest = &self.lines[self.written..];
        if rest.is_empty() {
            return false;
        }
        match target.sink.write(rest, patience) {
            Ok(0) => {
                self.stuck += patience;
                if self.stuck >= STUCK_AFTER {
                    self.complain("nothing takes its lines");
                }
                false
            }
            Ok(length) => {
                let lines = count_lines(&rest[..length]);
                self.shared.written.fetch_add(lines, Ordering::Relaxed);
                self.written += length;
                self.stuck = Duration::ZERO;
                if self.complains {
                    self.complains = false;
                    *lock(&self.shared.error) = None;
                    self.say("access log: lines are written again".to_owned());
                }
                if self.written == self.lines.len() {
                    self.lines.clear();
                    self.written = 0;
                }
                !self.lines.is_empty()
            }
            Err(error) => {
                self.complain(&error.to_string());
                self.give_up_lines();
                false
            }
        }
    }

    /// Those that are not written are lost.
    fn give_up_lines(&mut self) {
        let lost = count_lines(&self.lines[self.written..]);
        self.shared.lost.fetch_add(lost, Ordering::Relaxed);
        self.torn = self.written > 0 && self.lines[self.written - 1] != b'\n';
        self.lines.clear();
        self.written = 0;
    }

    /// Says why lines are lost, or soon will be; once, until some are written again.
    fn complain(&mut self, why: &str) {
        *lock(&self.shared.error) = Some(why.to_owned());
        if !std::mem::replace(&mut self.complains, true) {
            self.say(format!("access log: {why}; lines are lost until that is mended"));
        }
    }

    fn say(&self, note: String) {
        // Control may be busy: then what it has to say already says that something is wrong.
        let _ = self.notes.try_send(note);
    }
}

/// Whether somebody only looked whether somebody listens.
fn is_empty(record: &Record) -> bool {
    use connection::CloseReason::{ClientLost, ClientReset, Done};
    record.stats.bytes == [0, 0] && matches!(record.reason, Done | ClientReset | ClientLost)
}

/// An empty one is none: it ends one that was torn.
fn count_lines(bytes: &[u8]) -> u64 {
    let ends: u64 = bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum();
    ends - u64::from(bytes.starts_with(b"\n"))
}
