//! Which backends may be picked, by the target role of the listener.

use config::TargetRole;
use proptest::prelude::*;
use table::{BackendState, Picked, PoolInputs};

use crate::story::{POLICIES, PRIMARY, REPLICA, REPLICA_OR_PRIMARY, Story, TARGET_ROLES, address, state};

const TCP: &str = "probe: { tcp: {} }";
const OPEN: &str = "probe: { redis: {} }; on_all_down: open";
const CLOSED: &str = "probe: { redis: {} }; on_all_down: closed";

#[test]
fn without_a_target_role_any_available_backend_serves() {
    for (known, expected) in
        [("....", "abcd"), ("?.x.", "abd"), ("e.x?", "bd"), ("xxx.", "d"), ("xxxx", "abcd"), ("exex", "abcd")]
    {
        check(TCP, &["", "", "", ""], known, TargetRole::Any, expected);
    }
    check(CLOSED, &["", ""], "xe", TargetRole::Any, "");
    // A backend with weight 0 is never a last resort.
    check(TCP, &["", "weight: 0", ""], "x..", TargetRole::Any, "c");
    check(TCP, &["", "weight: 0", ""], "x.x", TargetRole::Any, "ac");
}

#[test]
fn a_backup_is_picked_when_its_tier_serves() {
    let backends = ["", "", "tier: backup", "tier: backup"];
    for (known, expected) in
        [("....", "ab"), ("x...", "b"), ("xx..", "cd"), ("xex.", "d"), ("xxxx", "ab"), ("??..", "ab")]
    {
        check(TCP, &backends, known, TargetRole::Any, expected);
    }
    check("probe: { tcp: {} }; on_all_down: closed", &backends, "xxxx", TargetRole::Any, "");
    // The active tier is drained by hand, and its backup is dead: then any backend is better than none.
    check(TCP, &["weight: 0", "tier: backup"], ".x", TargetRole::Any, "b");
    check("probe: { tcp: {} }; min_active: 2", &backends, "x...", TargetRole::Any, "cd");
}

#[test]
fn a_writer_gets_the_primary_or_no_backend() {
    for keys in [OPEN, CLOSED] {
        for (known, expected) in [
            ("RPR", "b"),
            ("RRR", ""),
            ("...", ""),
            ("???", ""),
            ("xxx", ""),
            // No other backend may take its place.
            ("RpR", "b"),
        ] {
            check(keys, &["", "", ""], known, PRIMARY, expected);
        }
        check(keys, &["", "weight: 0", ""], "RPR", PRIMARY, "");
    }
}

#[test]
fn a_reader_gets_a_replica_that_does_not_lag() {
    for (known, none, primary) in [
        ("PRR", "bc", "bc"),
        ("PLR", "c", "c"),
        ("PLL", "", "a"),
        ("Prr", "", "a"),
        ("xLr", "", ""),
        ("P..", "", "a"),
        ("pxx", "", "a"),
        ("???", "", ""),
    ] {
        check(CLOSED, &["", "", ""], known, REPLICA, none);
        check(CLOSED, &["", "", ""], known, REPLICA_OR_PRIMARY, primary);
    }
    // `open` prefers old data to none, but not from a backend that never reported to be a replica.
    for (known, none, primary) in
        [("PLr", "bc", "a"), ("xLr", "bc", "bc"), ("xL.", "b", "b"), ("x.?", "", ""), ("PLR", "c", "c")]
    {
        check(OPEN, &["", "", ""], known, REPLICA, none);
        check(OPEN, &["", "", ""], known, REPLICA_OR_PRIMARY, primary);
    }
}

/// The same with every policy.
#[track_caller]
fn check(keys: &str, backends: &[&str], known: &str, target_role: TargetRole, expected: &str) {
    for policy in POLICIES {
        let mut story = Story::new(&format!("{keys}; balance: {policy}"), backends);
        story.tell(known);
        assert_eq!(story.candidates(target_role), expected, "{keys} {known} {policy}");
    }
}

#[test]
#[should_panic(expected = "two primaries of pool")]
fn two_primaries_are_never_written_to() {
    Story::new(OPEN, &["", ""]).tell("PP");
}

#[test]
fn without_health_every_backend_is_available_and_has_no_role() {
    let mut story = Story::new(OPEN, &["", "", "weight: 0"]);
    for (target_role, expected) in
        [(TargetRole::Any, "ab"), (PRIMARY, ""), (REPLICA, ""), (REPLICA_OR_PRIMARY, "")]
    {
        assert_eq!(story.candidates(target_role), expected, "{target_role:?}");
    }
    assert_eq!(story.table.due, None);
    assert!(!story.table.evicts());
    // And so is a backend without an input.
    story.tell_health(PoolInputs::default());
    assert_eq!(story.candidates(TargetRole::Any), "ab");
}

#[test]
fn a_backend_that_starts_slowly_takes_less() {
    let mut story = Story::new(TCP, &["", "", "weight: 2"]);
    let slow = |permille| BackendState { weight_permille: permille, ..state('.') };
    for (permille, expected) in
        [(1000, [200, 200, 400]), (250, [64, 246, 490]), (1, [0, 267, 533]), (0, [0, 267, 533])]
    {
        let health = PoolInputs { backends: [(address(0), slow(permille))].into(), ..PoolInputs::default() };
        story.tell_health(health);
        let picks = story.picks(800);
        let close = picks.iter().zip(expected).all(|(picks, expected)| picks.abs_diff(expected) <= 3);
        assert!(close, "{permille}: {picks:?}");
    }
}

proptest! {
    /// In any state: a pick is of a candidate, and every policy has the same candidates.
    #[test]
    fn picks_are_sound(known in "[.xe?RrL]{5}", primary in 0usize..6, open in any::<bool>(), drained in 0usize..6) {
        let mut known: Vec<char> = known.chars().collect();
        if let Some(known) = known.get_mut(primary) {
            *known = 'P';
        }
        let known: String = known.into_iter().collect();
        let backends: Vec<&str> = (0..5).map(|index| if index == drained { "weight: 0" } else { "" }).collect();
        let keys = if open { OPEN } else { CLOSED };
        let mut stories = POLICIES.map(|policy| {
            let mut story = Story::new(&format!("{keys}; balance: {policy}"), &backends);
            story.tell(&known);
            story
        });
        for target_role in TARGET_ROLES {
            let mut answers = stories.each_mut().map(|story| {
                let candidates = story.candidates(target_role);
                let picked = story.pick_for(target_role, &[], 7);
                assert_eq!(matches!(picked, Picked::Backend(_)), !candidates.is_empty());
                candidates
            });
            answers.sort();
            prop_assert_eq!(answers.first(), answers.last());
            let letters: Vec<char> = known.chars().collect();
            for candidate in answers[0].chars() {
                let index = usize::from(candidate as u8 - b'a');
                prop_assert_ne!(index, drained);
                match target_role {
                    TargetRole::Any => prop_assert!(open || matches!(letters[index], '.' | '?' | 'R' | 'L' | 'P')),
                    TargetRole::Primary(_) => prop_assert_eq!(letters[index], 'P'),
                    TargetRole::Replica(_) => {
                        let primary = target_role == REPLICA_OR_PRIMARY && letters[index] == 'P';
                        let stale = open && matches!(letters[index], 'r' | 'L');
                        prop_assert!(letters[index] == 'R' || primary || stale);
                    }
                }
            }
        }
    }
}
