//! What came of a command, and of reloads.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::ReloadStatus;
use crate::reload::Refusal;

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was done. What changed, a line for each thing.
    Done(Vec<String>),
    /// It was not, and nothing changed.
    Refused(Refused),
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// A line for each thing that is wrong.
    pub lines: Vec<String>,
    /// The same for people, with the place in the file drawn where it is one.
    pub text: String,
}

impl Answer {
    pub(crate) fn done(line: String) -> Self {
        Self::Done(vec![line])
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::Refused(Refused { lines: vec![text.clone()], text })
    }
}

impl From<&Refusal> for Answer {
    fn from(refusal: &Refusal) -> Self {
        let text = refusal.to_string().trim_end().to_owned();
        Self::Refused(Refused { lines: refusal.lines(), text })
    }
}

/// How often the file was read again, and what came of it last.
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
        self.status.last_seconds = Some(took.as_secs_f64());
    }

    pub(crate) fn on_refused(&mut self, refusal: &Refusal, took: Duration) {
        self.status.refused += 1;
        self.status.last_error = Some(refusal.lines().join("; "));
        self.status.last_seconds = Some(took.as_secs_f64());
    }

    pub(crate) fn status(&self) -> ReloadStatus {
        self.status.clone()
    }
}

/// The time of day, in seconds since 1970: what other hosts can compare.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
