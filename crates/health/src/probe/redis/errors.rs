//! The errors of Redis and Valkey by their first words.

use redis::{ErrorKind, RedisError};

use super::super::error_class::ErrorClass;
use super::super::error_class::ErrorClass::{Account, Down, Full, NotPrimary};
use crate::answer::{ProbeError, Role, Text};

/// The role of a server that answered with this error, if that tells one.
pub(super) fn role(error: &RedisError) -> Result<Role, ProbeError> {
    let text = Text::new(error);
    match error.kind() {
        _ if error.is_connection_dropped() => Err(ProbeError::Closed),
        // The library does not tell what the server said of the password.
        ErrorKind::AuthenticationFailed => Err(ProbeError::Authentication(text)),
        ErrorKind::Io | ErrorKind::Parse => Err(ProbeError::Protocol(text)),
        _ => {
            let said = format!("{} {}", error.code().unwrap_or_default(), error.detail().unwrap_or_default());
            ErrorClass::of(class(&said), text)
        }
    }
}

/// What an error in these words says of the server.
fn class(said: &str) -> Option<ErrorClass> {
    ERRORS.iter().find(|(words, _)| said.starts_with(words)).map(|(_, class)| *class)
}

/// Errors by the words that they begin with. The first word is the code, and `ERR` is the code of all that have none:
/// <https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>. The words are those of the server's source.
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

    /// What a probe makes of an error that a server says in these words: a role, or the name of its own error.
    fn made_of(said: &str) -> &'static str {
        let value = parse_redis_value(format!("-{said}\r\n").as_bytes()).expect("it is one of the protocol");
        let error = value.extract_error().expect_err("it is an error");
        role(&error).map_or_else(|error| error.name(), |role| role.name())
    }

    #[test]
    fn an_error_of_the_probes_account_says_nothing_of_the_server() {
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
    fn what_other_errors_say_of_the_server() {
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
    fn the_table_is_in_order() {
        assert!(ERRORS.is_sorted_by(|(one, _), (next, _)| one < next));
    }
}
