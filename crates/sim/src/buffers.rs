//! Receive buffers: a window of them is posted, one that is given back is posted again at the next wait.

use std::collections::VecDeque;

use driver::BufferId;

use crate::bytes::Extent;

#[derive(Debug)]
pub(crate) struct Buffers {
    /// By number: what the worker has in it. None, and the kernel has it.
    held: Vec<Option<Extent>>,
    posted: VecDeque<u16>,
    free: Vec<u16>,
    /// How many are posted at once.
    window: usize,
}

impl Buffers {
    pub(crate) fn new(count: u16, window: usize) -> Self {
        let held = vec![None; usize::from(count)];
        Self { held, posted: VecDeque::new(), free: (0..count).rev().collect(), window }
    }

    pub(crate) fn post(&mut self) {
        while self.posted.len() < self.window {
            let Some(buffer) = self.free.pop() else { return };
            self.posted.push_back(buffer);
        }
    }

    pub(crate) fn is_posted(&self) -> bool {
        !self.posted.is_empty()
    }

    /// Puts bytes into the next posted buffer, which becomes the worker's.
    pub(crate) fn receive(&mut self, extent: Extent) -> BufferId {
        let buffer = self.posted.pop_front().expect("the caller has looked");
        self.held[usize::from(buffer)] = Some(extent);
        BufferId(buffer)
    }

    pub(crate) fn give_back(&mut self, BufferId(buffer): BufferId) {
        assert!(self.held[usize::from(buffer)].take().is_some(), "a buffer was given back twice");
        self.free.push(buffer);
    }

    pub(crate) fn bytes(&self, BufferId(buffer): BufferId, start: u32, length: u32) -> Extent {
        let extent = self.held[usize::from(buffer)].expect("a buffer that the worker does not have");
        extent.part(start, length)
    }

    pub(crate) fn available(&self) -> u32 {
        u32::try_from(self.posted.len() + self.free.len()).expect("buffers are numbered by 16 bits")
    }

    /// What the worker has.
    pub(crate) fn held(&self) -> impl Iterator<Item = Extent> {
        self.held.iter().flatten().copied()
    }
}
