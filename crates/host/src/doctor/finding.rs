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
    /// What to do about it; `None` if there is nothing to do.
    pub cure: Option<String>,
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
    Finding { level: Level::Ok, subject: subject.into(), found: found.into(), cure: None }
}

pub(super) fn finding(
    level: Level,
    subject: impl Into<String>,
    found: impl Into<String>,
    cure: impl Into<String>,
) -> Finding {
    Finding { level, subject: subject.into(), found: found.into(), cure: Some(cure.into()) }
}
