//! Turns the YAML parser's complaints into words for somebody who does not know YAML's grammar.

use saphyr_parser::ScanError;

use crate::problem::{Finding, Span};

/// What to say of `error`, which ended the reading of `text`.
pub(crate) fn finding(text: &str, error: &ScanError) -> Finding {
    let at = error.marker().index();
    let line = Line::at(text, at);
    // The parser notices some slips a line late, so the usual suspects are looked for by themselves.
    for line in [line.previous(text), Some(line)].into_iter().flatten() {
        if let Some(tab) = line.tab() {
            return Finding::at(tab, "a tab in the indentation")
                .help("indent with spaces; YAML does not allow tabs");
        }
        if let Some(colon) = line.tight_colon() {
            return Finding::at(colon, "a `:` without a space behind it").help("write it as `key: value`");
        }
        if let Some(address) = line.bare_address() {
            return Finding::at(
                address,
                "an address that starts with `[` is a list to YAML, unless it is quoted",
            )
            .help("write it in quotes, as in `address: \"[::]:8080\"`");
        }
    }
    if line.character(at).is_some_and(|character| "'\"".contains(character))
        && error.info().contains("indentation")
    {
        // It ran on into lines that do not look like a quotation.
        return Finding::at(Span { start: at, end: at + 1 }, "a quote that is never closed")
            .help("close it on the same line");
    }
    let (message, help) = explain(error.info());
    Finding::at(Span { start: at, end: at + 1 }, message).help_maybe(help.map(str::to_owned))
}

/// Our words for the parser's, and the cure where there is one.
fn explain(info: &str) -> (String, Option<&'static str>) {
    let known = KNOWN.iter().find(|(part, ..)| info.contains(part));
    match known {
        Some((_, message, help)) => ((*message).to_owned(), Some(help)),
        None => (format!("not valid YAML: {info}"), None),
    }
}

/// Part of the parser's message, what we say instead, and the cure; the first that fits is taken.
const KNOWN: &[(&str, &str, &str)] = &[
    ("tab", "a tab where YAML allows none", "use spaces"),
    (
        "mapping values are not allowed",
        "a `:` where no key can be",
        "check the indentation of this line and of the one above; a value that holds `: ` must be quoted",
    ),
    (
        "did not find expected key",
        "this line does not fit the indentation of those above",
        "the keys of one section start in the same column",
    ),
    (
        "did not find expected '-' indicator",
        "this line does not fit the indentation of those above",
        "the dashes of one list start in the same column, and so do the keys behind a dash",
    ),
    (
        "invalid indentation",
        "this line does not fit the indentation of those above",
        "what is inside brackets or quotes is indented deeper than the line that opened them",
    ),
    (
        "expected ',' or '}'",
        "a `{` without its `}`, or a comma is missing",
        "write it as `{ key: value, key: value }`",
    ),
    ("expected ',' or ']'", "a `[` without its `]`, or a comma is missing", "write it as `[value, value]`"),
    (
        "trailing content after",
        "something follows the closing quote",
        "quote the whole value, or remove the rest",
    ),
    ("unexpected end of stream", "a quote that is never closed", "close it on the same line"),
    (
        "unknown escape character",
        "an unknown escape in a quoted value",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    (
        "unknown anchor",
        "an alias whose anchor is nowhere above",
        "define it with `&`, or quote a value that starts with `*`",
    ),
    ("unexpected character", "a value cannot start with this character", "put the value in quotes"),
    ("recursion limit", "nested too deep", "look for brackets too many"),
    (
        "is only valid inside a block",
        "a `-` where no list can be",
        "a list with dashes stands on lines of its own",
    ),
    (
        "implicit key",
        "a line that is neither a key with its value nor part of a list",
        "write it as `key: value`",
    ),
    (
        "simple key",
        "a line that is neither a key with its value nor part of a list",
        "write it as `key: value`",
    ),
];

/// One line of the text.
#[derive(Clone, Copy)]
struct Line<'t> {
    text: &'t str,
    /// Where it starts, in characters of the whole.
    start: usize,
}

impl<'t> Line<'t> {
    /// The line that holds the character `at`, or the last one.
    fn at(text: &'t str, at: usize) -> Self {
        let mut line = Self { text: "", start: 0 };
        let mut next = 0;
        for part in text.split_inclusive('\n') {
            line = Self { text: part, start: next };
            next += part.chars().count();
            if at < next {
                break;
            }
        }
        line
    }

    fn previous(self, text: &'t str) -> Option<Self> {
        self.start.checked_sub(1).map(|end| Self::at(text, end))
    }

    /// The character `at`, counted in the whole text.
    fn character(self, at: usize) -> Option<char> {
        self.text.chars().nth(at.checked_sub(self.start)?)
    }

    /// The colon of a key that its value follows without a space.
    fn tight_colon(self) -> Option<Span> {
        let key_on = self.text.trim_start_matches([' ', '-']);
        let before = self.text.len() - key_on.len();
        let (key, value) = key_on.split_once(':')?;
        let is_key = key.starts_with(|first: char| first.is_ascii_lowercase())
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_key || value.trim_end().is_empty() || value.starts_with(' ') {
            return None;
        }
        // Up to here all is ASCII: bytes are characters.
        let colon = self.start + before + key.len();
        Some(Span { start: colon, end: colon + 1 })
    }

    /// The first tab before anything else.
    fn tab(self) -> Option<Span> {
        let indentation = self.text.chars().take_while(|character| matches!(character, ' ' | '\t'));
        let column = indentation.into_iter().position(|character| character == '\t')?;
        Some(Span { start: self.start + column, end: self.start + column + 1 })
    }

    /// An IPv6 address that stands unquoted behind its key.
    fn bare_address(self) -> Option<Span> {
        let bracket = self.text.find(": [")? + 2;
        let rest = &self.text[bracket..];
        let end = rest.find([' ', ',', '}', '\r', '\n']).unwrap_or(rest.len());
        let (inside, port) = rest[1..end].split_once("]:")?;
        if !inside.contains(':') || port.is_empty() {
            return None;
        }
        let start = self.start + self.text[..bracket].chars().count();
        Some(Span { start, end: start + rest[..end].chars().count() })
    }
}
