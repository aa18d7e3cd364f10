//! Which established connections are closed because of the state of their backend.

use config::TargetRole;
use connection::CloseReason;
use proptest::prelude::*;
use table::Table;

use crate::story::{PRIMARY, REPLICA, REPLICA_OR_PRIMARY, Story, TARGET_ROLES, WORKERS};

const KEEP: &str = "k";

#[test]
fn by_default_connections_are_kept() {
    for known in ["xx.", "xxx", "eee", "???"] {
        check("probe: { tcp: {} }", &["", "", "tier: backup"], &[known], TargetRole::Any, "kkk");
    }
}

#[test]
fn on_down_closes_connections_to_a_backend_that_is_down() {
    let keys = "probe: { redis: {} }; on_down: close";
    check(keys, &["", "", ""], &["..x"], TargetRole::Any, "kkd");
    check(keys, &["", "", ""], &["?e."], TargetRole::Any, "kkk");
    check(keys, &["", "", ""], &["RRx"], REPLICA, "kkd");
    check(keys, &["", "", ""], &["RxP"], PRIMARY, "ldk");
    // All are down and still eligible: they keep their connections.
    check(keys, &["", "", ""], &["xxx"], TargetRole::Any, "kkk");
    check(&format!("{keys}; on_all_down: closed"), &["", "", ""], &["xxx"], TargetRole::Any, "ddd");
}

#[test]
fn only_writers_leave_a_backend_that_lost_its_role() {
    let keys = "probe: { redis: {} }";
    check(keys, &["", "", ""], &["PRR"], PRIMARY, "kll");
    check(keys, &["", "", ""], &["PRR", "RPR"], PRIMARY, "lkl");
    check(keys, &["", "", ""], &["PRR", "xRR"], PRIMARY, "lll");
    check(keys, &["", "", ""], &["PRR", "RPR"], REPLICA, "kkk");
    check(keys, &["", "", ""], &["PRL"], REPLICA_OR_PRIMARY, "kkk");
    check(keys, &["", "", ""], &["PRR", "RPR"], TargetRole::Any, "kkk");
    check("probe: { redis: {} }; on_role_loss: keep", &["", "", ""], &["PRR", "RPR"], PRIMARY, "kkk");
    // The state is unknown.
    check(keys, &["", "", ""], &["PRR", "???"], PRIMARY, "kkk");
    check(keys, &["", "", ""], &["PRR", "pRR"], PRIMARY, "kll");
}

#[test]
fn on_demotion_closes_connections_to_the_tier_that_no_longer_serves() {
    let backends = ["", "", "tier: backup"];
    let close = "probe: { tcp: {} }; on_demotion: close";
    check(close, &backends, &["..."], TargetRole::Any, "kkD");
    check(close, &backends, &["xx."], TargetRole::Any, "DDk");
    check(close, &backends, &["xx.", "..."], TargetRole::Any, "kkD");
    // It went down on its own.
    check(&format!("{close}; on_down: close"), &backends, &["xx."], TargetRole::Any, "ddk");
    check(
        "probe: { tcp: {} }; on_demotion: close; min_active: 2",
        &backends,
        &["x.."],
        TargetRole::Any,
        "DDk",
    );
}

#[test]
fn a_tier_is_drained_for_as_long_as_a_drain_takes() {
    let mut story = Story::new("probe: { tcp: {} }; on_demotion: drain", &["", "tier: backup"]);
    story.tell("x.");
    story.wait(100);
    story.tell("..");
    assert_eq!(evictions(&story, TargetRole::Any), "kk");
    let due = story.table.due.unwrap();
    assert_eq!(due - story.now, story.config.runtime.drain_timeout);
    story.wait(29);
    story.tell("..");
    assert_eq!((evictions(&story, TargetRole::Any).as_str(), story.table.due), ("kk", Some(due)));
    story.now = due;
    story.tell("..");
    assert_eq!((evictions(&story, TargetRole::Any).as_str(), story.table.due), ("kD", None));
}

#[test]
fn a_connection_knows_its_backend_in_every_table() {
    let mut story = Story::new("probe: { tcp: {} }; on_down: close", &["", ""]);
    let before = story.table.clone();
    story.tell("x.");
    let down = Some(CloseReason::BackendDown);
    let eviction =
        |table: &Table, index: usize| table.eviction(TargetRole::Any, &before.pools[0].backends[index]);
    assert_eq!((eviction(&story.table, 0), eviction(&story.table, 1)), (down, None));
    assert!(story.table.evicts());
    assert_eq!(eviction(&before, 0), None);
    // Another order, or another name, leaves the backends the same; removed ones have no eviction.
    story.config.pools[0].backends.reverse();
    story.config.pools[0].backends[1].name = "renamed".to_owned();
    story.tell(".x");
    assert_eq!((eviction(&story.table, 0), eviction(&story.table, 1)), (down, None));
    story.config.pools[0].backends.pop();
    story.tell("x");
    assert_eq!(eviction(&story.table, 0), None);
    let none = Table::build(&story.config, Vec::new(), WORKERS, None, Some(&story.table));
    assert!(!none.evicts());
}

/// `k` is kept; `d` its backend is down, `D` its tier was demoted, `l` the role was lost.
#[track_caller]
fn check(keys: &str, backends: &[&str], known: &[&str], target_role: TargetRole, expected: &str) {
    let mut story = Story::new(keys, backends);
    for known in known {
        story.tell(known);
    }
    assert_eq!(evictions(&story, target_role), expected, "{keys} {known:?}");
}

fn evictions(story: &Story, target_role: TargetRole) -> String {
    let eviction = |backend| match story.table.eviction(target_role, backend) {
        None => KEEP,
        Some(CloseReason::BackendDown) => "d",
        Some(CloseReason::Demoted) => "D",
        Some(CloseReason::RoleLost) => "l",
        Some(other) => panic!("{other:?}"),
    };
    story.pool().backends.iter().map(|backend| eviction(backend)).collect()
}

proptest! {
    /// An eligible backend keeps its connections; otherwise they would be opened and closed in turns.
    #[test]
    fn a_backend_that_may_be_picked_keeps_its_connections(
        story in prop::collection::vec(("[.xe?RrL]{4}", 0usize..5), 1..10),
        tiers in any::<bool>(),
        open in any::<bool>(),
    ) {
        let backends = if tiers { ["", "", "tier: backup", "tier: backup"] } else { [""; 4] };
        let open = if open { "open" } else { "closed" };
        let keys = format!("probe: {{ redis: {{}} }}; on_down: close; on_demotion: close; on_all_down: {open}");
        let mut told = Story::new(&keys, &backends);
        for (known, primary) in story {
            let mut known: Vec<char> = known.chars().collect();
            if let Some(known) = known.get_mut(primary) {
                *known = 'P';
            }
            told.wait(1);
            told.tell(&known.into_iter().collect::<String>());
            for target_role in TARGET_ROLES {
                let evictions: Vec<char> = evictions(&told, target_role).chars().collect();
                for candidate in told.candidates(target_role).chars() {
                    prop_assert_eq!(evictions[usize::from(candidate as u8 - b'a')], 'k');
                }
            }
        }
    }
}
