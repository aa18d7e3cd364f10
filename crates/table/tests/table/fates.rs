//! What becomes of established connections.

use config::TargetRole;
use connection::CloseReason;
use proptest::prelude::*;
use table::{Fate, Table};

use crate::story::{DEMANDS, PRIMARY, REPLICA, REPLICA_OR_PRIMARY, Story, WORKERS};

const KEEP: &str = "k";

#[test]
fn by_default_connections_live_on() {
    for known in ["xx.", "xxx", "eee", "???"] {
        check("probe: { tcp: {} }", &["", "", "tier: backup"], &[known], TargetRole::Any, "kkk");
    }
}

#[test]
fn who_went_down_is_left_if_the_pool_says_so() {
    let keys = "probe: { redis: {} }; on_down: close";
    check(keys, &["", "", ""], &["..x"], TargetRole::Any, "kkd");
    check(keys, &["", "", ""], &["?e."], TargetRole::Any, "kkk");
    check(keys, &["", "", ""], &["RRx"], REPLICA, "kkd");
    check(keys, &["", "", ""], &["RxP"], PRIMARY, "ldk");
    // All are down and may be picked: nobody believes it.
    check(keys, &["", "", ""], &["xxx"], TargetRole::Any, "kkk");
    check(&format!("{keys}; on_all_down: closed"), &["", "", ""], &["xxx"], TargetRole::Any, "ddd");
}

#[test]
fn who_lost_the_role_is_left_by_writers_alone() {
    let keys = "probe: { redis: {} }";
    check(keys, &["", "", ""], &["PRR"], PRIMARY, "kll");
    check(keys, &["", "", ""], &["PRR", "RPR"], PRIMARY, "lkl");
    check(keys, &["", "", ""], &["PRR", "xRR"], PRIMARY, "lll");
    check(keys, &["", "", ""], &["PRR", "RPR"], REPLICA, "kkk");
    check(keys, &["", "", ""], &["PRL"], REPLICA_OR_PRIMARY, "kkk");
    check(keys, &["", "", ""], &["PRR", "RPR"], TargetRole::Any, "kkk");
    check("probe: { redis: {} }; on_role_loss: keep", &["", "", ""], &["PRR", "RPR"], PRIMARY, "kkk");
    // Nobody knows yet.
    check(keys, &["", "", ""], &["PRR", "???"], PRIMARY, "kkk");
    check(keys, &["", "", ""], &["PRR", "pRR"], PRIMARY, "kll");
}

#[test]
fn a_tier_that_serves_no_longer_is_left_if_the_pool_says_so() {
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
    assert_eq!(fates(&story, TargetRole::Any), "kk");
    let due = story.table.due.unwrap();
    assert_eq!(due - story.now, story.config.runtime.drain_timeout);
    story.wait(29);
    story.tell("..");
    assert_eq!((fates(&story, TargetRole::Any).as_str(), story.table.due), ("kk", Some(due)));
    story.now = due;
    story.tell("..");
    assert_eq!((fates(&story, TargetRole::Any).as_str(), story.table.due), ("kD", None));
}

#[test]
fn a_connection_knows_its_backend_in_every_table() {
    let mut story = Story::new("probe: { tcp: {} }; on_down: close", &["", ""]);
    let before = story.table.clone();
    story.tell("x.");
    let down = Fate::Close(CloseReason::BackendDown);
    let fate = |table: &Table, index: usize| table.fate(TargetRole::Any, &before.pools[0].backends[index]);
    assert_eq!((fate(&story.table, 0), fate(&story.table, 1)), (down, Fate::Keep));
    assert!(story.table.severs());
    assert_eq!(fate(&before, 0), Fate::Keep);
    // A file that has another order, or another name, is about the same backends; one that has them no more says nothing.
    story.config.pools[0].backends.reverse();
    story.config.pools[0].backends[1].name = "renamed".to_owned();
    story.tell(".x");
    assert_eq!((fate(&story.table, 0), fate(&story.table, 1)), (down, Fate::Keep));
    story.config.pools[0].backends.pop();
    story.tell("x");
    assert_eq!(fate(&story.table, 0), Fate::Keep);
    let none = Table::build(&story.config, Vec::new(), WORKERS, None, Some(&story.table));
    assert!(!none.severs());
}

/// `k` lives on; `d` its backend is down, `D` its tier was demoted, `l` the role was lost.
#[track_caller]
fn check(keys: &str, backends: &[&str], known: &[&str], demand: TargetRole, expected: &str) {
    let mut story = Story::new(keys, backends);
    for known in known {
        story.tell(known);
    }
    assert_eq!(fates(&story, demand), expected, "{keys} {known:?}");
}

fn fates(story: &Story, demand: TargetRole) -> String {
    let fate = |backend| match story.table.fate(demand, backend) {
        Fate::Keep => KEEP,
        Fate::Close(CloseReason::BackendDown) => "d",
        Fate::Close(CloseReason::Demoted) => "D",
        Fate::Close(CloseReason::RoleLost) => "l",
        Fate::Close(other) => panic!("{other:?}"),
    };
    story.pool().backends.iter().map(|backend| fate(backend)).collect()
}

proptest! {
    /// Whoever may be picked is never left: that would be to connect and to reset in turns.
    #[test]
    fn whoever_may_be_picked_is_kept(
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
            for demand in DEMANDS {
                let fates: Vec<char> = fates(&told, demand).chars().collect();
                for candidate in told.candidates(demand).chars() {
                    prop_assert_eq!(fates[usize::from(candidate as u8 - b'a')], 'k');
                }
            }
        }
    }
}
