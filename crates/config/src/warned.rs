//! The warning about a setting.

use std::fmt;

/// A setting that is valid, and probably not intended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it concerns.
    pub subject: String,
    /// What is probably not intended.
    pub found: String,
    /// What would be better.
    pub cure: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  {}", self.subject, self.found, self.cure)
    }
}
