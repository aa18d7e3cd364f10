//! The pipes of a worker. One is pooled only when it is empty, so that no byte of a connection can reach another.

use driver::{Driver, Pipe};

/// Pipes that are open, and those of them that no half has.
pub(crate) struct Pipes {
    free: Vec<Pipe>,
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

impl Pipes {
    pub(crate) fn new(pipes_max: u32) -> Self {
        Self { free: Vec::new(), open: 0, open_max: pipes_max, refusals: 0 }
    }

    /// An empty pipe, if one is to be had.
    pub(crate) fn take(&mut self, driver: &mut impl Driver) -> Option<Pipe> {
        if let Some(pipe) = self.free.pop() {
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
    pub(crate) fn give_back(&mut self, pipe: Pipe) {
        self.free.push(pipe);
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
