//! Pipes for splicing. What is in one belongs to one stream, in its order.

use crate::bytes::Extent;

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) held: Option<Extent>,
    pub(crate) capacity: u32,
}

impl Pipe {
    pub(crate) fn room(&self) -> u32 {
        self.capacity - self.filled()
    }

    pub(crate) fn filled(&self) -> u32 {
        self.held.map_or(0, |extent| extent.length)
    }

    pub(crate) fn fill(&mut self, extent: Extent) {
        match &mut self.held {
            Some(held) => held.append(extent),
            None => self.held = Some(extent),
        }
    }

    pub(crate) fn drain(&mut self, length: u32) {
        self.held = self.held.expect("the caller has looked").without(length);
    }
}
