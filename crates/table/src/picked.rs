//! What came of a pick.

use crate::backend::BackendIndex;

/// What came of a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a place that was taken has to be given back"]
pub enum Picked {
    /// This one. A place at it is taken, to be given back by [`Backend::leave`](crate::Backend::leave), unless it is only foreseen.
    Backend(BackendIndex),
    /// Those that could be have as many connections as they may.
    Full,
    /// There is none, or none that was not tried.
    None,
}
