//! The errors of PostgreSQL by their SQLSTATEs, and those of a login.

use std::{error, io};

use tokio_postgres::Error;

use super::super::error_class::ErrorClass;
use super::super::error_class::ErrorClass::{Account, Down, Full, NotPrimary};
use crate::answer::{ProbeError, Role, Text};

/// The role of a server that reported this error, if it shows one.
pub(super) fn role(error: &Error) -> Result<Role, ProbeError> {
    match error.as_db_error() {
        Some(said) => {
            let text = Text::new(format_args!("{}: {said}", said.code().code()));
            ErrorClass::of(class(said.code().code()), text)
        }
        None => Err(unsaid(error)),
    }
}

/// The class of the error with this SQLSTATE.
fn class(state: &str) -> Option<ErrorClass> {
    STATES.iter().find(|(listed, ..)| state.starts_with(listed)).map(|(_, class, _)| *class)
}

/// Errors by SQLSTATE, or by its first two digits, which are a class:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
///
/// `08P01`, a protocol violation, is not listed: `PgBouncer` reports it when the server behind it is gone.
const STATES: &[(&str, ErrorClass, &str)] = &[
    ("25006", NotPrimary, "read_only_sql_transaction"),
    // A password that is wrong or has expired, a role that may not log in, a line of `pg_hba.conf`.
    ("28", Account, "invalid_authorization_specification"),
    ("3D000", Account, "invalid_catalog_name"),
    ("42501", Account, "insufficient_privilege"),
    ("53300", Full, "too_many_connections"),
    // The database of the probe accepts no connections.
    ("55000", Account, "object_not_in_prerequisite_state"),
    ("57P01", Down, "admin_shutdown"),
    ("57P02", Down, "crash_shutdown"),
    ("57P03", Down, "cannot_connect_now"),
    ("57P04", Account, "database_dropped"),
];

/// Reads an error that is not a message of the server.
fn unsaid(error: &Error) -> ProbeError {
    let source = error::Error::source(error);
    // Only the text of the library names the failed step; the reason is in its source.
    let step = error.to_string();
    let why = source.map_or_else(String::new, ToString::to_string);
    let text = Text::new(format_args!("{step}: {why}"));
    if step.starts_with("authentication error") {
        login(&why, text)
    } else if let Some(io) = source.and_then(|source| source.downcast_ref::<io::Error>()) {
        io.into()
    } else if error.is_closed() {
        ProbeError::Closed
    } else if step.starts_with("error performing TLS handshake") {
        ProbeError::Tls(text)
    } else if step.starts_with("invalid configuration") {
        // The server requests a password, and there is none.
        ProbeError::Authentication(text)
    } else {
        ProbeError::Protocol(text)
    }
}

/// Reads why a login failed before the server decided on it.
fn login(why: &str, text: Text) -> ProbeError {
    if why.starts_with("SCRAM iteration count exceeds") {
        // A client without a bound would compute for as long as the server wants.
        ProbeError::Authentication(Text::new(
            "its password is stored with more than 100000 SCRAM iterations, which a probe does not compute: \
             lower `scram_iterations`, then set the password again",
        ))
    } else if why.starts_with("unsupported") {
        // Kerberos, for example, if `pg_hba.conf` requires it for this account.
        ProbeError::Authentication(text)
    } else {
        // The server does not have the password either, or violates the protocol.
        ProbeError::Protocol(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorClass, STATES, class};

    #[test]
    fn errors_of_the_account_do_not_count_against_the_server() {
        for state in ["28000", "28P01", "3D000", "42501", "55000", "57P04"] {
            assert_eq!(class(state), Some(ErrorClass::Account), "{state}");
        }
    }

    #[test]
    fn other_errors_have_their_class() {
        for (said, states) in [
            (Some(ErrorClass::Full), &["53300"][..]),
            (Some(ErrorClass::Down), &["57P01", "57P02", "57P03"]),
            (Some(ErrorClass::NotPrimary), &["25006"]),
            // Protocol violation, disk full, syntax error, query cancelled, internal error, none at all.
            (None, &["08P01", "53100", "42601", "57014", "XX000", ""]),
        ] {
            for state in states {
                assert_eq!(class(state), said, "{state}");
            }
        }
    }

    #[test]
    fn each_state_has_one_class() {
        for (place, (state, ..)) in STATES.iter().enumerate() {
            let others = STATES[..place].iter().chain(&STATES[place + 1..]);
            assert!(others.into_iter().all(|(other, ..)| !other.starts_with(state)), "{state}");
        }
    }
}
