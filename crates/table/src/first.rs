//! Picks the first backend of a list that has a free permit.

use crate::attempt::Attempt;
use crate::backend::BackendIndex;
use crate::picked::Picked;

/// Picks the first of `members` that has a free permit. Members are not empty.
///
/// A member that was tried ends the search: that an attempt failed does not mean that the backend is down, and until
/// it is, the one after it must not serve beside it.
pub(crate) fn pick(members: &[BackendIndex], attempt: &Attempt<'_>) -> Picked {
    match before_tried(members, attempt.tried).find(|index| attempt.try_acquire(*index)) {
        Some(index) => Picked::Backend(index),
        None if members.iter().any(|index| attempt.tried.contains(index)) => Picked::None,
        None => Picked::Full,
    }
}

/// The members before the first one that was tried: those that may be picked.
pub(crate) fn before_tried(
    members: &[BackendIndex],
    tried: &[BackendIndex],
) -> impl Iterator<Item = BackendIndex> {
    members.iter().copied().take_while(|index| !tried.contains(index))
}
