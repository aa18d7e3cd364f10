//! Finds the places of the nodes that a report points at.

use std::ops::Range;

use crate::shape;
use crate::span::NodeId;
use crate::tokens::{TokenKind, Tokens};
use crate::tree::Tree;

/// Finds nodes in one text. For most the place is known; for the others, the text is parsed again up to them.
///
/// In the worst case, fifty such nodes at the end of the longest file, this takes two seconds.
pub(crate) struct Places<'t> {
    tree: &'t Tree<'t>,
    text: &'t str,
    /// How much of the text was enough for the last node.
    enough: usize,
}

impl<'t> Places<'t> {
    pub(crate) fn new(tree: &'t Tree<'t>, text: &'t str) -> Self {
        Self { tree, text, enough: FIRST_BYTES }
    }

    /// The bytes of a node. A map without braces starts at its first key, and a list without brackets at its first
    /// dash.
    pub(crate) fn find(&mut self, id: NodeId) -> Range<usize> {
        if let Some(place) = &self.tree.node(id).place {
            return place.clone();
        }
        let start = self.start(id);
        let is_property = |kind| matches!(kind, TokenKind::Anchor | TokenKind::Tag);
        let line = &self.text[start..];
        let line_end = start + line.find(['\r', '\n']).unwrap_or(line.len());
        let mut end = start;
        let mut depth = 0_usize;
        // Past its anchor to its content, and to the end of that, but not past its line.
        for token in Tokens::new(self.text, start).take_while(|token| token.start < line_end) {
            end = token.end;
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && !is_property(token.kind) {
                break;
            }
        }
        start..end
    }

    fn start(&mut self, id: NodeId) -> usize {
        while self.enough < self.text.len() {
            // If it ends within a character, the next size is tried.
            if let Some(part) = self.text.get(..self.enough)
                // The last nodes of a part may be fragments of others.
                && shape::place(part, id.0 + MARGIN_NODES).is_some()
                && let Some(start) = shape::place(part, id.0)
            {
                return start;
            }
            self.enough = self.enough.saturating_mul(4);
        }
        shape::place(self.text, id.0).expect("the node was there when the tree was built")
    }
}

/// Most problems are near the start, and in a small file all of them are.
const FIRST_BYTES: usize = 1 << 14;

/// More nodes than the end of a part can add: a `?` makes two, a dash before it a third.
const MARGIN_NODES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problems;
    use crate::tree::Kind;

    const TEXT: &str = "# é\n---\nlisteners:\n  - &first { address: \"é\\n\", pool: 'it''s' } # comment\n  - [a, [], {}]\n  -\n  -\n\
        \n    # Much later.\n    key:\n\n      - ~\n      - \"two\n        lines\"\n      - |\n        block\n\n  - *first\n\
        pools:\n- ? [complex, key]\n  : value of\n    two lines\n- ? \n- last: é\n  empty:\nend: null\n";

    /// A part of the text that contains a node gives the same place as the whole text.
    #[test]
    fn part_and_whole_agree() {
        let mut problems = Problems::default();
        let tree = Tree::parse(TEXT, &mut problems).unwrap();
        for node in 0..tree.len() {
            let whole = shape::place(TEXT, node).unwrap();
            for enough in 1..TEXT.len() {
                let mut places = Places { tree: &tree, text: TEXT, enough };
                assert_eq!(
                    places.start(NodeId(node)),
                    whole,
                    "node {node}, {enough} bytes: {:?}",
                    &TEXT[whole..]
                );
            }
        }
    }

    /// Where a text was borrowed, the parser and the text itself give the same place.
    #[test]
    fn parser_and_text_agree() {
        let mut problems = Problems::default();
        let tree = Tree::parse(TEXT, &mut problems).unwrap();
        let mut borrowed = 0;
        for node in 0..tree.len() {
            let Some(place) = &tree.node(NodeId(node)).place else { continue };
            borrowed += 1;
            assert_eq!(place.start, shape::place(TEXT, node).unwrap(), "{:?}", &TEXT[place.clone()]);
            if let Kind::Scalar { text, quoted } = &tree.node(NodeId(node)).kind {
                let place = if *quoted { place.start + 1..place.end - 1 } else { place.clone() };
                assert_eq!(text, &TEXT[place]);
            }
        }
        assert!(borrowed > 15, "{borrowed}");
    }
}
