//! Picks each backend in its turn, strictly.

use crate::attempt::Attempt;
use crate::backend::BackendIndex;
use crate::picked::Picked;

/// Picks place `number % len` of `rotation`. If that belongs to one that was tried or is full, the round's number
/// says which of the other places substitutes it, so that they take turns. There is at least one place.
pub(crate) fn pick(rotation: &[BackendIndex], number: u64, attempt: &Attempt<'_>) -> Picked {
    let len = rotation.len() as u64;
    let picked = rotation[usize::try_from(number % len).expect("less than the rotation's length")];
    if attempt.try_acquire(picked) {
        Picked::Backend(picked)
    } else {
        attempt.substitute(rotation, number / len)
    }
}
