//! How one is picked: shares, counts, bounds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use config::TargetRole;
use proptest::prelude::*;
use table::{BackendIndex, Dice, Picked, Pool};

use crate::story::{POLICIES, Story, config, letter};

#[test]
fn the_neighbour_of_a_down_backend_has_no_double_share() {
    let mut story = Story::new("probe: { tcp: {} }", &["", "", "", "weight: 3"]);
    assert_eq!(story.picks(600), [100, 100, 100, 300]);
    story.tell(".x..");
    assert_eq!(story.picks(500), [100, 0, 100, 300]);
    story.tell(".xx.");
    assert_eq!(story.picks(400), [100, 0, 0, 300]);
    story.tell("....");
    assert_eq!(story.picks(600), [100, 100, 100, 300]);
}

#[test]
fn the_rotation_continues_when_health_changes() {
    let mut story = Story::new("probe: { tcp: {} }", &["", "", ""]);
    let mut picked = |known: &str, number: usize| {
        story.tell(known);
        (0..number).map(|_| letter(story.pick())).collect::<String>()
    };
    assert_eq!(picked("...", 4), "abca");
    // Four were picked; the next are the fifth and sixth of a rotation of two.
    assert_eq!(picked("..x", 2), "ab");
    assert_eq!(picked("...", 3), "abc");
}

#[test]
fn the_first_that_has_a_free_permit() {
    let backends = &["max_connections: 2", "weight: 0", "max_connections: 1", ""];
    let mut story = Story::new("balance: first", backends);
    let picked: String = (0..6).map(|_| letter(story.pick())).collect();
    assert_eq!(picked, "aacddd");
    assert_eq!(story.pool().backends[0].release().count(), 0);
    assert_eq!(letter(story.pick()), 'a');
    // A failed attempt is no reason to go on to the next: the backend may be well, and take the next client.
    assert_eq!(story.pick_for(TargetRole::Any, &[BackendIndex(3)], 1), Picked::None);
    assert!(!story.pool().can_pick(TargetRole::Any, &[BackendIndex(3)]));
    assert_eq!(story.pool().backends[0].release().count(), 0);
    assert_eq!(story.pick_for(TargetRole::Any, &[BackendIndex(0)], 1), Picked::None);
    assert!(!story.pool().can_pick(TargetRole::Any, &[BackendIndex(0)]));
    assert!(story.pool().can_pick(TargetRole::Any, &[BackendIndex(2)]));
}

#[test]
fn a_client_of_the_first_waits_while_all_are_full() {
    let mut story = Story::new("balance: first", &["max_connections: 1", "max_connections: 1"]);
    assert_eq!([letter(story.pick()), letter(story.pick())], ['a', 'b']);
    assert_eq!(story.pick_for(TargetRole::Any, &[], 1), Picked::Full);
    assert!(!story.pool().can_pick(TargetRole::Any, &[]));
}

#[test]
fn the_next_is_the_first_while_the_one_before_is_down() {
    let mut story = Story::new("balance: first; probe: { tcp: {} }", &["", "", ""]);
    let mut serves = |known: &str| {
        story.tell(known);
        story.candidates(TargetRole::Any)
    };
    assert_eq!(["...", "x..", "xx.", "x..", "e..", "...", "xxx"].map(&mut serves).concat(), "abcbbaa");
}

#[test]
fn fewest_connections_for_the_weight() {
    let mut story = Story::new("balance: least_connections", &["", "", ""]);
    // Equals take turns.
    let first: String = (0..6).map(|_| letter(story.pick())).collect();
    assert_eq!(first, "abcabc");
    // Two connections of `b` end: it gets the next two.
    for _ in 0..2 {
        assert_eq!(story.pool().backends[1].release().count(), 0);
    }
    assert_eq!([story.pick(), story.pick()], [BackendIndex(1); 2]);

    let mut weighted = Story::new("balance: least_connections", &["weight: 3", "", "weight: 0", "weight: 6"]);
    assert_eq!(weighted.picks(1000), [300, 100, 0, 600]);
}

#[test]
fn fewest_connections_is_exact_over_threads() {
    let story = Story::new("balance: least_connections", &["", "", "", "", ""]);
    let picked = in_threads(story.pool(), 2000);
    assert_eq!(picked.0, [3200; 5], "no thread lost every race, so none is off by one");
}

