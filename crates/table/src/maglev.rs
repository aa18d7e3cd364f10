//! Picks by the client's address: the same backend each time, on every node that has the same pool.
//!
//! The table of "Maglev: A Fast and Reliable Software Network Load Balancer" (2016), with weights: each backend
//! has an order of its own in which it would like to have the slots, and they take turns. When a backend leaves,
//! its slots go to the others, and few of theirs move. All of it comes from addresses and weights, neither from
//! the order of the file nor from chance.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::attempt::Attempt;
use crate::backend::BackendIndex;
use crate::chance::mix;
use crate::picked::Picked;

/// Which backend is picked for which client.
#[derive(Clone, Debug)]
pub(crate) struct Maglev {
    /// The backend of each slot; empty if there is none.
    slots: Arc<[BackendIndex]>,
    /// Those that have slots, by address, so that it is the same order on every node.
    members: Arc<[BackendIndex]>,
}

/// A backend that is to have slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) index: BackendIndex,
    pub(crate) address: SocketAddr,
    /// Not 0.
    pub(crate) share: u32,
}

impl Maglev {
    /// For these members, of the `backends` that the pool has: the number of slots depends on those alone, or
    /// clients would move whenever one of them is down.
    pub(crate) fn build(mut members: Vec<Member>, backends: usize) -> Self {
        members.sort_by_key(|member| member.address);
        let slots = if members.is_empty() { Arc::default() } else { fill(&members, slots(backends)).into() };
        Self { slots, members: members.iter().map(|member| member.index).collect() }
    }

    /// Whose turn it is for `client`. If that one was tried or is full, it is another that is the same each time.
    pub(crate) fn pick(&self, client: IpAddr, attempt: &Attempt<'_>) -> Picked {
        let len = self.slots.len() as u64;
        if len == 0 {
            return Picked::None;
        }
        let hash = hash(client);
        let mut rehash = hash;
        for _ in 0..LOOKS_MAX {
            let slot = usize::try_from(rehash % len).expect("less than the number of slots");
            if attempt.try_acquire(self.slots[slot]) {
                return Picked::Backend(self.slots[slot]);
            }
            rehash = mix(rehash.wrapping_add(1));
        }
        attempt.substitute(&self.members, hash)
    }
}

/// Hands the slots out. A round gives the backend of the largest share one slot, and the others as often one as their
/// shares are of that.
///
/// Bound: a backend tries each slot once at most, and in all they try `slots * ln(slots)` of them, about a million for
/// the smaller table and seven for the larger. There are `slots` rounds at most, and fewer than that divided by what
/// the mean share is of the largest.
fn fill(members: &[Member], slots: usize) -> Vec<BackendIndex> {
    let largest = u64::from(members.iter().map(|member| member.share).max().expect("there is one"));
    let mut orders: Vec<Order> = members.iter().map(|member| Order::new(member.address, slots)).collect();
    let mut filled = vec![None; slots];
    let mut free = slots;
    for round in 0_u64.. {
        for (member, order) in members.iter().zip(&mut orders) {
            // On its own and not against the others, so that no turn comes at another time when one of them is
            // removed. Rounded up, so that each has a slot of the first round.
            let turns = |rounds: u64| (rounds * u64::from(member.share)).div_ceil(largest);
            if turns(round) == turns(round + 1) {
                continue;
            }
            let slot = order.next_free(&filled);
            filled[slot] = Some(member.index);
            free -= 1;
            if free == 0 {
                return filled.into_iter().flatten().collect();
            }
        }
    }
    unreachable!("each round fills a slot")
}

/// The slots in the order in which one backend would like to have them: a permutation, as their number is prime.
struct Order {
    next: usize,
    step: usize,
}

impl Order {
    fn new(address: SocketAddr, slots: usize) -> Self {
        let below = |number: u64, end: usize| {
            usize::try_from(number % end as u64).expect("less than the number of slots")
        };
        let hash = mix(hash(address.ip()) ^ u64::from(address.port()));
        Self { next: below(hash, slots), step: 1 + below(mix(hash), slots - 1) }
    }

    fn next_free(&mut self, filled: &[Option<BackendIndex>]) -> usize {
        loop {
            let slot = self.next;
            self.next = (self.next + self.step) % filled.len();
            if filled[slot].is_none() {
                return slot;
            }
        }
    }
}

/// With no key: it has to be the same on every node. A client that can choose its address can choose its backend,
/// and could as well send it everything from one address.
fn hash(ip: IpAddr) -> u64 {
    // A client is the same whether it came to an address of IPv4 or to one that takes both.
    let bits = match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let half = |shift: u32| u64::try_from(bits >> shift & u128::from(u64::MAX)).expect("64 bits");
    mix(mix(half(64).wrapping_add(SEED)) ^ half(0))
}

/// How many slots a pool of so many backends has.
fn slots(backends: usize) -> usize {
    let enough = SLOTS.into_iter().find(|slots| backends * SLOTS_PER_BACKEND_MIN <= *slots);
    enough.unwrap_or(SLOTS[SLOTS.len() - 1])
}

