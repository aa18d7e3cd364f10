//! The report on an invalid file: drawn for terminals, one line per problem for logs, in parts for programs.

use std::error::Error;
use std::fmt::{self, Display};
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::limits::PROBLEMS_MAX;
use crate::problem::{Finding, Problems};
use crate::span::Span;

/// Why a file is not a configuration: every problem of it, or the first fifty.
///
/// [`Display`] draws each with its line of the file; [`ConfigError::lines`] gives one line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: String,
    text: String,
    /// Invariant: at least one.
    problems: Vec<Problem>,
    more: bool,
}

/// One problem of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its place; none if it concerns the whole file.
    pub position: Option<Position>,
    /// What is wrong, as the rest of a sentence: no capital letter, no full stop.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
    /// The part of the text to underline, in bytes; within one line.
    span: Option<Range<usize>>,
    /// Another place, in bytes and with its line, and its label.
    see: Option<(Range<usize>, usize, &'static str)>,
}

/// A place in a file, counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl ConfigError {
    pub(crate) fn new(file: &str, text: &str, problems: Problems) -> Self {
        let (findings, more) = problems.into_findings();
        assert!(!findings.is_empty());
        // The renderer escapes ASCII control characters; some terminals obey others too.
        let text =
            text.replace(|character: char| character.is_control() && !character.is_ascii(), "\u{fffd}");
        let places = Places::new(&text);
        let problems = findings.into_iter().map(|finding| places.problem(finding)).collect();
        Self { file: file.to_owned(), text, problems, more }
    }

    /// The file's name, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems, in the order of the file; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// One line for each problem, for logs: `rondel.yaml:4:5: unknown key ...; did you mean ...?`
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|problem| {
            let Problem { position, message, help, .. } = problem;
            let place =
                position.map_or(String::new(), |Position { line, column }| format!(":{line}:{column}"));
            let help = help.as_ref().map_or(String::new(), |help| format!("; {help}"));
            format!("{}{place}: {message}{help}", self.file)
        })
    }

    fn draw(&self, problem: &Problem) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(&problem.message));
        match (&problem.position, &problem.span) {
            (Some(position), Some(span)) => {
                let line = self.line_of(span);
                if line.len() > LINE_BYTES_MAX {
                    let origin = Origin::path(&self.file).line(position.line).char_column(position.column);
                    group = group.element(origin);
                } else {
                    let mut snippet = self.snippet(&line, position.line);
                    let mut other = None;
                    if let Some((see, see_line, label)) = &problem.see {
                        let of_see = self.line_of(see);
                        let annotation = |line: &Range<usize>| {
                            AnnotationKind::Context
                                .span(see.start - line.start..see.end - line.start)
                                .label(*label)
                        };
                        if of_see == line {
                            snippet = snippet.annotation(annotation(&line));
                        } else if of_see.len() <= LINE_BYTES_MAX {
                            other = Some(self.snippet(&of_see, *see_line).annotation(annotation(&of_see)));
                        }
                    }
                    let within = span.start - line.start..span.end - line.start;
                    group = group
                        .element(snippet.annotation(AnnotationKind::Primary.span(within)))
                        .elements(other);
                }
            }
            _ => group = group.element(Origin::path(&self.file)),
        }
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help));
        }
        Renderer::plain().render(&[group])
    }

    /// The line that contains `span`, without its end.
    fn line_of(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = &self.text[start..];
        let line = line.find('\n').map_or(line, |end| &line[..end]);
        let end = start + line.strip_suffix('\r').unwrap_or(line).len();
        start..end
    }

    fn snippet(&self, line: &Range<usize>, number: usize) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
        Snippet::source(&self.text[line.clone()]).line_start(number).path(&self.file)
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(&self.draw(problem))?;
        }
        if self.more {
            write!(f, "\n\nerror: these are the first {PROBLEMS_MAX} problems of {}", self.file)?;
        } else if self.problems.len() > 1 {
            write!(f, "\n\nerror: {} problems in {}", self.problems.len(), self.file)?;
        }
        Ok(())
    }
}

impl Error for ConfigError {}

/// A message in which no character controls a terminal, whatever it quotes.
fn visible(message: &str) -> String {
    let mut visible = String::with_capacity(message.len());
    for character in message.chars() {
        if character.is_control() {
            visible.extend(character.escape_debug());
        } else {
            visible.push(character);
        }
    }
    visible
}

/// Converts places that the parser counts in characters to lines, columns and bytes.
struct Places<'t> {
    text: &'t str,
    /// The byte of each character; empty if both counts are equal.
    bytes: Vec<usize>,
}

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        let bytes =
            if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(byte, _)| byte).collect() };
        Self { text, bytes }
    }

    fn problem(&self, finding: Finding) -> Problem {
        let Finding { span, message, help, see } = finding;
        let span = span.map(|span| self.range(span));
        let position = span.as_ref().map(|span| self.position(span.start));
        let see = see.map(|(span, label)| {
            let range = self.range(span);
            let line = self.position(range.start).line;
            (range, line, label)
        });
        Problem { position, message: visible(&message), help: help.as_deref().map(visible), span, see }
    }

    /// The bytes of a part of the text, up to the end of its first line.
    fn range(&self, span: Span) -> Range<usize> {
        let span = span.characters();
        let mut start = self.byte(span.start);
        if start == self.text.len() && self.text.ends_with('\n') {
            // The end of the text is the end of its last line, not an empty line after it.
            start -= 1;
        }
        let line = &self.text[start..];
        let line = line.find(['\r', '\n']).map_or(line, |end| &line[..end]);
        let end = self.byte(span.end).clamp(start, start + line.len());
        let end = start + self.text[start..end].trim_end().len();
        start..end
    }

    fn byte(&self, character: usize) -> usize {
        if self.bytes.is_empty() {
            character.min(self.text.len())
        } else {
            self.bytes.get(character).copied().unwrap_or(self.text.len())
        }
    }

    fn position(&self, byte: usize) -> Position {
        let before = &self.text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A longer line is not shown: it would hide the message.
const LINE_BYTES_MAX: usize = 500;