#[test]
fn two_random_draws_are_nearly_even() {
    let mut story = Story::new("balance: random", &[""; 10]);
    let picks = story.picks(10_000);
    assert!(picks.iter().all(|picks| (990..=1010).contains(picks)), "{picks:?}");
    let mut weighted = Story::new("balance: random", &["weight: 3", "", "weight: 0", "weight: 6"]);
    let picks = weighted.picks(10_000);
    for (picks, expected) in picks.iter().zip([3000, 1000, 0, 6000_u32]) {
        assert!(picks.abs_diff(expected) <= 50, "{picks:?}");
    }
    // Only the dice are random.
    let order = || {
        let mut story = Story::new("balance: random", &[""; 10]);
        (0..100).map(|_| story.pick()).collect::<Vec<_>>()
    };
    assert_eq!(order(), order());
}

#[test]
fn a_client_stays_with_its_backend() {
    let mut story = Story::new("balance: maglev; probe: { tcp: {} }", &[""; 5]);
    let clients = 0..10_000_u32;
    let picks = |story: &mut Story, tried: &[BackendIndex]| -> HashMap<u32, BackendIndex> {
        clients
            .clone()
            .filter_map(|client| Some((client, backend(story.pick_for(TargetRole::Any, tried, client))?)))
            .collect()
    };
    let before = picks(&mut story, &[]);
    assert_eq!(before, picks(&mut story, &[]));
    let dead = BackendIndex(2);
    let failed = picks(&mut story, &[dead]);
    assert!(failed.values().all(|picked| *picked != dead));
    assert!(clients.clone().all(|client| before[&client] == dead || before[&client] == failed[&client]));

    story.tell("..x..");
    let after = picks(&mut story, &[]);
    let moved = clients.clone().filter(|client| before[client] != after[client]).count();
    let ideal = before.values().filter(|picked| **picked == dead).count();
    assert!(moved < ideal * 12 / 10, "{moved} of {ideal} that had to move");
    // Its clients are spread over all others.
    for index in [0, 1, 3, 4] {
        let share = after.values().filter(|picked| picked.0 == index).count();
        assert!((2300..2700).contains(&share), "{share}");
    }
    story.tell(".....");
    assert_eq!(before, picks(&mut story, &[]));
}

#[test]
fn a_full_backend_is_passed_over_and_all_full_is_not_none() {
    for policy in POLICIES {
        let keys = format!("balance: {policy}");
        let mut story = Story::new(&keys, &["max_connections: 2", "max_connections: 1", "weight: 0"]);
        let mut counts = story.picks(3);
        assert_eq!(counts, [2, 1, 0], "{policy}");
        assert_eq!(story.pick_for(TargetRole::Any, &[], 1), Picked::Full, "{policy}");
        let (a, b) = (BackendIndex(0), BackendIndex(1));
        assert_eq!(story.pick_for(TargetRole::Any, &[a], 1), Picked::Full, "{policy}");
        assert_eq!(story.pick_for(TargetRole::Any, &[a, b], 1), Picked::None, "{policy}");
        assert_eq!(story.pool().backends[1].release().count(), 0);
        counts = story.picks(1);
        assert_eq!(counts, [0, 1, 0], "{policy}");
        assert_eq!(Story::new(&keys, &["weight: 0"]).pick_for(TargetRole::Any, &[], 1), Picked::None);
    }
}

#[test]
fn permits_are_exact_over_threads() {
    for policy in POLICIES {
        let backends = ["max_connections: 100", "max_connections: 250", ""];
        let story = Story::new(&format!("balance: {policy}"), &backends[..2]);
        let (picked, full) = in_threads(story.pool(), 200);
        assert_eq!((picked.as_slice(), full), (&[100, 250][..], 8 * 200 - 350), "{policy}");
        let open = Story::new(&format!("balance: {policy}"), &backends);
        let (picked, full) = in_threads(open.pool(), 200);
        assert!(picked[0] <= 100 && picked[1] <= 250 && full == 0, "{policy}: {picked:?}");
    }
}

#[test]
fn permits_outlive_a_swap() {
    let backends = ["max_connections: 2", ""];
    let mut story = Story::new("probe: { tcp: {} }", &backends);
    assert_eq!(story.picks(4), [2, 2]);
    let before = story.table.clone();
    story.tell("..");
    assert_eq!(story.picks(4), [0, 4]);
    assert_eq!(before.pools[0].backends[0].release().count(), 0);
    assert_eq!(story.picks(4), [1, 3]);
    // A backend without a bound is counted, too, for a later file that has one.
    story.config = config("probe: { tcp: {} }", &["", ""]);
    story.tell("..");
    assert_eq!(story.picks(4), [2, 2]);
    story.config = config("balance: least_connections; probe: { tcp: {} }", &["max_connections: 5", ""]);
    story.tell("..");
    let active =
        |story: &Story| story.pool().backends.iter().map(|backend| backend.semaphore.active()).collect();
    let before: Vec<u32> = active(&story);
    assert_eq!(before, [4, 11]);
    assert_eq!(story.picks(2), [1, 1]);
}

