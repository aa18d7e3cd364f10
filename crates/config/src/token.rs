//! The token of `admin.http`: what a client has to send, read from its file.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

use crate::limits::TOKEN_CHARS;
use crate::regular;
use crate::warned::Warning;

/// A bearer token (RFC 6750). No message contains it.
#[derive(Clone)]
pub struct AdminToken(String);

/// A token that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenError {
    /// Its file.
    pub path: PathBuf,
    /// What is wrong, without the token.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

impl AdminToken {
    /// Reads a file that has a token and nothing else, but for the end of its line. With the token it returns a
    /// warning if every user of the host may read the file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no token in it.
    pub fn read(path: &Path) -> Result<(Self, Option<Warning>), TokenError> {
        let wrong = |what: String, cure: String| TokenError { path: path.to_owned(), what, cure };
        let (bytes, mode) =
            contents(path).map_err(|error| wrong(error.to_string(), cure_of(path, &error)))?;
        let token = parse(&bytes).map_err(|what| wrong(what, make(path)))?;
        let warning = (mode & OTHERS_READ != 0).then(|| Warning {
            subject: "admin token".to_owned(),
            found: format!("every user of this host may read {}", path.display()),
            cure: format!(
                "give it to the user that runs rondel alone: `chown rondel {0}; chmod 0400 {0}`",
                path.display()
            ),
        });
        Ok((token, warning))
    }

    /// Whether a client has sent this token. The time that it takes depends on the length of both, and on nothing
    /// else.
    pub fn is(&self, sent: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(sent).into()
    }
}

impl PartialEq for AdminToken {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.0.as_bytes())
    }
}

impl Eq for AdminToken {}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, what, cure } = self;
        write!(f, "admin.http: the token in {}: {what}\n  {cure}", path.display())
    }
}

impl std::error::Error for TokenError {}

/// The start of a file, as far as it may be a token, and its mode.
fn contents(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let file = regular::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    // With the end of its line, and one byte by which a longer one is noticed.
    Ok((regular::read(file, TOKEN_CHARS.end() + 2)?, mode))
}

/// The token in the bytes of a file, or what is wrong with them.
fn parse(bytes: &[u8]) -> Result<AdminToken, String> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (least, most) = (TOKEN_CHARS.start(), TOKEN_CHARS.end());
    if line.is_empty() {
        return Err("it is empty".to_owned());
    }
    if line.contains(&b'\n') {
        return Err("it has more than one line".to_owned());
    }
    if line.len() > *most {
        return Err(format!("it has more than {most} characters"));
    }
    let padding = line.iter().rev().take_while(|byte| **byte == b'=').count();
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    if let Some(at) = line[..line.len() - padding].iter().position(|byte| !is_allowed(byte)) {
        return Err(format!("its character {} is none of a token", at + 1));
    }
    if padding == line.len() {
        return Err("it has nothing but `=`".to_owned());
    }
    if line.len() < *least {
        return Err(format!("it has less than {least} characters, and could be guessed"));
    }
    Ok(AdminToken(line.iter().map(|byte| char::from(*byte)).collect()))
}

fn cure_of(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => make(path),
        ErrorKind::PermissionDenied => {
            "let the user that runs the program read the file and enter its directory".to_owned()
        }
        _ => "name a regular file: it is read again at every reload".to_owned(),
    }
}

fn make(path: &Path) -> String {
    format!("`(umask 077; openssl rand -hex 32 > {})` makes one", path.display())
}

/// The bit of a mode by which every user may read.
const OTHERS_READ: u32 = 0o004;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::{AdminToken, parse};

    #[test]
    fn a_token_is_one_line_of_its_characters() {
        check("0123456789abcdef", Ok(()));
        check("0123456789abcdef\n", Ok(()));
        check("0123456789abcdef\r\n", Ok(()));
        check("AZaz09-._~+/AZ==", Ok(()));
        check(&"a".repeat(1024), Ok(()));
        check(&format!("{}\r\n", "a".repeat(1024)), Ok(()));
        check("", Err("it is empty"));
        check("\n", Err("it is empty"));
        check("0123456789abcde", Err("it has less than 16 characters, and could be guessed"));
        check(&"a".repeat(1025), Err("it has more than 1024 characters"));
        check("0123456789abcdef\n\n", Err("it has more than one line"));
        check("token\n0123456789abcdef\n", Err("it has more than one line"));
        check("0123456789 abcdef", Err("its character 11 is none of a token"));
        check(" 0123456789abcdef", Err("its character 1 is none of a token"));
        check("0123456789=abcdef", Err("its character 11 is none of a token"));
        check("0123456789abcdef\u{e9}", Err("its character 17 is none of a token"));
        check("================", Err("it has nothing but `=`"));
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(), &str>) {
        let parsed = parse(text.as_bytes());
        assert_eq!(parsed.as_ref().map(|_| ()).map_err(String::as_str), expected, "{text:?}");
    }

    #[test]
    fn a_file_that_others_may_read_is_a_warning_and_no_message_has_the_token() {
        let path = std::env::temp_dir().join(format!("rondel-token-{}", std::process::id()));
        let read = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            AdminToken::read(&path)
        };
        let (token, warning) = read("0123456789abcdef\n", 0o640).unwrap();
        assert_eq!(warning, None);
        assert!(token.is(b"0123456789abcdef") && !token.is(b"0123456789abcdeF") && !token.is(b"0123456789"));
        assert_eq!(format!("{token:?}"), "AdminToken(..)");
        let (_, warning) = read("0123456789abcdef\n", 0o644).unwrap();
        assert!(warning.unwrap().to_string().contains("chmod 0400"));
        let error = read("my secret token\n", 0o600).unwrap_err().to_string();
        assert!(error.contains("its character 3 is none of a token") && !error.contains("secret"), "{error}");
        let error = read(&"a".repeat(5000), 0o600).unwrap_err().to_string();
        assert!(error.contains("more than 1024 characters"), "{error}");
        fs::remove_file(&path).unwrap();
        let error = AdminToken::read(&path).unwrap_err().to_string();
        assert!(error.contains("No such file") && error.contains("openssl rand"), "{error}");
        let error = AdminToken::read(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(error.contains("it is a directory"), "{error}");
    }

    proptest! {
        #[test]
        fn no_token_is_another(one in "[A-Za-z0-9._~+/-]{16,40}=?", other in "[A-Za-z0-9._~+/-]{16,40}=?") {
            let token = parse(one.as_bytes()).unwrap();
            prop_assert_eq!(token.is(other.as_bytes()), one == other);
            prop_assert!(token.is(one.as_bytes()));
            prop_assert!(!token.is(&one.as_bytes()[1..]));
        }
    }
}
