//! What an error of a server says about its health.
//!
//! Each protocol has one table with all errors that are not just a wrong answer. An error that no table lists
//! counts against the server, as a healthy server would not report it.

use crate::answer::{ProbeError, Role, Text};

/// What an error of a server says about its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    /// Nothing. It concerns the account of the probe, and accounts are replicated: it would take all servers down
    /// at once.
    Account,
    /// Nothing. The server serves its clients and is at its connection limit.
    Full,
    /// The server does not serve: it is starting, loading or shutting down, has left its group, or blocks this
    /// host.
    Down,
    /// It serves, and accepts no writes.
    NotPrimary,
}

impl ErrorClass {
    /// The result of a probe for an error of this class with the server's `text`.
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