/// Two sizes, both prime: 128 KiB for a pool of up to 1310 backends, 1 MiB beyond. A pool that grows past that
/// moves nearly all its clients, once.
const SLOTS: [usize; 2] = [65_537, 524_287];

/// So that shares are right to about two percent.
const SLOTS_PER_BACKEND_MIN: usize = 50;

/// How many slots are tried for one pick, before it goes through all members. More than a connection makes attempts.
const LOOKS_MAX: usize = 24;

/// Any number will do, but the same for all.
const SEED: u64 = 0x726f_6e64_656c_0001;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr, SocketAddr};

    use proptest::prelude::*;

    use super::{Maglev, Member, SLOTS, hash, slots};
    use crate::backend::BackendIndex;

    /// So many backends of these shares, each named by its address.
    fn members(shares: &[u32]) -> Vec<Member> {
        let member = |(index, share): (usize, &u32)| {
            let index = u16::try_from(index).unwrap();
            let [high, low] = index.to_be_bytes();
            let address = SocketAddr::from(([10, 0, high, low], 80));
            Member { index: BackendIndex(index), address, share: *share }
        };
        shares.iter().enumerate().map(member).collect()
    }

    fn slots_of(maglev: &Maglev, backends: usize) -> Vec<usize> {
        let mut counts = vec![0; backends];
        maglev.slots.iter().for_each(|index| counts[usize::from(index.0)] += 1);
        counts
    }

    #[test]
    fn equal_backends_have_equally_many_slots() {
        for backends in [1, 2, 3, 10, 100, 1000] {
            let maglev = Maglev::build(members(&vec![1; backends]), backends);
            let counts = slots_of(&maglev, backends);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{backends}: {least} to {most}");
        }
    }

    #[test]
    fn slots_follow_the_shares() {
        let shares = [1000, 3000, 500, 256_000, 1];
        let total: u64 = shares.iter().map(|share| u64::from(*share)).sum();
        let counts = slots_of(&Maglev::build(members(&shares), 5), 5);
        for (count, share) in counts.iter().zip(shares) {
            let ideal = SLOTS[0] as u64 * u64::from(share) / total;
            assert!((*count as u64).abs_diff(ideal) <= 4, "{counts:?}");
        }
        assert_eq!(counts[4], 1, "the least share is not nothing");
    }

    #[test]
    fn few_clients_move_when_a_backend_leaves() {
        for shares in [vec![1; 3], vec![1; 10], vec![1; 100], vec![1, 2, 3, 4, 5, 6], vec![1000, 1000, 300]] {
            let all = members(&shares);
            let before = Maglev::build(all.clone(), all.len());
            for left in 0..all.len().min(10) {
                let mut rest = all.clone();
                rest.remove(left);
                let after = Maglev::build(rest, all.len());
                let pairs = || before.slots.iter().zip(after.slots.iter());
                let moved = pairs().filter(|(before, after)| before != after).count();
                let ideal = pairs().filter(|(before, _)| usize::from(before.0) == left).count();
                assert!(moved < ideal * 2, "{shares:?}: {moved} moved, {ideal} had to");
            }
        }
    }

    #[test]
    fn a_known_pool_has_known_picks() {
        // Another node, or the next version, that gives something else here moves every client.
        let maglev = Maglev::build(members(&[1, 1, 2]), 3);
        let clients = (1..=12).map(|client| IpAddr::from([192, 0, 2, client]));
        let slot = |client| usize::try_from(hash(client) % SLOTS[0] as u64).unwrap();
        let picked: Vec<u16> = clients.map(|client| maglev.slots[slot(client)].0).collect();
        assert_eq!(picked, [2, 2, 0, 2, 0, 2, 2, 1, 0, 2, 2, 1]);
        let mapped = IpAddr::V6(Ipv6Addr::from_bits(0xffff_c000_0201));
        assert_eq!(hash(mapped), hash(IpAddr::from([192, 0, 2, 1])));
    }

    #[test]
    fn as_many_backends_as_there_may_be() {
        assert_eq!((slots(1310), slots(1311), slots(10_000)), (SLOTS[0], SLOTS[1], SLOTS[1]));
        let counts = slots_of(&Maglev::build(members(&vec![256_000; 10_000]), 10_000), 10_000);
        assert!(counts.iter().all(|count| (52..=53).contains(count)));
    }

    proptest! {
        /// The order of the file says nothing, only addresses do.
        #[test]
        fn every_node_has_the_same_table(shares in prop::collection::vec(1u32..300, 1..8), turn in 0usize..8) {
            let ordered = members(&shares);
            let mut turned = ordered.clone();
            turned.rotate_left(turn % ordered.len());
            let (one, other) = (Maglev::build(ordered, 8), Maglev::build(turned, 8));
            prop_assert_eq!(&one.slots, &other.slots);
            prop_assert_eq!(&one.members, &other.members);
        }
    }
}
