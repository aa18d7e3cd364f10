//! The result of a command.

use serde::{Deserialize, Serialize};

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The command was applied. One line for each change.
    Done(Vec<String>),
    /// The command was refused, and nothing changed.
    Refused(Refused),
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// One line for each error.
    pub lines: Vec<String>,
    /// The same errors for a terminal. An error in a file is shown with an excerpt of the file.
    pub text: String,
}

impl Answer {
    /// The command was applied, with one change.
    pub fn done(line: String) -> Self {
        Self::Done(vec![line])
    }

    /// The command was refused for this reason, which may have several lines.
    pub fn refused(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::Refused(Refused { lines: vec![text.clone()], text })
    }
}
