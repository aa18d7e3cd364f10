//! Explains errors of the YAML parser to readers that do not know the grammar of YAML.

use std::net::Ipv6Addr;

use crate::precheck;
use crate::problem::{Finding, Quoted};
use crate::span::Span;
use crate::tokens::{Token, TokenKind, Tokens};

/// The report of `error`, which ended the parsing of `text`.
pub(crate) fn finding(text: &str, error: &serde_yaml::Error) -> Finding {
    let said = error.to_string();
    if let Some((line_end, mark)) = text.match_indices("\n\u{feff}").next() {
        let mark = Span::of_bytes(text, line_end + 1..line_end + mark.len());
        return Finding::at(mark, "a byte order mark within the text")
            .help("remove it; it remains when files are joined, and most editors do not show it");
    }
    // Errors about the whole text have no place.
    if said.contains("control characters") {
        return control_character(text);
    }
    if said.contains("more than one document") {
        return second_document(text);
    }
    if said.contains("repetition limit") {
        return precheck::many();
    }
    let place = error.location().map_or(0, |location| location.index());
    let span = Span::of_bytes(text, place..place + 1);
    let at = span.characters().start;
    let quotation = quotation(text, place);
    if let Some(Token { kind: TokenKind::Unclosed, start, .. }) = quotation {
        return unclosed_quote(text, start);
    }
    let line = Line::at(text, at);
    // The parser reports some mistakes a line late, so the most common ones are searched for here.
    for line in [line.previous(text), Some(line)].into_iter().flatten() {
        if let Some(tab) = line.tab() {
            return Finding::at(tab, "a tab in the indentation")
                .help("indent with spaces; YAML does not allow tabs");
        }
        if let Some((address, port)) = line.starred_address() {
            return Finding::at(address, "a `*` at the start of a value is an alias to YAML")
                .help(format!("write `\":{port}\"` for every address of the host, in quotes"));
        }
        if let Some((address, port)) = line.bare_port() {
            return Finding::at(address, "an address that starts with `:` must be quoted between brackets")
                .help(format!("write it in quotes, as `\":{port}\"`"));
        }
        if let Some(colon) = line.tight_colon() {
            return Finding::at(colon, "a `:` without a space after it").help("write it as `key: value`");
        }
        if said.contains("mapping values are not allowed")
            && let Some((value, help)) = line.nested_key()
        {
            return Finding::at(value, "a second `:` in one line").help(help);
        }
        if let Some((address, text)) = line.bare_address() {
            let help = if text.ends_with(']') {
                format!("write it in quotes, as `\"{text}:80\"`, with the right port")
            } else {
                format!("write it in quotes, as `\"{text}\"`")
            };
            let message = "an address that starts with `[` is a list to YAML, unless it is quoted";
            return Finding::at(address, message).help(help);
        }
    }
    if let Some(colon) = line.first_colon() {
        return Finding::at(colon, "a `:` without a key before it").help("write it as `key: value`");
    }
    if let Some(Token { start, .. }) = quotation {
        // It extended to the next quote, so the text quoted by that one is now unquoted.
        return unclosed_quote(text, start);
    }
    let span = word_with_sigil(text, place).unwrap_or(span);
    let (message, help) = explain(&said);
    Finding::at(span, message).help_maybe(help.map(str::to_owned))
}

/// A message for the parser's, and the cure if there is one.
fn explain(said: &str) -> (String, Option<&'static str>) {
    if let Some((_, message, help)) = KNOWN.iter().find(|(part, ..)| said.contains(part)) {
        return ((*message).to_owned(), Some(help));
    }
    // What follows are places, and the context of the parser.
    let said = said.split(" at line ").next().unwrap_or(said);
    (format!("not valid YAML: {said}"), None)
}

