//! Looks through the text for what the parser takes long for, gets wrong or does not tell.

use std::collections::HashMap;

use crate::limits::{BRACKETS_MAX, NESTING_MAX, NODES_MAX};
use crate::problem::{Finding, Problems, Quoted};
use crate::span::Span;
use crate::tokens::{TokenKind, Tokens};

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precheck {
    /// Reading on makes no sense; the reason has been reported.
    Stop,
    /// It may be read. Tags, if there are any, have been reported.
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
            // The parser's time grows with the square of the depth: for a file full of brackets, minutes.
            TokenKind::Open if depth == BRACKETS_MAX => {
                problems.push(nested(span()));
                return Precheck::Stop;
            }
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            // The parser keeps tags that start with `!!` to itself.
            TokenKind::Tag => {
                tags = true;
                problems.push(tag(span()));
            }
            // The parser lets an alias of such a name stand for some other anchor's value.
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
        .help("the format needs seven levels; look for a bracket or a dash too many")
}

pub(crate) fn tag(span: Span) -> Finding {
    Finding::at(span, "a YAML tag, which has no meaning here").help("remove the `!` and its word")
}

pub(crate) fn many() -> Finding {
    Finding::of_file(format!("more than {NODES_MAX} keys and values"))
        .help("no configuration has as many; look for aliases of aliases, each of which counts")
}
