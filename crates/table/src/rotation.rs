//! The sequence that round robin walks: each backend as often as its weight says, spread smoothly.

use crate::pool::BackendIndex;

/// The smooth weighted round robin of nginx, one whole period of it.
///
/// Every backend gains its weight at each step; the one that has most is picked (the first of equals) and
/// pays the total. So 5, 1, 1 is `a a b a c a a` and not `a a a a a b c`. Weights are divided by their
/// greatest common divisor first, and backends of weight 0 are left out.
pub(crate) fn smooth(weights: &[u16]) -> Box<[BackendIndex]> {
    let mut candidates: Vec<Candidate> = weights
        .iter()
        .enumerate()
        .filter(|&(_, &weight)| weight > 0)
        .map(|(index, &weight)| Candidate {
            index: BackendIndex(u16::try_from(index).expect("a pool has at most 10 000 backends")),
            weight: i64::from(weight),
            credit: 0,
        })
        .collect();
    reduce(&mut candidates);
    let total = total(&candidates);
    if total == count(&candidates) {
        // All weights are equal: the order of the file, without the quadratic walk.
        return candidates.iter().map(|candidate| candidate.index).collect();
    }
    (0..total)
        .map(|_| {
            for candidate in &mut candidates {
                candidate.credit += candidate.weight;
            }
            let picked = candidates
                .iter_mut()
                .reduce(|best, next| if next.credit > best.credit { next } else { best })
                .expect("the total of none is 0");
            picked.credit -= total;
            picked.index
        })
        .collect()
}

struct Candidate {
    index: BackendIndex,
    weight: i64,
    credit: i64,
}

/// Makes the weights as small as their proportions, and the limit, allow.
fn reduce(candidates: &mut [Candidate]) {
    divide_by_gcd(candidates);
    let total = total(candidates);
    if total > PLACES_MAX {
        let shared = PLACES_MAX - count(candidates);
        for candidate in &mut *candidates {
            candidate.weight = (candidate.weight * shared / total).max(1);
        }
        divide_by_gcd(candidates);
    }
}

fn divide_by_gcd(candidates: &mut [Candidate]) {
    let divisor = candidates.iter().fold(0, |divisor, candidate| gcd(divisor, candidate.weight));
    for candidate in candidates {
        candidate.weight /= divisor;
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn total(candidates: &[Candidate]) -> i64 {
    candidates.iter().map(|candidate| candidate.weight).sum()
}

fn count(candidates: &[Candidate]) -> i64 {
    i64::try_from(candidates.len()).expect("a pool has at most 10 000 backends")
}

/// How many places a rotation has at most.
///
/// Reached only by large pools of unlike weights, such as 128 backends near the largest weight. Beyond it
/// weights are scaled down together and rounded down, none below 1: shares become approximate, never zero.
const PLACES_MAX: i64 = 32_768;