/// A part of the parser's message, our message, and the cure; the first match is used.
const KNOWN: &[(&str, &str, &str)] = &[
    ("found a tab character", "a tab where YAML allows none", "use spaces"),
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
        "the dashes of one list start in the same column, and so do the keys after a dash",
    ),
    (
        "did not find expected <document start>",
        "this does not belong to what is above",
        "the keys of one section start in the same column; a value in quotes or brackets ends with them",
    ),
    (
        "expected ',' or '}'",
        "a `{` without its `}`, or a comma is missing",
        "write it as `{ key: value, key: value }`",
    ),
    ("expected ',' or ']'", "a `[` without its `]`, or a comma is missing", "write it as `[value, value]`"),
    (
        "did not find expected node content",
        "no value can be here",
        "between brackets, values are separated by commas, as in `[value, value]`; check for an unmatched bracket",
    ),
    ("while scanning a quoted scalar", "a quote that is never closed", "close it on the same line"),
    (
        "escape character",
        "an unknown escape in a quoted value",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    (
        "expected hexdecimal number",
        "an unknown escape in a quoted value",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    (
        "unknown anchor",
        "an alias whose anchor is nowhere above",
        "define it with `&`, or quote a value that starts with `*`",
    ),
    (
        "while scanning an alias",
        "an alias whose anchor is nowhere above",
        "define it with `&`, or quote a value that starts with `*`",
    ),
    (
        "while scanning an anchor",
        "an anchor without a name",
        "name it with letters and digits, or quote a value that starts with `&`",
    ),
    ("cannot start any token", "a value cannot start with this character", "put the value in quotes"),
    (
        "block sequence entries are not allowed",
        "a `-` where no list can be",
        "write a list with dashes on separate lines",
    ),
    ("mapping keys are not allowed", "a `?` where no key can be", "quote a value that starts with `?`"),
    (
        "could not find expected ':'",
        "a line that is neither a key with its value nor part of a list",
        "write it as `key: value`",
    ),
    ("found unexpected ':'", "a `:` without a space after it", "write it as `key: value`"),
];

/// The quotation that contains `place`, or that ends in its line and started in another.
fn quotation(text: &str, place: usize) -> Option<Token> {
    let before = &text.as_bytes()[..place.min(text.len())];
    let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let before = Tokens::new(text, 0).take_while(|token| token.start <= place);
    before.filter(|token| matches!(token.kind, TokenKind::Quoted | TokenKind::Unclosed)).find(|token| {
        token.kind == TokenKind::Unclosed || token.end > line && text[token.start..token.end].contains('\n')
    })
}

fn unclosed_quote(text: &str, start: usize) -> Finding {
    Finding::at(Span::of_bytes(text, start..start + 1), "a quote that is never closed")
        .help("close it on the same line")
}

/// The anchor or alias that contains `place`, or ends there.
fn word_with_sigil(text: &str, place: usize) -> Option<Span> {
    let mut before = Tokens::new(text, 0).take_while(|token| token.start <= place);
    let token = before
        .find(|token| matches!(token.kind, TokenKind::Anchor | TokenKind::Alias) && place <= token.end)?;
    Some(Span::of_bytes(text, token.start..token.end))
}

fn control_character(text: &str) -> Finding {
    let refused = |character: char| match character {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        _ => character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}'),
    };
    let Some((at, character)) = text.chars().enumerate().find(|(_, character)| refused(*character)) else {
        return Finding::of_file("a control character, which YAML does not allow");
    };
    let message =
        format!("the control character {}, which YAML does not allow", Quoted(&character.to_string()));
    Finding::at(Span::Text { start: at, end: at + 1 }, message)
        .help("remove it; it may have come along when the text was copied")
}

/// Points at the line that starts a second document.
fn second_document(text: &str) -> Finding {
    let (mut begun, mut ended, mut start) = (false, false, 0);
    for line in text.split_inclusive('\n') {
        let words = line.trim_end();
        let first = words.split([' ', '\t']).next().unwrap_or("");
        let is_content = !words.is_empty() && !words.trim_start().starts_with('#') && !words.starts_with('%');
        let second = match first {
            "---" => begun,
            "..." => {
                ended = begun;
                false
            }
            _ => is_content && ended,
        };
        if second {
            let (end, help) = if first == "---" {
                (3, "a file is one document; remove this `---` and what follows it, or join the two")
            } else {
                (words.len(), "a file is one document; remove what follows the `...`, or remove the `...`")
            };
            return Finding::at(Span::of_bytes(text, start..start + end), "a second YAML document")
                .help(help);
        }
        begun |= is_content && first != "...";
        start += line.len();
    }
    Finding::of_file("more than one YAML document")
        .help("a file is one document; check for a line with `---`")
}

/// One line of the text.
#[derive(Clone, Copy)]
struct Line<'t> {
    text: &'t str,
    /// Its first character, counted in the whole text.
    start: usize,
}

impl<'t> Line<'t> {
    /// The line of the character `at`, or the last line.
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

