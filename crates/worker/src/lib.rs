//! The data plane: one pinned thread per worker, each with its own ring, sockets, slots and timers.

use std::sync::Arc;

use table::{Gate, Published};
use uring::{SetupError, Waker};

/// What one worker is started with.
pub struct Settings {
    /// Its number, from 0; the index of its listening sockets, counters and waker.
    pub index: usize,
    /// The CPU it is pinned to; none leaves it to the scheduler.
    pub cpu: Option<usize>,
    /// How many connections it can hold: its number of slots.
    pub connections_max: u32,
    /// How many connections all workers together may hold.
    pub connections_total_max: u32,
    /// Who may be admitted to the process, shared by all workers.
    pub gate: Arc<Gate>,
    /// How many pipes it may have for splicing; at the bound it copies.
    pub pipes_max: u32,
    /// The wakers of all workers, by index.
    pub wakers: Arc<[Waker]>,
    /// Where tables are published.
    pub published: Arc<Published>,
}

/// Why a worker ended when it was not asked to.
#[derive(Debug)]
pub struct WorkerError(pub std::io::Error);

impl std::fmt::Display for WorkerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "io_uring_enter failed: {}", self.0)
    }
}

impl std::error::Error for WorkerError {}

/// Starts a worker on its own thread, named `rondel-N`, and returns once its ring stands.
///
/// It serves whatever table is published, and ends when a table says that the process drains and its last
/// connection is gone; `on_end` is then called from its thread, once.
///
/// # Errors
///
/// The kernel lacks something, or forbids it: the error names it, with its cause and its cure.
pub fn spawn(
    settings: Settings,
    on_end: impl FnOnce(Result<(), WorkerError>) + Send + 'static,
) -> Result<(), SetupError> {
    let _ = (settings, on_end);
    unimplemented!()
}
