//! The result of a command.

use serde::{Deserialize, Serialize};

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
    /// It was done, and one thing changed.
    pub fn done(line: String) -> Self {
        Self::Done(vec![line])
    }

    /// It was refused for this reason, which may have several lines.
    pub fn refused(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::Refused(Refused { lines: vec![text.clone()], text })
    }
}