    /// The colon of a key whose value follows without a space.
    fn tight_colon(self) -> Option<Span> {
        let key_on = self.text.trim_start_matches([' ', '-']);
        let before = self.text.len() - key_on.len();
        let (key, value) = key_on.split_once(':')?;
        let is_key = key.starts_with(|first: char| first.is_ascii_lowercase())
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_key || value.trim_end().is_empty() || value.starts_with(' ') {
            return None;
        }
        // Everything before it is ASCII: bytes are characters.
        let colon = self.start + before + key.len();
        Some(Span::Text { start: colon, end: colon + 1 })
    }

    /// A colon at the start.
    fn first_colon(self) -> Option<Span> {
        let rest = self.text.trim_start_matches(' ');
        let start = self.start + self.text.len() - rest.len();
        let is_colon = rest.strip_prefix(':').is_some_and(|rest| rest.starts_with([' ', '\r', '\n']));
        is_colon.then_some(Span::Text { start, end: start + 1 })
    }

    /// The first tab of the indentation.
    fn tab(self) -> Option<Span> {
        let indentation = self.text.chars().take_while(|character| matches!(character, ' ' | '\t'));
        let column = indentation.into_iter().position(|character| character == '\t')?;
        Some(Span::Text { start: self.start + column, end: self.start + column + 1 })
    }

    /// A key in the value of another key, such as `probe: http: /health`, and how to write that.
    fn nested_key(self) -> Option<(Span, String)> {
        let is_word = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let line = self.text.trim_end();
        let (key, value) = line.trim_start_matches([' ', '-']).split_once(": ")?;
        let (inner, rest) = value.split_once(": ")?;
        let simple = is_word(key) && is_word(inner) && !rest.contains(['{', '[', '#', '"', '\'', ',', ':']);
        let help = format!("write it as `{key}: {{ {inner}: {} }}`, or the value in quotes", rest.trim());
        simple.then(|| (self.span(line.len() - value.len(), line.len()), help))
    }

    /// An unquoted IPv6 address in brackets at the start of a value, with its port if it has one.
    fn bare_address(self) -> Option<(Span, &'t str)> {
        let mut starts = self.text.match_indices('[').map(|(start, _)| start);
        starts.find_map(|start| {
            let rest = &self.text[start..];
            let end = rest.bytes().take(ADDRESS_BYTES_MAX).position(|byte| byte == b']');
            let ip = &rest[1..end.filter(|_| self.value_starts(start))?];
            let behind = &rest[ip.len() + 2..];
            let port = behind.strip_prefix(':');
            let digits = port.map_or(0, |port| port.bytes().take_while(u8::is_ascii_digit).count());
            let end = start + ip.len() + 2 + if digits == 0 { 0 } else { digits + 1 };
            let is_one = ip.parse::<Ipv6Addr>().is_ok();
            is_one.then(|| (self.span(start, end), &self.text[start..end]))
        })
    }

    /// A port with only a colon before it, such as `:8080`, and the port.
    fn bare_port(self) -> Option<(Span, &'t str)> {
        self.port_behind(":")
    }

    /// A port after a star, `*:8080`.
    fn starred_address(self) -> Option<(Span, &'t str)> {
        self.port_behind("*:")
    }

    fn port_behind(self, sign: &str) -> Option<(Span, &'t str)> {
        let mut starts = self.text.match_indices(sign).map(|(start, _)| start);
        starts.find_map(|start| {
            let behind = &self.text[start + sign.len()..];
            let (port, tail) = behind.split_at(behind.bytes().take_while(u8::is_ascii_digit).count());
            let ends = tail.is_empty() || tail.starts_with([' ', ',', ']', '}', '\r', '\n']);
            let is_one = !port.is_empty() && ends && self.value_starts(start);
            is_one.then(|| (self.span(start, start + sign.len() + port.len()), port))
        })
    }

    /// Whether a value starts at this byte.
    fn value_starts(self, byte: usize) -> bool {
        let before = &self.text[..byte];
        let last = before.trim_end_matches(' ').chars().next_back();
        before.ends_with(['[', ','])
            || before.ends_with(' ') && last.is_some_and(|last| "[,:-".contains(last))
    }

    /// The span of these bytes of the line.
    fn span(self, start: usize, end: usize) -> Span {
        let characters = |end: usize| self.start + self.text[..end].chars().count();
        Span::Text { start: characters(start), end: characters(end) }
    }
}

/// The length of the longest IPv6 address in brackets; a line may be as long as the file.
const ADDRESS_BYTES_MAX: usize = 64;
