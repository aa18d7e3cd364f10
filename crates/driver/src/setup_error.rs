//! Why a driver cannot be set up on this host, and what to do about it.

use std::fmt;
use std::io;

/// Why a worker with its driver could not be set up.
#[derive(Debug)]
pub struct SetupError {
    /// The call that failed, such as `io_uring_setup`.
    pub step: &'static str,
    /// What it failed with.
    pub error: io::Error,
    /// Likely cause and cure, a sentence or two.
    pub cure: String,
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  {}", self.step, self.error, self.cure)
    }
}

impl std::error::Error for SetupError {}
