//! A finding of `rondel doctor`.

use std::fmt;

use serde::Serialize;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The severity.
    pub level: Level,
    /// What was checked, in a word or two.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What `rondel run` does about it, such as `starts, and marks the backend down`; `None` if that is nothing.
    pub run: Option<String>,
    /// The exit code of `rondel run`, 1 to 5, if it does not start because of this.
    pub run_exit_code: Option<u8>,
    /// What to do about it; `None` if there is nothing to do.
    pub cure: Option<String>,
}

impl Finding {
    /// `rondel run` starts, and does this.
    pub(super) fn starts(self, and: impl fmt::Display) -> Self {
        Self { run: Some(format!("starts, and {and}")), ..self }
    }

    /// `rondel run` does not start.
    pub(super) fn exits(self, code: u8) -> Self {
        Self {
            run: Some(format!("does not start, and exits with {code}")),
            run_exit_code: Some(code),
            ..self
        }
    }
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As required.
    Ok,
    /// It works with limitations.
    Warn,
    /// It does not work.
    Fail,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

pub(super) fn ok(subject: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding {
        level: Level::Ok,
        subject: subject.into(),
        found: found.into(),
        run: None,
        run_exit_code: None,
        cure: None,
    }
}

pub(super) fn finding(
    level: Level,
    subject: impl Into<String>,
    found: impl Into<String>,
    cure: impl Into<String>,
) -> Finding {
    Finding { level, cure: Some(cure.into()), ..ok(subject, found) }
}

/// Exit codes of `rondel run`: another reason, the configuration, an address or a file, the kernel.
pub(super) const RUNTIME: u8 = 1;
pub(super) const CONFIG: u8 = 3;
pub(super) const PLACE: u8 = 4;
pub(super) const KERNEL: u8 = 5;
