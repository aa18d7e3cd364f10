//! What systemd is told.

use driver::Waker;
use table::Phase;
use tokio::time::Instant;

use super::Control;
use crate::status_line::StatusLine;

impl Control {
    pub(super) fn tell_ready(&mut self) {
        let now = Instant::now();
        self.notify.ready(&self.line(now), now);
        // From here on, the watchdog watches whether they turn.
        self.wakers.iter().for_each(Waker::wake);
    }

    pub(super) fn tell_state(&mut self) {
        let now = Instant::now();
        let turns: Vec<u64> = self.workers.iter().map(|worker| worker.turns.get()).collect();
        let ends = self.writer.table().phase != Phase::Serving;
        let line = self.line(now);
        if self.notify.on_due(now, &turns, ends, line) {
            self.wakers.iter().for_each(Waker::wake);
        }
    }

    pub(super) fn line(&self, now: Instant) -> String {
        let table = self.writer.table();
        let states = || self.writer.inputs().pools.values().flat_map(|pool| pool.backends.values());
        let reloads = self.reloads.status();
        StatusLine {
            phase: table.phase,
            listeners: table.listeners.len(),
            backends: states().count(),
            available: states().filter(|state| state.availability.is_available()).count(),
            connections: self.semaphore.active(),
            left: self.stage.drained_at().map(|at| at.saturating_duration_since(now)),
            refused: reloads.last_error.as_deref(),
        }
        .to_string()
    }
}