#[test]
fn waiting_workers_are_named_when_a_permit_is_free() {
    let mut story = Story::new("", &["max_connections: 1", "max_connections: 1"]);
    assert_eq!(story.picks(2), [1, 1]);
    let before = story.table.clone();
    story.config = config("", &["max_connections: 1"]);
    story.tell(".");
    let waiters = &story.pool().waiters;
    waiters.wait(1);
    // Also of one whose backend is no longer in the pool, and each once.
    assert_eq!(before.pools[0].backends[1].release().collect::<Vec<_>>(), [1]);
    assert!(!waiters.waits(1));
    assert_eq!(before.pools[0].backends[0].release().count(), 0);
}

#[test]
fn failures_in_a_row_are_reported_once_and_outlive_a_swap() {
    let mut story = Story::new("eject: { failures: 3 }", &[""]);
    let fails = |story: &Story| story.pool().backends[0].on_connect_failed();
    assert!(!fails(&story) && !fails(&story));
    story.pool().backends[0].on_connected();
    assert!(!fails(&story) && !fails(&story));
    story.tell(".");
    assert!(fails(&story) && !fails(&story));
    assert_eq!(story.pool().backends[0].failures_in_a_row(), 4);
    story.pool().backends[0].forget_failures();
    assert_eq!(story.pool().backends[0].failures_in_a_row(), 0);
    let never = Story::new("eject: off", &[""]);
    assert!((0..10).all(|_| !fails(&never)));
}

/// The picks of eight threads, this many each, for separate clients; and how often all were full.
fn in_threads(pool: &Pool, picks: u32) -> (Vec<u32>, u32) {
    let picked: Vec<AtomicU32> = pool.backends.iter().map(|_| AtomicU32::new(0)).collect();
    let full = AtomicU32::new(0);
    thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (picked, full) = (&picked, &full);
            scope.spawn(move || {
                let mut dice = Dice::new(u64::from(thread));
                for pick in 0..picks {
                    let client = || IpAddr::from((thread * picks + pick).to_be_bytes());
                    match pool.pick(TargetRole::Any, &[], &mut dice, client) {
                        Picked::Backend(index) => {
                            picked[usize::from(index.0)].fetch_add(1, Ordering::Relaxed)
                        }
                        Picked::Full => full.fetch_add(1, Ordering::Relaxed),
                        Picked::None => unreachable!("all have a weight"),
                    };
                }
            });
        }
    });
    (picked.into_iter().map(AtomicU32::into_inner).collect(), full.into_inner())
}

fn backend(picked: Picked) -> Option<BackendIndex> {
    match picked {
        Picked::Backend(index) => Some(index),
        Picked::Full | Picked::None => None,
    }
}

proptest! {
    /// Connections come and go: the picked backend has the fewest for its weight, and a free permit.
    #[test]
    fn least_connections_is_least(
        weights in prop::collection::vec(1u32..5, 2..6),
        bound in 1u32..8,
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200),
    ) {
        let each: Vec<String> =
            weights.iter().map(|weight| format!("weight: {weight}, max_connections: {bound}")).collect();
        let each: Vec<&str> = each.iter().map(String::as_str).collect();
        let mut story = Story::new("balance: least_connections", &each);
        let mut active = vec![0; weights.len()];
        for (comes, index) in steps {
            let index = index.index(weights.len());
            if comes {
                let open = || (0..active.len()).filter(|index| active[*index] < bound);
                if let Some(picked) = backend(story.pick_for(TargetRole::Any, &[], 1)) {
                    let picked = usize::from(picked.0);
                    let load = |index: usize| f64::from(active[index] + 1) / f64::from(weights[index]);
                    prop_assert!(active[picked] < bound);
                    prop_assert!(open().all(|other| load(picked) <= load(other) + 1e-9));
                    active[picked] += 1;
                } else {
                    prop_assert_eq!(open().count(), 0);
                }
            } else if active[index] > 0 {
                active[index] -= 1;
                prop_assert_eq!(story.pool().backends[index].release().count(), 0);
            }
        }
    }
}
