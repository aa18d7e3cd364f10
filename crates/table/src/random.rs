//! Picks the less busy of two that chance names: nearly as even as looking at all, at the cost of looking at two.

use crate::attempt::Attempt;
use crate::backend::BackendIndex;
use crate::chance::Dice;
use crate::load::Load;
use crate::picked::Picked;

/// Picks from `rotation`, which has each backend as often as its share says.
pub(crate) fn pick(rotation: &[BackendIndex], dice: &mut Dice, attempt: &Attempt<'_>) -> Picked {
    let len = rotation.len();
    if len == 0 {
        return Picked::None;
    }
    let first = dice.below(len);
    // Another place, though it may be the same backend's.
    let second = if len == 1 { first } else { (first + 1 + dice.below(len - 1)) % len };
    let open = [rotation[first], rotation[second]].into_iter().filter(|index| attempt.is_open(*index));
    match open.map(|index| attempt.load(index)).reduce(Load::lighter) {
        Some(Load { index, .. }) if attempt.try_acquire(index) => Picked::Backend(index),
        _ => attempt.substitute(rotation, dice.below(len) as u64),
    }
}
