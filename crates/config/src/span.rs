//! A part of the text, given by its characters or by a node.

use std::ops::Range;

/// A part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// From one character to another.
    Text { start: usize, end: usize },
    /// A node of the tree. Its place takes time to find, and most nodes are never reported.
    Node(NodeId),
}

impl Span {
    /// The span of these bytes. An end within a character includes that character.
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

/// A value and its place in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// The number of a node of a `Tree`, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(pub(crate) usize);

impl NodeId {
    pub(crate) const ROOT: Self = Self(0);
}
