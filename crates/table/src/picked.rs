//! The result of a pick.

use crate::backend::BackendIndex;

/// The result of a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a permit that was acquired has to be released"]
pub enum Picked {
    /// This one. A permit of it is acquired, to be released by [`Backend::release`](crate::Backend::release); a
    /// [peek](crate::Pool::peek) acquires none.
    Backend(BackendIndex),
    /// Every candidate has as many connections as it may.
    Full,
    /// There is no candidate, or none that was not tried.
    None,
}
