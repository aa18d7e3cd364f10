//! Problems of a file, while it is read.

use std::fmt::{self, Display};
use std::ops::Range;

use crate::limits::PROBLEMS_MAX;
use crate::span::{NodeId, Span};

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// Invariant: at most [`PROBLEMS_MAX`].
    found: Vec<Finding>,
    /// Whether a problem was found after the list was full.
    more: bool,
}

impl Problems {
    pub(crate) fn push(&mut self, finding: Finding) {
        if self.is_full() {
            self.more = true;
        } else {
            self.found.push(finding);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether there is no use in finding more. Every loop over entries of the file checks it, because aliases can
    /// make a small file look like a very large one.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= PROBLEMS_MAX
    }

    /// Replaces each node with its place.
    pub(crate) fn locate(&mut self, text: &str, mut place: impl FnMut(NodeId) -> Range<usize>) {
        for finding in &mut self.found {
            let see = finding.see.as_mut().map(|(span, _)| span);
            for span in finding.span.iter_mut().chain(see) {
                if let Span::Node(id) = *span {
                    *span = Span::of_bytes(text, place(id));
                }
            }
        }
    }

    /// The findings in the order of the file, and whether there may be more of them.
    pub(crate) fn into_findings(mut self) -> (Vec<Finding>, bool) {
        let more = self.more || self.is_full();
        self.found.sort_by_key(|finding| finding.span.map(|span| span.characters().start));
        // A problem behind an anchor is found again at each alias. Each counts, which bounds the work, and one is
        // reported.
        self.found.dedup_by(|a, b| a.span == b.span && a.message == b.message);
        (self.found, more)
    }
}

/// One problem.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Its place; none if it concerns the whole file.
    pub(crate) span: Option<Span>,
    /// What is wrong.
    pub(crate) message: String,
    /// How to fix it.
    pub(crate) help: Option<String>,
    /// Another place that explains it, with a label.
    pub(crate) see: Option<(Span, &'static str)>,
}

impl Finding {
    pub(crate) fn at(span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), message: message.into(), help: None, see: None }
    }

    pub(crate) fn of_file(message: impl Into<String>) -> Self {
        Self { span: None, message: message.into(), help: None, see: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn help_maybe(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    pub(crate) fn see(mut self, span: Span, label: &'static str) -> Self {
        self.see = Some((span, label));
        self
    }
}

/// The problem of a single value, without its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn at(self, span: Span) -> Finding {
        Finding::at(span, self.message).help_maybe(self.help)
    }
}

/// Text of the operator in a message: between backquotes, and shortened to fit on a line.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(QUOTED_CHARS_MAX) {
            // The file must not control the terminal, nor hide characters from a reader.
            let escaped = character.escape_debug();
            if escaped.len() > 1 && !"'\"\\".contains(character) {
                write!(f, "{escaped}")?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if characters.next().is_some() {
            f.write_str("...")?;
        }
        f.write_str("`")
    }
}

const QUOTED_CHARS_MAX: usize = 60;
