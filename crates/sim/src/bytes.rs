//! Bytes that are known by where they come from, not by their value: which peer sent them, as the how manieth.
//!
//! A byte that is lost, doubled, out of order or on another connection is noticed where it goes wrong, and a stream of
//! any length costs no memory.

use crate::link::EndId;

/// Neighbouring bytes of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The end of a link that sent them first.
    pub(crate) stream: EndId,
    /// How many bytes of the stream come before.
    pub(crate) from: u64,
    /// How many they are, at least 1.
    pub(crate) length: u32,
}

impl Extent {
    /// `length` of its bytes, from `start` on.
    pub(crate) fn part(self, start: u32, length: u32) -> Self {
        assert!(length > 0, "nothing is sent or received by a call that moves bytes");
        assert!(start + length <= self.length, "bytes are taken from where none were received");
        Self { stream: self.stream, from: self.from + u64::from(start), length }
    }

    /// Appends what must come right behind.
    pub(crate) fn append(&mut self, next: Self) {
        assert_eq!(self.stream, next.stream, "bytes of two streams meet");
        assert_eq!(self.from + u64::from(self.length), next.from, "bytes are lost, doubled or out of order");
        self.length += next.length;
    }

    /// Takes the first `length` bytes away; hands on the rest.
    pub(crate) fn without(self, length: u32) -> Option<Self> {
        assert!(length <= self.length);
        (length < self.length).then(|| self.part(length, self.length - length))
    }
}
