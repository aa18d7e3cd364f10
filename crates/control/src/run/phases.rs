//! The stages of the process after its start: serving, draining, ending.

use std::time::Duration;

use api::{Answer, EventKind};
use config::counted;
use log::Level;
use table::Phase;
use tokio::time::Instant;
use worker::WorkerError;

use super::Control;
use super::reload::tell;
use crate::failure::Failure;

/// Where the process is in its life, and what becomes of it.
pub(super) enum Stage {
    Serving,
    /// No new connection; established ones may finish until then.
    Draining {
        until: Instant,
        /// That of a worker that failed meanwhile.
        failure: Option<Failure>,
    },
    /// Workers close everything. The process ends by then, whether they have or not.
    Ending {
        until: Instant,
        result: Result<(), Failure>,
    },
    Over(Result<(), Failure>),
}

impl Stage {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over(_))
    }

    /// When its time is over.
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Draining { until, .. } | Self::Ending { until, .. } => Some(*until),
            Self::Serving | Self::Over(_) => None,
        }
    }

    /// When a drain closes the connections that are left.
    pub(super) fn drained_at(&self) -> Option<Instant> {
        match self {
            Self::Draining { until, .. } => Some(*until),
            Self::Serving | Self::Ending { .. } | Self::Over(_) => None,
        }
    }

    /// How the process ends.
    pub(super) fn into_result(self) -> Result<(), Failure> {
        match self {
            Self::Serving => Ok(()),
            Self::Draining { failure, .. } => failure.map_or(Ok(()), Err),
            Self::Ending { result, .. } | Self::Over(result) => result,
        }
    }
}

impl Control {
    pub(super) fn on_reload_signal(&mut self) {
        match self.stage {
            Stage::Serving => self.reload(None),
            Stage::Draining { .. } => log::warn!("SIGHUP: not reloading while draining"),
            // It ends already.
            Stage::Ending { .. } | Stage::Over(_) => {}
        }
    }

    pub(super) fn on_end_signal(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Serving) {
            Stage::Serving => self.drain(),
            Stage::Draining { failure, .. } => {
                let text = format!("ending at once: connections={} are closed", self.semaphore.active());
                self.event_log.note(Level::Info, EventKind::Phase, text);
                self.end(failure.map_or(Ok(()), Err));
            }
            stage @ (Stage::Ending { .. } | Stage::Over(_)) => self.stage = stage,
        }
    }

    pub(super) fn on_worker_ended(&mut self, worker: usize, result: Result<(), WorkerError>) {
        self.notify.on_ended(worker);
        self.running -= 1;
        match &mut self.stage {
            Stage::Serving => {
                let failure = ended_unasked(worker, result);
                self.event_log.note(Level::Error, EventKind::Phase, &failure);
                self.end(Err(failure));
            }
            Stage::Draining { failure, .. } => {
                if result.is_err() {
                    let ended = ended_unasked(worker, result);
                    log::error!("{ended}");
                    *failure = Some(ended);
                }
            }
            Stage::Ending { .. } | Stage::Over(_) => {
                if let Err(error) = result {
                    log::error!("worker {worker}: {error}");
                }
            }
        }
        if self.running == 0 {
            self.over();
        }
    }

    /// The time of a drain, or of the end, is over.
    pub(super) fn on_stage_over(&mut self) {
        match self.stage {
            Stage::Draining { .. } => {
                let connections = u64::from(self.semaphore.active());
                self.end(Err(Failure::DrainTimedOut { connections }));
            }
            Stage::Ending { .. } => {
                let workers = counted(self.running, "worker");
                log::error!("{workers} did not end within {END_TIMEOUT:?}");
                self.over();
            }
            Stage::Serving | Stage::Over(_) => {}
        }
    }

    /// No new connections; established ones may finish until a deadline.
    fn drain(&mut self) {
        let timeout = self.writer.config().written().runtime.drain_timeout;
        let text = format!(
            "draining: connections={} may finish within {}; a second signal ends them now",
            self.semaphore.active(),
            config::show_duration(timeout)
        );
        self.event_log.note(Level::Info, EventKind::Phase, text);
        self.enter_phase(Phase::Draining);
        self.state_file.close();
        tell(self.reading.give_up(), &Answer::refused(DRAINING));
        let now = Instant::now();
        self.stage = Stage::Draining { until: now + timeout, failure: None };
        self.notify.stopping(&self.line(now), now);
    }

    /// Has workers close everything, and the process end as `result` says once they have.
    fn end(&mut self, result: Result<(), Failure>) {
        self.enter_phase(Phase::Ending);
        self.stage = Stage::Ending { until: Instant::now() + END_TIMEOUT, result };
    }

    fn over(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Serving);
        self.stage = Stage::Over(stage.into_result());
    }

    /// Begins another phase of the workers.
    pub(super) fn enter_phase(&mut self, phase: Phase) {
        let written = self.writer.enter_phase(phase);
        self.on_written(written);
    }
}

fn ended_unasked(worker: usize, result: Result<(), WorkerError>) -> Failure {
    Failure::Runtime(match result {
        Ok(()) => format!("worker {worker} ended without being asked to"),
        Err(error) => format!("worker {worker}: {error}"),
    })
}

/// Why a command changes nothing.
pub(super) const DRAINING: &str = "the process is draining: nothing is changed any more";

/// How long workers may take to close everything at once.
const END_TIMEOUT: Duration = Duration::from_secs(5);
