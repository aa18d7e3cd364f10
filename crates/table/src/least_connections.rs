//! Picks the one with the fewest connections for its share, counted over all workers.

use crate::attempt::Attempt;
use crate::backend::BackendIndex;
use crate::load::Load;
use crate::picked::Picked;

/// Picks among `members`. Of equals, `number` says which is first.
///
/// Exact: a permit is acquired only if the count is still the one that was compared. Of `n` members it reads `n`.
///
/// Bound: it reads all of them [`RACES_MAX`] times, and four times more if it lost every race.
pub(crate) fn pick(members: &[BackendIndex], number: u64, attempt: &Attempt<'_>) -> Picked {
    let Some(start) = number.checked_rem(members.len() as u64) else { return Picked::None };
    let (behind, from) = members.split_at(usize::try_from(start).expect("less than a length"));
    for _ in 0..RACES_MAX {
        let open = from.iter().chain(behind).copied().filter(|index| attempt.is_open(*index));
        let Some(least) = open.map(|index| attempt.load(index)).reduce(Load::lighter) else {
            return attempt.none_of(members);
        };
        if attempt.try_acquire_at(least) {
            return Picked::Backend(least.index);
        }
    }
    attempt.substitute(members, number)
}

/// How often a pick starts over because another worker was quicker. Each such loss is another's gain; beyond it
/// the pick takes any free permit, and is not exact.
const RACES_MAX: usize = 16;
