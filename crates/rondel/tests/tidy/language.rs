//! The language of comments, documents, messages and test names, as far as a machine can check it.
//!
//! A component is *it*: pronouns of persons and the set phrases of [`PHRASES`] are errors, and so are lines of
//! prose that reach column 120.
//!
//! Code is not prose. Of Rust, comments, names of functions and string literals with a space in them are read; what is
//! between backquotes is not.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::workspace::{each_file, extension, root};

/// One word for each phrase, whose own words are separated by `_`, so that this list does not find itself.
const PHRASES: &[&str] = &[
    // Pronouns of persons.
    "who whom whoever whomever nobody somebody someone everybody everyone anybody anyone he she him her his",
    // Set phrases for "again", "recently", "still" and "also".
    "once_more anew of_late all_the_same likewise no_sooner as_it_stands as_they_stand",
    // For "eject", "override", "reject", "close", "release" and "restore".
    "put_aside puts_aside laid_over sent_away sends_away turned_away turns_away lets_go let_go take_leave",
    "takes_leave mend mends mended",
    // For "healthy", "stopped" and "against".
    "is_well are_well was_well were_well held_against stands_still stand_still stood_still",
    // For "read", "record", "follow", "find" and "available".
    "looks_at looked_at takes_note take_note took_note goes_by go_by went_by to_be_had brought_home brings_home",
    "at_hand",
    // For "about", "of", "because of" and "instead of".
    "known_of said_of told_of came_of comes_of for_want_of in_its_stead in_their_stead as_good_as",
    // For "permanently", "to no effect" and "garbage".
    "for_ever for_good in_vain rubbish",
];

#[test]
fn prose_speaks_plain_technical_english() {
    check(phrases);
}

#[test]
fn lines_of_prose_end_before_column_120() {
    check(long_lines);
}

/// Reports all that `find` finds in the files of the workspace.
#[track_caller]
fn check(find: fn(&str, &str) -> Vec<(usize, String)>) {
    let mut report = String::new();
    for (file, text) in files() {
        for (line, what) in find(&file, &text) {
            writeln!(report, "{file}:{line}: {what}").unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

/// Phrases of the list in a file, by line.
fn phrases(path: &str, text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for words in prose(path, text) {
        for phrase in PHRASES.iter().flat_map(|line| line.split(' ')) {
            let phrase: Vec<&str> = phrase.split('_').collect();
            for at in words.windows(phrase.len()) {
                if at.iter().map(|word| word.text.as_str()).eq(phrase.iter().copied()) {
                    found.push((at[0].line, phrase.join(" ")));
                }
            }
        }
    }
    found.sort();
    found
}

/// Lines of prose of 120 characters and more. Tables of Markdown have no other way to be written.
fn long_lines(path: &str, text: &str) -> Vec<(usize, String)> {
    let is_prose = |line: &str| match extension(Path::new(path)) {
        "rs" => line.starts_with("//"),
        "md" => !line.starts_with('|'),
        "js" | "css" | "html" => line.starts_with("//") || line.starts_with("/*") || line.starts_with("<!--"),
        _ => line.starts_with('#'),
    };
    let long = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.chars().count() >= 120 && is_prose(line.trim_start()));
    long.map(|(index, line)| (index + 1, format!("{} characters", line.chars().count()))).collect()
}

/// A word in small letters; empty for what separates sentences and parts of them.
#[derive(Debug)]
struct Word {
    line: usize,
    text: String,
}

/// The prose of a file, in runs that phrases do not cross.
fn prose(path: &str, text: &str) -> Vec<Vec<Word>> {
    if extension(Path::new(path)) == "rs" {
        return rust::prose(text);
    }
    let mut words = Vec::new();
    text.lines().enumerate().for_each(|(index, line)| split(index + 1, line, &mut words));
    vec![words]
}

/// Adds the words of one line. A comment sign at its start is no separator, so that a phrase is found over two lines.
fn split(line: usize, text: &str, words: &mut Vec<Word>) {
    let text = text.trim_start().trim_start_matches(['/', '!', '#', '*', '>']);
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            words.push(Word { line, text: String::new() });
            continue;
        }
        let mut word = String::new();
        for character in part.chars().chain([' ']) {
            if character.is_alphanumeric() || "_'-".contains(character) {
                word.extend(character.to_lowercase());
                continue;
            }
            if !word.is_empty() {
                words.push(Word { line, text: std::mem::take(&mut word) });
            }
            if !character.is_whitespace() {
                words.push(Word { line, text: String::new() });
            }
        }
    }
}

mod rust {
    //! Finds the prose in Rust sources, by just enough of their grammar.

    use super::{Word, split};

    pub(super) fn prose(text: &str) -> Vec<Vec<Word>> {
        let mut reader = Reader { rest: text, line: 1, comments: Vec::new(), others: Vec::new() };
        while !reader.rest.is_empty() {
            reader.next();
        }
        let mut prose = reader.others;
        prose.push(reader.comments);
        prose
    }

