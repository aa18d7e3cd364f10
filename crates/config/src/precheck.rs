//! Finds in the text what the parser is slow at, misreads or does not report.

use std::collections::HashMap;

use crate::limits::{BRACKETS_MAX, NESTING_MAX, NODES_MAX};
use crate::problem::{Finding, Problems, Quoted};
use crate::span::Span;
use crate::tokens::{TokenKind, Tokens};

/// The result of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precheck {
    /// Parsing would be useless; the reason has been reported.
    Stop,
    /// The text may be parsed. Tags, if there are any, have been reported.
    GoOn { tags: bool },
}

/// Checks the text before it is parsed.
pub(crate) fn precheck(text: &str, problems: &mut Problems) -> Precheck {
    let mut anchors = HashMap::new();
    let (mut depth, mut tags, mut stop) = (0_usize, false, false);
    for token in Tokens::new(text, 0) {
        if problems.is_full() {
            break;
        }
        let place = token.start..token.end;
        let span = || Span::of_bytes(text, place.clone());
        match token.kind {
            // The parser's time grows with the square of the depth: a file full of brackets would take minutes.
            TokenKind::Open if depth == BRACKETS_MAX => {
                problems.push(nested(span()));
                return Precheck::Stop;
            }
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            // The parser does not report tags that start with `!!`.
            TokenKind::Tag => {
                tags = true;
                problems.push(tag(span()));
            }
            // The parser would resolve an alias of such a name to the wrong anchor.
            TokenKind::Anchor => {
                let name = &text[place.clone()];
                if let Some(first) = anchors.insert(name, place.clone()) {
                    stop = true;
                    let first = Span::of_bytes(text, first);
                    problems.push(
                        Finding::at(span(), format!("the anchor {} is here twice", Quoted(name)))
                            .see(first, "first here")
                            .help("give each anchor a name of its own"),
                    );
                }
            }
            TokenKind::Alias
            | TokenKind::Quoted
            | TokenKind::Unclosed
            | TokenKind::Plain
            | TokenKind::Block
            | TokenKind::Mark => {}
        }
    }
    if stop { Precheck::Stop } else { Precheck::GoOn { tags } }
}

pub(crate) fn nested(span: Span) -> Finding {
    Finding::at(span, format!("nested more than {NESTING_MAX} levels deep"))
        .help("the format needs seven levels; check for an extra bracket or dash")
}

pub(crate) fn tag(span: Span) -> Finding {
    Finding::at(span, "a YAML tag, which has no meaning here").help("remove the `!` and its word")
}

pub(crate) fn many() -> Finding {
    Finding::of_file(format!("more than {NODES_MAX} keys and values"))
        .help("no configuration has that many; check for aliases of aliases, each of which counts")
}
