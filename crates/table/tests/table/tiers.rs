//! Which tier serves, over time.

use std::time::Duration;

use config::{Backups, Failback, TargetRole, Tier};
use proptest::prelude::*;

use crate::story::Story;

#[test]
fn a_backup_serves_while_too_few_are_active() {
    // A column a second: the states of two active ones and a backup, and `!` for an order to fail back. Below, what
    // serves then.
    check("", "... x.. xx. xx. x.. ...", "A A B B A A");
    check("min_active: 2", "... x.. xx. x.. ...", "A B B B A");
    check("", "xx.", "B");
    check("", "?e. ex. xx.", "A B B");
}

#[test]
fn a_tier_without_backends_serves_only_if_none_has_any() {
    check("", "xxx xxx xx. xxx xxx x.x", "A A B B B A");
    // Not fit, but better than none.
    check("min_active: 2; failback: manual", "xx. x.x ... x.x", "B A A A");
    check("min_active: 2", "x.x ..x x.x", "A A A");
}

#[test]
fn failback_waits_for_its_delay() {
    check("failback_delay: 3s", "... xx. ... ... ... ...", "A B B B B A");
    // A tier that falters begins again.
    check("failback_delay: 3s", "xx. ... ... xx. ... ... ... ...", "B B B B B B B A");
}

#[test]
fn manual_failback_waits_for_an_order() {
    check("failback: manual", "... xx. ... ... ... ...! ...", "A B B B B A A");
    check("failback_delay: 3s", "xx. ...! ...", "B A A");
    // An order that cannot be followed is void.
    check("min_active: 2; failback: manual", "xx. x..! ... ...!", "B B B A");
}

#[test]
fn one_backup_serves_at_a_time() {
    // Below, which backends may be picked.
    check_first("", ".... x... xx.. xxx. xx.. x... ....", "a b c d c b a");
    // A backup that waits may fail unnoticed; one that serves is replaced at once.
    check_first("", "x... x.x. xxx. x.x. x.xx", "b b d b b");
    // Without any, what served last is asked, or nothing.
    check_first("", "x... xx.. xxxx x..x", "b c c b");
    check_first("on_all_down: closed", "x... xxxx ...x", "b - a");
    // An ejection counts as a failure, a state that is not known does not.
    check_first("", "e??? ee?? ????", "b c a");
}

#[test]
fn a_better_backup_takes_over_as_the_active_tier_does() {
    check_first("failback_delay: 3s", "xx.. x... x... x... x...", "c c c c b");
    // Each waits for its own delay; one that falters begins again.
    check_first("failback_delay: 3s", "xx.. x... .... .... .... ....", "c c c c b a");
    check_first("failback_delay: 3s", "xx.. x... xx.. x... x... x... x...", "c c c c c c b");
    // What cannot serve any longer is not waited for.
    check_first("failback_delay: 3s", "xx.. x... x.x.", "c c b");
    check_first("failback: manual", "xx.. .... ....! ....", "c c a a");
    check_first("failback: manual", "xx.. x... x...! ....", "c c b b");
    check_first("failback: manual", "xx.. ...x ..x. .xx. .xxx", "c c b d a");
}

#[test]
fn the_backup_that_serves_outlives_a_reload() {
    let keys = "probe: { tcp: {} }; backups: first; failback: manual";
    let mut story = Story::new(keys, &["", "tier: backup", "tier: backup"]);
    story.tell("xx.");
    story.tell("...");
    assert_eq!(story.candidates(TargetRole::Any), "c");
    story.config.pools[0].backends.swap(1, 2);
    story.tell("...");
    assert_eq!(story.candidates(TargetRole::Any), "b", "it is the same one at another place");
    story.config.pools[0].tiers.backups = Backups::All;
    story.tell("...");
    assert_eq!(story.candidates(TargetRole::Any), "bc");
    story.config.pools[0].tiers.backups = Backups::First;
    story.tell(".x.");
    assert_eq!(story.candidates(TargetRole::Any), "c");
    story.config.pools[0].backends.remove(2);
    story.tell("..");
    assert_eq!(story.candidates(TargetRole::Any), "b", "the active tier waits for its order");
    story.config.pools[0].backends.remove(1);
    story.tell(".");
    assert_eq!(story.candidates(TargetRole::Any), "a");
}

