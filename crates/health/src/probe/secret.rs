//! Reads a password. It is kept for one probe, and in no message.

use std::env;
use std::fs::File;
use std::io::Read;

use crate::answer::{ProbeError, Text};
use config::probe::Secret;

/// The password; none if there is none.
pub(super) fn read(secret: &Secret) -> Result<Option<String>, ProbeError> {
    let unusable = |place: &dyn std::fmt::Display, what: &dyn std::fmt::Display| {
        ProbeError::Local(Text::new(format_args!("the password in {place}: {what}")))
    };
    match secret {
        Secret::None => Ok(None),
        Secret::File(path) => {
            let mut content = String::new();
            // A small file, read at once: a thread for it would cost more.
            let file = File::open(path).map_err(|error| unusable(&path.display(), &error))?;
            file.take(SECRET_MAX)
                .read_to_string(&mut content)
                .map_err(|error| unusable(&path.display(), &error))?;
            match content.lines().next().unwrap_or_default() {
                "" => Err(unusable(&path.display(), &"its first line is empty")),
                password => Ok(Some(password.to_owned())),
            }
        }
        Secret::Environment(name) => match env::var(name) {
            Ok(password) if password.is_empty() => Err(unusable(&format_args!("${name}"), &"it is empty")),
            Ok(password) => Ok(Some(password)),
            Err(error) => Err(unusable(&format_args!("${name}"), &error)),
        },
    }
}

/// How much of a file is read, in bytes.
const SECRET_MAX: u64 = 4096;
