//! Why io_uring cannot be had here, and what to do about it.

use std::fmt;
use std::io;

/// Why a ring with what rondel needs could not be set up.
#[derive(Debug)]
pub struct SetupError {
    /// What was asked of the kernel when it said no, such as `io_uring_setup`.
    pub step: &'static str,
    /// What it said.
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
