//! What operators said, as it changes and ends.

#![expect(clippy::disallowed_methods, reason = "only a clock makes an instant")]

use std::time::{Duration, Instant};

use config::{Action, Prefix};

use super::{AccessKey, AccessOverride, AccessOverrides};

#[test]
fn what_ends_first_is_due() {
    let begun = Instant::now();
    let mut overrides = AccessOverrides::default();
    let mut say = |prefix: &str, seconds: Option<u64>| {
        let until = seconds.map(|seconds| begun + Duration::from_secs(seconds));
        overrides.change([(key(prefix, None), Some(said(Action::Deny, begun, until)))]);
        overrides.due().map(|due| (due - begun).as_secs())
    };
    assert_eq!(say("192.0.2.1", None), None);
    assert_eq!(say("192.0.2.2", Some(9)), Some(9));
    assert_eq!(say("192.0.2.3", Some(5)), Some(5));
    assert_eq!(say("192.0.2.3", Some(20)), Some(9), "it was replaced");
    assert_eq!(say("192.0.2.2", None), Some(20));
    overrides.change([(key("192.0.2.2", None), None)]);
    assert!(overrides.expire(begun + Duration::from_secs(19)).is_empty());
    let ended = overrides.expire(begun + Duration::from_secs(20));
    assert_eq!(ended.iter().map(|(key, _)| key.prefix.to_string()).collect::<Vec<_>>(), ["192.0.2.3"]);
    assert_eq!((overrides.due(), overrides.all().len()), (None, 1));
}

#[test]
fn an_allowance_around_a_denial_is_found() {
    let begun = Instant::now();
    let mut overrides = AccessOverrides::default();
    let mut say = |prefix: &str, list, action| {
        overrides.change([(key(prefix, list), Some(said(action, begun, None)))]);
    };
    say("10.0.0.0/8", None, Action::Allow);
    say("192.0.2.0/24", Some("a"), Action::Allow);
    say("198.51.100.0/24", None, Action::Deny);
    say("0.0.0.0/0", Some("b"), Action::Allow);
    for (prefix, list, around) in [
        ("10.1.2.3", None, Some("10.0.0.0/8")),
        ("10.1.2.3", Some("a"), Some("10.0.0.0/8")),
        ("10.0.0.0/8", None, None),
        ("10.0.0.0/8", Some("a"), Some("10.0.0.0/8")),
        ("192.0.2.7", None, None),
        ("192.0.2.7", Some("a"), Some("192.0.2.0/24")),
        ("192.0.2.0/24", Some("a"), None),
        ("192.0.0.0/16", Some("a"), None),
        ("198.51.100.7", None, None),
        ("203.0.113.7", Some("b"), Some("0.0.0.0/0")),
        ("2001:db8::1", Some("b"), None),
    ] {
        let found = overrides.allowed_around(&key(prefix, list)).map(|key| key.prefix.to_string());
        assert_eq!(found.as_deref(), around, "{prefix} {list:?}");
    }
}

#[test]
fn what_decides_is_the_most_narrow_and_an_allowance_before_a_denial() {
    let begun = Instant::now();
    let mut overrides = AccessOverrides::default();
    for (prefix, list, action) in [
        ("10.0.0.0/8", None, Action::Deny),
        ("10.1.0.0/16", None, Action::Allow),
        ("10.1.2.0/24", None, Action::Deny),
        ("10.2.0.0/16", Some("a"), Action::Deny),
    ] {
        overrides.change([(key(prefix, list), Some(said(action, begun, None)))]);
    }
    for (address, list, decides) in [
        ("10.9.0.1", None, Some("10.0.0.0/8")),
        ("10.1.2.3", None, Some("10.1.0.0/16")),
        ("10.2.0.1", None, Some("10.0.0.0/8")),
        ("10.2.0.1", Some("a"), Some("10.2.0.0/16")),
        ("::ffff:10.9.0.1", Some("a"), Some("10.0.0.0/8")),
        ("192.0.2.1", Some("a"), None),
    ] {
        let found = overrides.deciding(list, address.parse().unwrap());
        assert_eq!(found.map(|(key, _)| key.prefix.to_string()).as_deref(), decides, "{address} {list:?}");
    }
}

#[test]
fn ranges_are_made_again_when_something_changed() {
    let begun = Instant::now();
    let mut overrides = AccessOverrides::default();
    assert!(!overrides.layers().says_anything() && !overrides.are_changed());
    overrides.change([(key("192.0.2.0/24", None), Some(said(Action::Deny, begun, None)))]);
    overrides.change([(key("192.0.2.7", Some("a")), Some(said(Action::Allow, begun, None)))]);
    assert!(overrides.are_changed());
    let layers = overrides.layers();
    let address = "192.0.2.7".parse().unwrap();
    assert_eq!(layers.of_list(None).find(address), Some(1));
    assert_eq!(layers.of_list(Some("a")).find(address), Some(0));
    assert!(!overrides.are_changed());
}

fn key(prefix: &str, list: Option<&str>) -> AccessKey {
    AccessKey { list: list.map(str::to_owned), prefix: Prefix::parse(prefix).unwrap() }
}

fn said(action: Action, since: Instant, until: Option<Instant>) -> AccessOverride {
    AccessOverride { action, since, until, by: String::new(), why: String::new() }
}