    struct Reader<'t> {
        rest: &'t str,
        line: usize,
        /// One run, because a sentence goes over several lines; code between two of them separates them.
        comments: Vec<Word>,
        /// String literals and names.
        others: Vec<Vec<Word>>,
    }

    impl<'t> Reader<'t> {
        fn next(&mut self) {
            let rest = self.rest;
            if rest.starts_with("//") {
                let line = self.line;
                let comment = self.take(rest.find('\n').unwrap_or(rest.len()));
                split(line, comment, &mut self.comments);
            } else if let Some(hashes) = raw_string(rest) {
                let end = format!("\"{}", "#".repeat(hashes));
                let start = hashes + 2;
                let length = rest[start..].find(&end).unwrap_or(rest.len() - start);
                self.take(start);
                self.string(length);
                self.take(end.len());
            } else if rest.starts_with('"') {
                self.take(1);
                let length = string_length(self.rest);
                self.string(length);
                self.take(1);
            } else if let Some(name) = rest.strip_prefix("fn ") {
                let name = &name
                    [..name.find(|end: char| !end.is_alphanumeric() && end != '_').unwrap_or(name.len())];
                self.other(&name.replace('_', " "));
                self.take(3 + name.len());
            } else if rest.starts_with('\'') {
                self.take(character_length(rest));
            } else if rest.starts_with(|first: char| first.is_alphanumeric() || first == '_') {
                // A whole word, of which no end is the `r` of a string or the `fn` of a name.
                let end = rest.find(|end: char| !end.is_alphanumeric() && end != '_').unwrap_or(rest.len());
                self.code(end);
            } else {
                let first = rest.chars().next().map_or(1, char::len_utf8);
                self.code(first);
            }
        }

        fn code(&mut self, length: usize) {
            let line = self.line;
            if !self.take(length).trim().is_empty() {
                self.comments.push(Word { line, text: String::new() });
            }
        }

        /// Reads a string literal. Only one with a space in it is a message.
        fn string(&mut self, length: usize) {
            let start = self.line;
            let string = self.take(length);
            if string.contains(' ') {
                let mut words = Vec::new();
                let lines = string.lines().enumerate();
                lines.for_each(|(index, line)| split(start + index, line.trim_end_matches('\\'), &mut words));
                self.others.push(words);
            }
        }

        fn other(&mut self, text: &str) {
            let mut words = Vec::new();
            split(self.line, text, &mut words);
            self.others.push(words);
        }

        fn take(&mut self, length: usize) -> &'t str {
            let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
            self.line += taken.matches('\n').count();
            self.rest = rest;
            taken
        }
    }

    /// The number of `#` of a raw string that starts here.
    fn raw_string(text: &str) -> Option<usize> {
        let text = text.strip_prefix('r')?;
        let hashes = text.len() - text.trim_start_matches('#').len();
        text[hashes..].starts_with('"').then_some(hashes)
    }

    /// The length of a string literal up to its closing quote.
    fn string_length(text: &str) -> usize {
        let mut escaped = false;
        let end = text.find(|character| {
            let is_end = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            is_end
        });
        end.unwrap_or(text.len())
    }

    /// The length of a character literal, or of the sign of a lifetime.
    fn character_length(text: &str) -> usize {
        let inner = &text[1..];
        if inner.starts_with('\\') {
            return inner[2..].find('\'').map_or(1, |end| end + 4);
        }
        let first = inner.chars().next().map_or(0, char::len_utf8);
        if inner[first..].starts_with('\'') { first + 2 } else { 1 }
    }
}

#[test]
fn prose_is_told_from_code() {
    let rust = r##"
        // Who reads it, all
        // the same, is a `who`.
        fn nobody_is_here<'a>(who: &'a str) -> char {
            let (message, data) = ("for whom\" the\
                                    bell", "who");
            let raw = r#"once more"#; // Not all. The same: once. More.
            '"'
        }
    "##;
    let found = [(2, "who"), (2, "all the same"), (4, "nobody"), (5, "whom"), (7, "once more")];
    assert_eq!(phrases("a.rs", rust), found.map(|(line, what)| (line, what.to_owned())).to_sorted());
    assert_eq!(phrases("a.md", "`whoami` is\nanew"), [(2, "anew".to_owned())]);
    assert_eq!(long_lines("a.rs", &format!("let a = {0};\n    // {0}\n", "x".repeat(120))).len(), 1);
    assert_eq!(long_lines("a.md", &format!("| {0} |\n{0}\n", "x".repeat(119))).len(), 0);
}

trait ToSorted {
    fn to_sorted(self) -> Vec<(usize, String)>;
}

impl<const N: usize> ToSorted for [(usize, String); N] {
    fn to_sorted(self) -> Vec<(usize, String)> {
        let mut sorted = self.to_vec();
        sorted.sort();
        sorted
    }
}

/// Every file that is written by hand and has prose: its path in the workspace, and its text.
fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut add = |path: &Path, text: &str| {
        let path = path.strip_prefix(root()).unwrap();
        if is_prose(path) {
            files.push((path.to_str().expect("our names are of ASCII").to_owned(), text.to_owned()));
        }
    };
    for folder in ["crates", "benches", "configs", "scripts", "docs"] {
        each_file(&root().join(folder), &mut add);
    }
    let documents = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    documents
        .filter(|path| ["md", "toml"].contains(&extension(path)))
        .for_each(|path| each_file(&path, &mut add));
    files.sort();
    assert!(files.len() > 300, "only {} files found", files.len());
    files
}

/// Whether a file has prose, and is written by hand here.
fn is_prose(path: &Path) -> bool {
    let prose = ["rs", "md", "sh", "yaml", "js", "css", "html", "toml", "service", "socket", ""];
    // Not written here, made by a program, or with examples of what is found.
    let skipped = ["uplot.js", "uplot.css", "golden.md", "language.rs"];
    let is_skipped = skipped.iter().any(|name| path.file_name().is_some_and(|file| file == *name))
        || path.starts_with("benches/results")
        || path.iter().any(|part| part == "target");
    prose.contains(&extension(path)) && !is_skipped
}
