//! The loop that combines due requests, the connections that carry them, and the record of results.

use std::io;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use rustix::thread::set_current_timer_slack;

use crate::clock::clock;
use crate::connections::Connections;
use crate::record::{Failure, Outcome, Record};
use crate::schedule::Schedule;

/// One thread's share of the load.
pub(crate) struct Load {
    connections: Connections,
    schedule: Schedule,
    record: Record,
}

impl Load {
    /// The requests of `schedule` over `connections`, recorded in `record`.
    pub(crate) fn new(connections: Connections, schedule: Schedule, record: Record) -> Self {
        Self { connections, schedule, record }
    }

    /// Runs until every request has its response, or the grace period after the last one is over.
    ///
    /// # Errors
    ///
    /// If the kernel does not report events.
    pub(crate) fn run(mut self) -> io::Result<Record> {
        // Otherwise the kernel wakes up to 50 microseconds late, to save power. If it refuses, that is so.
        let _ = set_current_timer_slack(NonZeroU64::new(1));
        let mut events = Vec::new();
        loop {
            let now = clock();
            self.ask(now);
            if now >= self.end() {
                break;
            }
            let wake = self.next_wake(now);
            self.connections.wait(wake, &mut events)?;
            for event in events.drain(..) {
                if let Some(outcome) = self.connections.on_event(event) {
                    self.record.on_outcome(&outcome, clock());
                }
                // Meanwhile a connection may have become free, and other requests due.
                self.ask(clock());
            }
        }
        self.give_up();
        Ok(self.record)
    }

    /// Gives due requests to free connections.
    fn ask(&mut self, now: Instant) {
        while let Some(due) = self.schedule.give_up(now) {
            self.record.on_outcome(&Outcome { due, result: Err(Failure::Timeout) }, now);
        }
        while self.connections.is_free(now)
            && let Some(due) = self.schedule.take(now)
        {
            if let Some(outcome) = self.connections.ask(due) {
                self.record.on_outcome(&outcome, now);
            }
        }
    }

    /// When to stop, as known now.
    fn end(&self) -> Instant {
        let waiting = self.schedule.next_due().is_some() || self.connections.asking() > 0;
        self.schedule.end() + if waiting { GRACE } else { Duration::ZERO }
    }

    /// When to wake, if nothing happens before.
    fn next_wake(&mut self, now: Instant) -> Instant {
        // While no connection is free, due requests have to wait for an event.
        let next_due = if self.connections.is_free(now) { self.schedule.next_due() } else { None };
        let wakes = [next_due, self.connections.next_free()];
        let end = if now < self.schedule.end() { self.schedule.end() } else { self.end() };
        wakes.into_iter().flatten().fold(end, Instant::min)
    }

    /// Records every request without a response as failed.
    fn give_up(&mut self) {
        let now = clock();
        let failed = |due| Outcome { due, result: Err(Failure::Timeout) };
        for due in self.connections.unanswered() {
            self.record.on_outcome(&failed(due), now);
        }
        while self.schedule.next_due().is_some()
            && let Some(due) = self.schedule.take(now)
        {
            self.record.on_outcome(&failed(due), now);
        }
    }
}

/// How long responses are awaited after the last request was due.
const GRACE: Duration = Duration::from_secs(2);
