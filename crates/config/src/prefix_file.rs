//! Reads a file of prefixes: one on each line, with comments behind `#` or `;`.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::limits::{PREFIX_FILE_BYTES_MAX, PREFIX_FILE_LINES_MAX};
use crate::prefix::{self, Prefix};
use crate::problem::{Finding, Problems, Wrong};
use crate::regular;
use crate::span::Span;

/// The prefixes of the file at `path`, which is named at `span`. None if a line is no prefix, or the file cannot be
/// read; then the problems say so, of the first lines.
pub(crate) fn read(path: &Path, span: Span, problems: &mut Problems) -> Option<Vec<Prefix>> {
    let bytes = match regular::read_file(path, PREFIX_FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.push(unreadable(path, &error).at(span));
            return None;
        }
    };
    let (prefixes, wrong) = parse(&bytes);
    let hidden = wrong.len().saturating_sub(LINES_SHOWN);
    for (line, Wrong { message, help }) in wrong.iter().take(LINES_SHOWN) {
        let message = format!("{}:{line}: {message}", path.display());
        problems.push(Finding::at(span, message).help_maybe(help.clone()));
    }
    if hidden > 0 {
        let message = format!("{}: {hidden} more lines are not prefixes", path.display());
        problems.push(Finding::at(span, message).help("check that it is the right file"));
    }
    wrong.is_empty().then_some(prefixes)
}

/// The prefixes, and the lines that are none.
fn parse(bytes: &[u8]) -> (Vec<Prefix>, Vec<(usize, Wrong)>) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (mut prefixes, mut wrong) = (Vec::new(), Vec::new());
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let end = line.iter().position(|byte| matches!(byte, b'#' | b';')).unwrap_or(line.len());
        let text = line[..end].trim_ascii();
        if text.is_empty() {
            continue;
        }
        if prefixes.len() == PREFIX_FILE_LINES_MAX {
            let message = format!("the file has more than {PREFIX_FILE_LINES_MAX} prefixes");
            wrong.push((index + 1, Wrong::new(message).help("join neighbouring ones, or use several files")));
            break;
        }
        match prefix::read(&String::from_utf8_lossy(text)) {
            Ok(prefix) => prefixes.push(prefix),
            Err(why) => wrong.push((index + 1, why)),
        }
    }
    (prefixes, wrong)
}

fn unreadable(path: &Path, error: &io::Error) -> Wrong {
    let help = match error.kind() {
        ErrorKind::NotFound => "create it, if only empty, or correct the path",
        ErrorKind::PermissionDenied => {
            "let the user that runs the program read the file and enter its directory"
        }
        ErrorKind::FileTooLarge => "split it into several files",
        _ => "name a regular file: it is read again at every reload",
    };
    Wrong::new(format!("cannot read `{}`: {error}", path.display())).help(help)
}

/// So many lines of a file are shown that are no prefixes.
const LINES_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn each_line_is_a_prefix_with_a_comment() {
        let text = "\u{feff}# of today\n10.0.0.0/8\r\n\n  192.0.2.7 # one\n2001:db8::/32 ; SBL1\n;\n::1";
        let (prefixes, wrong) = parse(text.as_bytes());
        let prefixes: Vec<_> = prefixes.iter().map(ToString::to_string).collect();
        assert_eq!(prefixes, ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"]);
        assert_eq!(wrong, []);
    }

    #[test]
    fn a_line_that_is_none_is_told_by_its_number() {
        let (prefixes, wrong) = parse(b"10.0.0.0/8\n# comment\n10.0.0.1/8\nexample.org\n\xff\n");
        assert_eq!(prefixes.len(), 1);
        let lines: Vec<_> = wrong.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4, 5]);
        assert_eq!(wrong[0].1.message, "`10.0.0.1/8` has bits beyond its prefix");
    }
}
