//! What an error that a server reports says of that server.
//!
//! Each protocol has one table, which names every error that is not just a wrong answer. An error that no table names counts
//! against the server: it answers, and not as one that is well.

use crate::answer::{ProbeError, Role, Text};

/// What an error says of the server that reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    /// Nothing. It is about the probe's own account, and accounts replicate: it would take all servers down at once.
    Account,
    /// Nothing. The server serves its clients, and has no place for one more.
    Full,
    /// It does not serve: it starts, loads, shuts down, has left its group, or lets no client of this host in.
    Down,
    /// It serves, and takes no writes.
    NotPrimary,
}

impl ErrorClass {
    /// What a probe makes of an error with this meaning, which the server puts into the words `text`.
    pub(super) fn of(meaning: Option<Self>, text: Text) -> Result<Role, ProbeError> {
        match meaning {
            Some(Self::Account) => Err(ProbeError::Authentication(text)),
            Some(Self::Full) => Err(ProbeError::Overloaded(text)),
            Some(Self::Down) => Err(ProbeError::NotReady(text)),
            Some(Self::NotPrimary) => Ok(Role::Neither),
            None => Err(ProbeError::UnexpectedAnswer(text)),
        }
    }
}
