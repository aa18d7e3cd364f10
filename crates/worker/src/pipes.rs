//! The pipes of a worker. One is pooled only when it is empty, so that no byte of a connection can reach another.
//!
//! The pool is trimmed: each pipe counts against the user's budget of pipe pages, and is two descriptors. What it
//! holds beyond [`PIPES_WARM_MAX`] and was not needed for [`IDLE_MAX`] is closed, so a crowd of streams holds them
//! only while it lasts.

use std::time::{Duration, Instant};

use driver::{Driver, Pipe};

/// Pipes that are open, and those of them that no half has.
pub(crate) struct Pipes {
    /// The one that was given back last comes last, and goes out first: those that come first are idle the longest.
    free: Vec<Pipe>,
    /// How many of `free` were not needed since `trim_at` was set.
    idle: usize,
    /// When those are closed, if there are more than `warm_max`.
    trim_at: Option<Instant>,
    /// How many it keeps, however long they are idle.
    warm_max: usize,
    open: u32,
    /// At the bound, halves go on copying.
    open_max: u32,
    /// After the kernel refused one, so many asks are answered without bothering it.
    refusals: u32,
}

/// How many asks a refusal of the kernel answers.
const REFUSALS: u32 = 256;

/// The least capacity that is worth having, in bytes.
const CAPACITY_MIN: u32 = 64 * 1024;

/// How many pipes the pool of a worker keeps at most, however long they are idle; no more than half of those it may
/// have. Of 256 KiB each, they are a sixteenth of what a user without privileges has (`pipe-user-pages-soft`,
/// pipe(7)).
pub const PIPES_WARM_MAX: u32 = 16;

/// How long the pool keeps a pipe beyond those that nothing needs; up to twice as long, as it counts them once in
/// that time.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// How many pipes are closed in a turn, so that no turn is long; the rest wait for the next, which comes at once.
const TRIMMED_MAX: usize = 64;

impl Pipes {
    pub(crate) fn new(pipes_max: u32) -> Self {
        let warm_max = PIPES_WARM_MAX.min(pipes_max / 2) as usize;
        Self { free: Vec::new(), idle: 0, trim_at: None, warm_max, open: 0, open_max: pipes_max, refusals: 0 }
    }

    /// An empty pipe, if there is one.
    pub(crate) fn take(&mut self, driver: &mut impl Driver) -> Option<Pipe> {
        if let Some(pipe) = self.free.pop() {
            self.idle = self.idle.min(self.free.len());
            return Some(pipe);
        }
        if self.open >= self.open_max {
            return None;
        }
        if self.refusals > 0 {
            self.refusals -= 1;
            return None;
        }
        match driver.open_pipe() {
            Ok(pipe) if pipe.capacity >= CAPACITY_MIN => {
                self.open += 1;
                Some(pipe)
            }
            Ok(pipe) => {
                close(driver, pipe);
                self.refusals = REFUSALS;
                None
            }
            Err(_) => {
                self.refusals = REFUSALS;
                None
            }
        }
    }

    /// How many are open, and how many of those no half has.
    pub(crate) fn count(&self) -> (u32, usize) {
        (self.open, self.free.len())
    }

    /// Takes back a pipe that is empty.
    pub(crate) fn give_back(&mut self, pipe: Pipe, now: Instant) {
        self.free.push(pipe);
        if self.trim_at.is_none() {
            self.watch(now);
        }
    }

    /// When [`trim`](Self::trim) has something to do next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.trim_at
    }

    /// Closes pipes that were idle for long enough, some in a turn.
    pub(crate) fn trim(&mut self, driver: &mut impl Driver, now: Instant) {
        if self.trim_at.is_none_or(|at| at > now) {
            return;
        }
        let count = self.idle.saturating_sub(self.warm_max).min(TRIMMED_MAX);
        for pipe in self.free.drain(..count) {
            self.open -= 1;
            close(driver, pipe);
        }
        self.idle -= count;
        if self.idle <= self.warm_max {
            self.watch(now);
        }
    }

    /// From now on it counts how many are idle, if there are so many that some are to be closed for it.
    fn watch(&mut self, now: Instant) {
        self.idle = self.free.len();
        self.trim_at = (self.idle > self.warm_max).then(|| now + IDLE_MAX);
    }

    /// Takes back a pipe that holds bytes of a connection that ended: they go with it.
    pub(crate) fn discard(&mut self, driver: &mut impl Driver, pipe: Pipe) {
        self.open -= 1;
        close(driver, pipe);
    }
}

fn close(driver: &mut impl Driver, pipe: Pipe) {
    driver.close(pipe.read);
    driver.close(pipe.write);
}
