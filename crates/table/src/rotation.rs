//! The sequence that round robin walks: each backend as often as its weight says, spread smoothly.

use std::sync::Arc;

use crate::backend::BackendIndex;

/// The smooth weighted round robin of nginx, one whole period of it.
///
/// Every backend gains its weight at each step; the one that has most is picked (the first of equals) and
/// pays the total. So 5, 1, 1 is `a a b a c a a` and not `a a a a a b c`. Weights are divided by their
/// greatest common divisor first, and backends of weight 0 are left out.
pub(crate) fn smooth(weights: &[u32]) -> Arc<[BackendIndex]> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PLACES_MAX, smooth};

    #[test]
    fn each_as_often_as_its_weight_says_and_spread() {
        check(&[1], "a");
        check(&[7], "a");
        check(&[1, 1, 1], "abc");
        check(&[4, 4], "ab");
        check(&[5, 1, 1], "aabacaa");
        check(&[1, 2], "bab");
        check(&[10, 20], "bab");
        check(&[3, 2, 1], "abacba");
        check(&[0, 1, 0, 1], "bd");
        check(&[0, 0], "");
        check(&[], "");
    }

    #[track_caller]
    fn check(weights: &[u32], expected: &str) {
        let letter = |place: &crate::BackendIndex| char::from(b'a' + u8::try_from(place.0).unwrap());
        assert_eq!(smooth(weights).iter().map(letter).collect::<String>(), expected);
    }

    #[test]
    fn at_the_limit_shares_are_approximate_and_never_zero() {
        // One of weight 1 beside 199 of 255 and 256: 50 845 places, were there no limit.
        let weights: Vec<u32> = (0..200).map(|index| if index == 0 { 1 } else { 255 + index % 2 }).collect();
        let shares = shares(&weights);
        assert!(shares.iter().sum::<u64>() <= u64::try_from(PLACES_MAX).unwrap());
        assert_eq!(shares[0], 1);
        assert!(shares[1..].iter().all(|share| (160..=164).contains(share)), "{shares:?}");
    }

    #[test]
    fn as_many_backends_as_there_may_be() {
        let equal = smooth(&vec![256; 10_000]);
        assert!(equal.iter().enumerate().all(|(place, index)| place == usize::from(index.0)));
        assert_eq!(equal.len(), 10_000);
    }

    fn shares(weights: &[u32]) -> Vec<u64> {
        let mut shares = vec![0; weights.len()];
        for place in smooth(weights).iter() {
            shares[usize::from(place.0)] += 1;
        }
        shares
    }

    /// nginx's `ngx_http_upstream_get_peer`, unchanged, over one period.
    fn nginx(weights: &[u32]) -> Vec<u16> {
        let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
        let mut current = vec![0; weights.len()];
        let mut picked = Vec::new();
        for _ in 0..total {
            let mut best: Option<usize> = None;
            for peer in 0..weights.len() {
                if weights[peer] == 0 {
                    continue;
                }
                current[peer] += i64::from(weights[peer]);
                if best.is_none_or(|best| current[peer] > current[best]) {
                    best = Some(peer);
                }
            }
            let best = best.unwrap();
            current[best] -= total;
            picked.push(u16::try_from(best).unwrap());
        }
        picked
    }

    proptest! {
        #[test]
        fn is_what_nginx_does(weights in prop::collection::vec(0..=40_u32, 0..12), factor in 1..6_u32) {
            let weights: Vec<u32> = weights.iter().map(|weight| weight * factor).collect();
            let rotation: Vec<u16> = smooth(&weights).iter().map(|place| place.0).collect();
            let expected = nginx(&weights);
            prop_assert_eq!(expected.is_empty(), rotation.is_empty());
            if !rotation.is_empty() {
                // One period of nginx is ours as often as the divisor says.
                prop_assert_eq!(expected.len() % rotation.len(), 0);
                prop_assert!(expected.chunks(rotation.len()).all(|chunk| chunk == rotation));
            }
        }

        #[test]
        fn each_appears_as_often_as_its_reduced_weight(
            weights in prop::collection::vec(0..=256_u32, 1..60),
        ) {
            let divisor = weights.iter().fold(0, |a, &b| gcd(a, b));
            let expected: Vec<u64> =
                weights.iter().map(|&weight| u64::from(weight.checked_div(divisor).unwrap_or(0))).collect();
            prop_assert_eq!(shares(&weights), expected);
        }
    }

    fn gcd(a: u32, b: u32) -> u32 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
}
