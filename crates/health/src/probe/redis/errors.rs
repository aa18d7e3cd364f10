//! The errors of Redis and Valkey by their first words.

use redis::{ErrorKind, RedisError};

use super::super::error_class::ErrorClass;
use super::super::error_class::ErrorClass::{Account, Down, Full, NotPrimary};
use crate::answer::{ProbeError, Role, Text};

/// The role of a server that reported this error, if it shows one.
pub(super) fn role(error: &RedisError) -> Result<Role, ProbeError> {
    let text = Text::new(error);
    match error.kind() {
        _ if error.is_connection_dropped() => Err(ProbeError::Closed),
        // The library does not return the server's text about the password.
        ErrorKind::AuthenticationFailed => Err(ProbeError::Authentication(text)),
        ErrorKind::Io | ErrorKind::Parse => Err(ProbeError::Protocol(text)),
        _ => {
            let said = format!("{} {}", error.code().unwrap_or_default(), error.detail().unwrap_or_default());
            ErrorClass::of(class(&said), text)
        }
    }
}

/// The class of an error with this text.
fn class(said: &str) -> Option<ErrorClass> {
    ERRORS.iter().find(|(words, _)| said.starts_with(words)).map(|(_, class)| *class)
}

/// Errors by their first words. The first word is the code, and errors without one have the code `ERR`:
/// <https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>. The texts are from the source of
/// the servers.
const ERRORS: &[(&str, ErrorClass)] = &[
    // A script runs for longer than `busy-reply-threshold`: no client is served.
    ("BUSY ", Down),
    ("CLUSTERDOWN ", Down),
    // Protected mode.
    ("DENIED ", Account),
    ("ERR AUTH ", Account),
    ("ERR Client sent AUTH", Account),
    ("ERR invalid password", Account),
    ("ERR max number of clients", Full),
    ("ERR operation not permitted", Account),
    ("LOADING ", Down),
    ("MASTERDOWN ", Down),
    ("NOAUTH ", Account),
    ("NOPERM ", Account),
    ("READONLY ", NotPrimary),
    ("WRONGPASS ", Account),
];

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::{ERRORS, role};

    /// The result of a probe for an error with this text: a role, or the name of an error.
    fn made_of(said: &str) -> &'static str {
        let value = parse_redis_value(format!("-{said}\r\n").as_bytes()).expect("it is one of the protocol");
        let error = value.extract_error().expect_err("it is an error");
        role(&error).map_or_else(|error| error.name(), |role| role.name())
    }

    #[test]
    fn errors_of_the_account_do_not_count_against_the_server() {
        for said in [
            "NOAUTH Authentication required.",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOPERM User probe has no permissions to run the 'role' command",
            "DENIED Redis is running in protected mode because protected mode is enabled",
            "ERR invalid password",
            "ERR Client sent AUTH, but no password is set",
            "ERR AUTH <password> called without any password configured for the default user.",
            "ERR operation not permitted",
        ] {
            assert_eq!(made_of(said), "authentication", "{said}");
        }
    }

    #[test]
    fn other_errors_have_their_class() {
        for (said, made) in [
            ("ERR max number of clients reached", "overloaded"),
            ("ERR max number of clients + cluster connections reached", "overloaded"),
            ("LOADING Redis is loading the dataset in memory", "not_ready"),
            ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "not_ready"),
            ("BUSY Redis is busy running a script.", "not_ready"),
            ("CLUSTERDOWN The cluster is down", "not_ready"),
            ("READONLY You can't write against a read only replica.", "neither"),
            ("ERR unknown command 'ROLE'", "unexpected_answer"),
            ("BUSYKEY Target key name already exists.", "unexpected_answer"),
        ] {
            assert_eq!(made_of(said), made, "{said}");
        }
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(ERRORS.is_sorted_by(|(one, _), (next, _)| one < next));
    }
}
