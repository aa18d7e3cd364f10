//! From a path or bytes to a configuration: the entry points.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::duration;
use crate::error::ConfigError;
use crate::file;
use crate::limits::FILE_BYTES_MAX;
use crate::place::Places;
use crate::problem::{Finding, Problems};
use crate::recognise::recognise;
use crate::regular::{self, NotRegular};
use crate::resolve::resolve;
use crate::span::Span;
use crate::tree::Tree;

impl Config {
    /// Reads the regular file at `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not a configuration. The error lists every problem.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = readable(path, regular::open(path))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// The text of the file at `path`, for [`parse`](Self::parse). It may be a pipe, such as `/dev/stdin`, which
    /// suits a command that reads once and that its user can interrupt.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn text_of(path: &Path) -> Result<Vec<u8>, ConfigError> {
        readable(path, File::open(path))
    }

    /// The text that `reader` has until its end, such as standard input, for [`parse`](Self::parse). Messages call it
    /// `name`.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn text_from(name: &str, reader: impl Read) -> Result<Vec<u8>, ConfigError> {
        readable(Path::new(name), Ok(reader))
    }

    /// The error for a file that was not read within `time`.
    pub fn unread(path: &Path, time: Duration) -> ConfigError {
        let finding = Finding::of_file(format!("the file could not be read within {}", duration::show(time)));
        of_file(path, finding.help("its file system does not respond: check its mount"))
    }

    /// Parses `text`; messages call it `name`.
    ///
    /// # Errors
    ///
    /// If the text is not a configuration. The error lists every problem.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        if text.len() > FILE_BYTES_MAX {
            problems.push(
                Finding::of_file(format!("the file is longer than {} KiB", FILE_BYTES_MAX / 1024))
                    .help("no configuration is that long; check that it is the right file"),
            );
            return Err(ConfigError::new(name, "", problems));
        }
        let lossy = String::from_utf8_lossy(text);
        // A byte order mark has no meaning in UTF-8, and the editors that write it do not show it.
        let text = lossy.strip_prefix('\u{feff}').unwrap_or(&lossy);
        if matches!(lossy, std::borrow::Cow::Owned(_)) {
            problems.push(recognise(text).unwrap_or_else(|| not_utf8(text)));
            return Err(ConfigError::new(name, text, problems));
        }
        let tree = Tree::parse(text, &mut problems);
        let file = tree.as_ref().and_then(|tree| file::File::read(tree, &mut problems));
        let config = file.map(|file| resolve(file, &mut problems));
        match config {
            Some(config) if problems.is_empty() => return Ok(config),
            _ => {}
        }
        // Details of another program's file do not help here.
        if let Some(finding) = recognise(text) {
            let mut problems = Problems::default();
            problems.push(finding);
            return Err(ConfigError::new(name, text, problems));
        }
        if let Some(tree) = &tree {
            let mut places = Places::new(tree, text);
            problems.locate(text, |node| places.find(node));
        }
        Err(ConfigError::new(name, text, problems))
    }
}

/// The bytes of a file, if it could be opened.
fn readable(path: &Path, file: io::Result<impl Read>) -> Result<Vec<u8>, ConfigError> {
    let text = file.and_then(|file| regular::read(file, FILE_BYTES_MAX));
    text.map_err(|error| of_file(path, unreadable(&error)))
}

fn of_file(path: &Path, finding: Finding) -> ConfigError {
    let mut problems = Problems::default();
    problems.push(finding);
    ConfigError::new(&path.display().to_string(), "", problems)
}

fn unreadable(error: &io::Error) -> Finding {
    let help = match error.kind() {
        ErrorKind::NotFound => "check the path; it is taken from the directory the program was started in",
        ErrorKind::PermissionDenied => {
            "let the user that runs the program read the file and enter its directory"
        }
        ErrorKind::IsADirectory => "name the file in it",
        ErrorKind::InvalidInput
            if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotRegular>) =>
        {
            "write the configuration into a file: it is read again at every reload"
        }
        _ => "the system reported this error; the content was not checked",
    };
    Finding::of_file(format!("cannot read the file: {error}")).help(help)
}

/// Points at the first bytes that are not UTF-8.
fn not_utf8(text: &str) -> Finding {
    let character = text.chars().position(|character| character == char::REPLACEMENT_CHARACTER).unwrap_or(0);
    Finding::at(
        Span::Text { start: character, end: character + 1 },
        "the file is not UTF-8 text from here on",
    )
    .help("save it as UTF-8; in most editors that is a choice of `Save as`")
}