#[track_caller]
fn check_first(keys: &str, story: &str, expected: &str) {
    let keys = format!("probe: {{ tcp: {{}} }}; backups: first; {keys}");
    let keys = keys.trim_end_matches("; ");
    let mut told = Story::new(keys, &["", "tier: backup", "tier: backup", "tier: backup"]);
    let serve = |known: &str| {
        told.tell(known);
        told.wait(1);
        let serving = told.candidates(TargetRole::Any);
        if serving.is_empty() { "-".to_owned() } else { serving }
    };
    assert_eq!(story.split(' ').map(serve).collect::<Vec<_>>().join(" "), expected, "{keys}: {story}");
}

#[track_caller]
fn check(keys: &str, story: &str, expected: &str) {
    let mut told = Story::new(&format!("probe: {{ tcp: {{}} }}; {keys}"), &["", "", "tier: backup"]);
    let serves = |known: &str| {
        told.tell(known);
        told.wait(1);
        if told.pool().tier() == Tier::Active { "A" } else { "B" }
    };
    assert_eq!(story.split(' ').map(serves).collect::<Vec<_>>().join(" "), expected, "{keys}: {story}");
}

#[test]
fn another_table_is_due_when_time_alone_changes_something() {
    let mut story = Story::new("probe: { tcp: {} }; failback_delay: 3s", &["", "tier: backup"]);
    story.tell("x.");
    assert_eq!(story.table.due, None);
    story.tell("..");
    assert_eq!(story.table.due, Some(story.now + Duration::from_secs(3)));
    story.now = story.table.due.unwrap();
    story.tell("..");
    assert_eq!((story.pool().tier(), story.table.due), (Tier::Active, None));
}

#[test]
fn the_tier_outlives_a_reload() {
    let mut story = Story::new("probe: { tcp: {} }; failback: manual", &["", "tier: backup"]);
    story.tell("x.");
    story.config.pools[0].attempts = 1;
    story.tell("..");
    assert_eq!(story.pool().tier(), Tier::Backup);
    // The new file decides otherwise.
    story.config.pools[0].tiers.failback = Failback::Auto(Duration::ZERO);
    story.tell("..");
    assert_eq!(story.pool().tier(), Tier::Active);
}

proptest! {
    /// In any order: the serving tier has a backend if any tier has, and a tier that need not change does not.
    #[test]
    fn a_tier_serves_if_any_can(
        active_min in 1usize..=3,
        manual in any::<bool>(),
        story in prop::collection::vec(("[.x]{5}", any::<bool>()), 1..50),
    ) {
        let failback = if manual { "failback: manual" } else { "failback_delay: 3s" };
        let keys = format!("probe: {{ tcp: {{}} }}; min_active: {active_min}; {failback}");
        let mut told = Story::new(&keys, &["", "", "", "tier: backup", "tier: backup"]);
        let mut before = None;
        for (known, order) in story {
            let count = |known: &str| known.matches('.').count();
            let (active, backup) = (count(&known[..3]), count(&known[3..]));
            told.tell(&if order { known + "!" } else { known });
            told.wait(1);
            let tier = told.pool().tier();
            let of_tier = if tier == Tier::Active { active } else { backup };
            prop_assert!(of_tier > 0 || active + backup == 0);
            prop_assert!(before != Some(Tier::Active) || active < active_min || tier == Tier::Active);
            let stays = manual && !order && before == Some(Tier::Backup) && backup > 0;
            prop_assert!(!stays || tier == Tier::Backup);
            before = Some(tier);
        }
    }

    /// In any order: never two backups may be picked, nor a backup beside an active one, nor one that cannot serve
    /// while another can.
    #[test]
    fn two_never_write(
        manual in any::<bool>(),
        open in any::<bool>(),
        story in prop::collection::vec(("[.xe?]{5}", any::<bool>(), 0_u64..5), 1..50),
    ) {
        let failback = if manual { "failback: manual" } else { "failback_delay: 3s" };
        let open = if open { "open" } else { "closed" };
        let keys = format!("probe: {{ tcp: {{}} }}; backups: first; {failback}; on_all_down: {open}");
        let mut told = Story::new(&keys, &["", "tier: backup", "tier: backup", "weight: 0, tier: backup", "tier: backup"]);
        for (known, order, seconds) in story {
            let can = |index: usize| index != 3 && matches!(known.as_bytes()[index], b'.' | b'?');
            told.tell(&if order { format!("{known}!") } else { known.clone() });
            told.wait(seconds);
            let serving = told.candidates(TargetRole::Any);
            prop_assert!(serving.len() <= 1, "{serving} after {known}");
            let serves = serving.bytes().next().map(|letter| usize::from(letter - b'a'));
            prop_assert!(serves.is_some_and(can) || !(0..5).any(can), "{serving} after {known}");
        }
    }
}
