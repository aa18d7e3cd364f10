//! How often the file was read again, and the result of the last time.

use std::time::{Duration, Instant, SystemTime};

use api::{Answer, Refused, ReloadStatus};

use crate::reload::Refusal;

/// The answer to a reload, or a plan, that is refused.
pub(crate) fn refused(refusal: &Refusal) -> Answer {
    let text = refusal.to_string().trim_end().to_owned();
    Answer::Refused(Refused { lines: refusal.lines(), text })
}

/// How often the file was read again, and the last result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reloads {
    status: ReloadStatus,
}

impl Reloads {
    /// The config in force was read now.
    pub(crate) fn on_load(&mut self) {
        self.status.loaded_at = unix_seconds();
    }

    pub(crate) fn on_applied(&mut self, took: Duration) {
        self.on_load();
        self.status.applied += 1;
        self.status.last_error = None;
        self.status.refused_at = None;
        self.status.last_seconds = Some(took.as_secs_f64());
    }

    pub(crate) fn on_refused(&mut self, refusal: &Refusal, took: Duration) {
        self.status.refused += 1;
        self.status.last_error = Some(refusal.summary());
        self.status.refused_at = Some(unix_seconds());
        self.status.last_seconds = Some(took.as_secs_f64());
    }

    pub(crate) fn status(&self) -> ReloadStatus {
        self.status.clone()
    }
}

/// The time of day at `then`, which is before `now`, in seconds since 1970.
pub(crate) fn unix_seconds_at(then: Instant, now: Instant) -> f64 {
    unix_seconds() - now.saturating_duration_since(then).as_secs_f64()
}

/// The time of day, in seconds since 1970: what other hosts can compare.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
