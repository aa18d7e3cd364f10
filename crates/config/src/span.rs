//! A part of the text, by its characters or by the node that it is.

use std::ops::Range;

/// A part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// From one place to another, counted in characters.
    Text { start: usize, end: usize },
    /// A node of the tree. Where that is takes time to find, and most are never pointed at.
    Node(NodeId),
}

impl Span {
    /// The span of these bytes; one that ends within a character is as long as that.
    pub(crate) fn of_bytes(text: &str, bytes: Range<usize>) -> Self {
        let characters = |end: usize| text.char_indices().take_while(|(byte, _)| *byte < end).count();
        Self::Text { start: characters(bytes.start), end: characters(bytes.end) }
    }

    /// The characters of a span that has been located.
    pub(crate) fn characters(self) -> Range<usize> {
        match self {
            Self::Text { start, end } => start..end,
            Self::Node(_) => unreachable!("nodes are located before a problem is reported"),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// The number of a node of a [`Tree`](crate::tree::Tree), in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(pub(crate) usize);

impl NodeId {
    pub(crate) const ROOT: Self = Self(0);
}
