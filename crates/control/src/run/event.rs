//! What control waits for, and what it does for each.

use std::time::Duration;

use admin::AdminRequest;
use api::EventKind;
use config::Config;
use health::Report;
use host::holds;
use log::Level;
use table::Phase;
use tokio::time::{Instant, sleep_until};
use worker::WorkerError;

use super::Control;
use crate::failure::Failure;
use crate::monitor::now;
use crate::reading::Done;
use crate::sources::Line;
use crate::state_file::State;

/// What control waits for. Signals that arrive while one is being handled count as one; none is lost.
pub(super) enum Event {
    /// SIGHUP, unless the process ends with its terminal.
    Reload,
    /// SIGUSR1.
    Reopen,
    /// SIGTERM or SIGINT, or such a SIGHUP.
    End,
    /// A worker ended.
    WorkerEnded { worker: usize, result: Result<(), WorkerError> },
    /// The time of a drain, or of the end, is over.
    StageOver,
    /// A notification of systemd is due.
    NotifyDue,
    /// A probe ended.
    Probed(Report),
    /// Connects to a backend have failed as often in a row as its pool ejects it for.
    ConnectsFailed,
    /// Time alone asks for another table.
    TableDue,
    /// The file that survives a restart is to be written.
    StateDue,
    /// It was written for the first time after a failure, or not.
    StateWritten(Option<std::io::Result<()>>),
    /// What operators said about addresses is to be in a table, or has ended.
    AccessDue,
    /// Connections may have dropped what reloads replaced.
    SweepDue,
    /// A read of the file ended, or takes too long.
    FileRead(Box<Done>),
    /// The file of the configuration has changed since it was read.
    FileChanged(Result<Box<Config>, Failure>),
    /// The access log has something to say.
    AccessLog(String),
    /// What workers count is to be read.
    CountersDue,
    /// The admin interface asks.
    Request(AdminRequest),
}

impl Control {
    /// Handles events until the process ends.
    pub(super) async fn serve(mut self) -> Result<(), Failure> {
        while !self.stage.is_over() {
            let event = self.next_event().await;
            self.handle(event);
        }
        let access = self.writer.config().access();
        self.state_file.finish(|| State::of(access, now()), now()).await;
        self.log_totals(Level::Info);
        self.access_log.end();
        self.stage.into_result()
    }

    /// Waits, and does nothing else. It may be dropped and called again at any time.
    async fn next_event(&mut self) -> Event {
        let sweep = self.writer.has_retired().then_some(self.swept_at + SWEEP_INTERVAL);
        let (stage, table, notify) = (self.stage.until(), self.table_due(), self.notify.due());
        let access_due = self.access_due();
        let state_due = self.state_file.due().map(Instant::from_std);
        tokio::select! {
            biased;
            event = self.events.recv() => {
                event.expect("the tasks that receive signals hold senders and do not end")
            }
            () = until(stage) => Event::StageOver,
            // Before all that there may be much of: a watchdog that is not fed ends the process.
            () = until(notify) => Event::NotifyDue,
            report = self.monitor.next() => Event::Probed(report),
            ready = self.failing.readable() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                Event::ConnectsFailed
            }
            () = until(table) => Event::TableDue,
            () = until(access_due) => Event::AccessDue,
            () = until(state_due) => Event::StateDue,
            written = self.state_file.next() => Event::StateWritten(written),
            () = until(sweep) => Event::SweepDue,
            done = self.reading.next() => Event::FileRead(Box::new(done)),
            read = self.file_check.next() => Event::FileChanged(read),
            note = self.access_log.note() => Event::AccessLog(note),
            () = sleep_until(self.peaks.due().into()) => Event::CountersDue,
            Some(request) = self.requests.recv() => Event::Request(request),
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Reload => self.on_reload_signal(),
            Event::Reopen => self.access_log.reopen(),
            Event::End => self.on_end_signal(),
            Event::WorkerEnded { worker, result } => self.on_worker_ended(worker, result),
            Event::StageOver => self.on_stage_over(),
            Event::NotifyDue => self.tell_state(),
            Event::Probed(report) => self.on_probed(report),
            Event::ConnectsFailed => self.on_connects_failed(),
            Event::TableDue => self.refresh(),
            Event::AccessDue => self.on_access_due(),
            Event::StateDue => self.write_state(),
            Event::StateWritten(written) => self.on_state_written(written),
            Event::SweepDue => self.sweep(),
            Event::FileRead(done) => self.on_read(*done),
            Event::FileChanged(read) => self.on_file_changed(read),
            Event::AccessLog(note) => log::warn!("{note}"),
            Event::CountersDue => self.read_counters(),
            Event::Request(request) => self.answer(request),
        }
    }

    /// When time alone asks for another table.
    fn table_due(&self) -> Option<Instant> {
        let table = self.writer.table().due;
        table.into_iter().chain(self.monitor.due()).min().map(Instant::from_std)
    }

    /// Takes in a probe that ended, and all others that have ended by now. They bring one table, because a table takes
    /// time for each backend of the file, and thousands of backends may go down together.
    fn on_probed(&mut self, report: Report) {
        let now = now();
        let (mut is_stale, mut has_changed) = (false, false);
        let mut ended = Some(report);
        while let Some(report) = ended {
            // Whether a server that is held back is released depends on the roles of the others.
            if report.held_back && std::mem::take(&mut is_stale) {
                has_changed |= self.monitor.evaluate(now, &mut self.event_log);
            }
            is_stale |= self.monitor.on_report(&report, now, &mut self.event_log);
            ended = self.monitor.try_next();
        }
        has_changed |= is_stale && self.monitor.evaluate(now, &mut self.event_log);
        if has_changed {
            self.publish(now);
        }
    }

    fn on_connects_failed(&mut self) {
        self.failing.get_ref().clear();
        if self.monitor.on_failures(&self.writer.table(), now(), &mut self.event_log) {
            self.refresh();
        }
    }

    /// Reads what workers have counted since the last time.
    fn read_counters(&mut self) {
        let table = self.writer.table();
        self.peaks.read(&table, now());
        self.history.read(&table, now());
        self.source_sweep.sweep(&table.sources, now());
        self.check_sources();
        for (pool, line) in self.shortages.check(&table, &self.sources, now()) {
            match pool {
                Some(pool) => self.event_log.note_of(&pool, Level::Warn, EventKind::Host, line),
                None => self.event_log.note(Level::Warn, EventKind::Host, line),
            }
        }
    }

    /// Notes which addresses to connect from this host has lost, or got.
    pub(super) fn check_sources(&mut self) {
        for Line { held, text } in self.sources.check(self.writer.config().written(), now(), holds) {
            let level = if held { Level::Info } else { Level::Error };
            self.event_log.note(level, EventKind::Host, text);
        }
    }

    /// Whether commands and reloads change anything.
    pub(super) fn is_serving(&self) -> bool {
        self.writer.table().phase == Phase::Serving
    }
}

/// Waits until that time; without one it never returns.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// How often the writer frees what connections have dropped of replaced tables.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
