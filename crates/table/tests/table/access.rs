//! Which clients may connect: the rules of lists, and what operators say before them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Action, Config, Prefix};
use driver::{ListenGroup, Owner};
use table::{AccessKey, AccessOverride, Decider, Entry, Inputs, Listener, Sources, TableWriter, Written};

use crate::story::origin;

const LISTS: &str = "
access:
- { name: internet, rules: [{ allow: 10.1.0.0/16 }, { deny: [10.0.0.0/8, '2001:db8::/32'] }] }
- { name: office, rules: [{ allow: 192.0.2.0/24 }], otherwise: deny }
limits: [{ name: visitors, connections: 1 }]
listeners:
- { name: web, address: '127.0.0.1:80', pool: web, access: internet, limits: visitors }
- { name: ssh, address: '127.0.0.1:22', pool: web, access: office }
- { name: open, address: '127.0.0.1:81', pool: web }
pools: [{ name: web, backends: ['10.0.0.1:80'] }]
";

#[test]
fn the_first_rule_of_a_list_that_matches_decides() {
    let story = Story::new(LISTS);
    for (listener, client, expected) in [
        ("web", "10.1.2.3", (Action::Allow, Decider::Rule(0))),
        ("web", "10.2.0.1", (Action::Deny, Decider::Rule(1))),
        ("web", "::ffff:10.2.0.1", (Action::Deny, Decider::Rule(1))),
        ("web", "2001:db8::1", (Action::Deny, Decider::Rule(1))),
        ("web", "192.0.2.1", (Action::Allow, Decider::Otherwise)),
        ("ssh", "192.0.2.1", (Action::Allow, Decider::Rule(0))),
        ("ssh", "10.1.2.3", (Action::Deny, Decider::Otherwise)),
    ] {
        assert_eq!(story.decide(listener, client), Some(expected), "{client} at {listener}");
    }
    assert_eq!(story.decide("open", "10.2.0.1"), None, "it has no list");
}

#[test]
fn what_operators_say_goes_before_rules_and_what_they_allow_before_what_they_deny() {
    let mut story = Story::new(LISTS);
    let (allowed, denied) = (Decider::Override(Action::Allow), Decider::Override(Action::Deny));
    story.say(Action::Deny, "10.1.0.0/16", None);
    assert_eq!(story.decide("web", "10.1.2.3"), Some((Action::Deny, denied)));
    assert_eq!(story.decide("open", "10.1.2.3"), Some((Action::Deny, denied)), "it holds without a list too");
    assert_eq!(story.decide("open", "10.2.0.1"), Some((Action::Allow, Decider::Otherwise)));
    story.say(Action::Allow, "10.1.2.3", None);
    for listener in ["web", "ssh", "open"] {
        assert_eq!(story.decide(listener, "10.1.2.3"), Some((Action::Allow, allowed)), "{listener}");
    }

    // What is said about one list holds there alone, with what is said about all.
    story.say(Action::Deny, "192.0.2.9", Some("office"));
    assert_eq!(story.decide("ssh", "192.0.2.9"), Some((Action::Deny, denied)));
    assert_eq!(story.decide("ssh", "10.1.2.3"), Some((Action::Allow, allowed)));
    assert_eq!(story.decide("web", "192.0.2.9"), Some((Action::Allow, Decider::Otherwise)));

    for (prefix, list) in [("10.1.0.0/16", None), ("10.1.2.3", None), ("192.0.2.9", Some("office"))] {
        story.change(prefix, list, None);
    }
    assert_eq!(story.decide("web", "10.1.2.3"), Some((Action::Allow, Decider::Rule(0))));
    assert_eq!(story.decide("open", "10.1.2.3"), None);
}

#[test]
fn what_is_said_outlives_a_reload_for_as_long_as_its_list() {
    let mut story = Story::new(LISTS);
    story.say(Action::Deny, "192.0.2.0/24", None);
    story.say(Action::Deny, "10.1.0.0/16", Some("internet"));
    story.reload(&LISTS.replace("rules: [{ allow: 10.1.0.0/16 }, ", "rules: ["));
    assert_eq!(story.decide("web", "10.1.2.3"), Some((Action::Deny, Decider::Override(Action::Deny))));
    story.reload(&LISTS.replace("internet", "world"));
    assert_eq!(story.decide("web", "10.1.2.3"), Some((Action::Allow, Decider::Rule(0))));
    assert_eq!(story.decide("open", "192.0.2.1"), Some((Action::Deny, Decider::Override(Action::Deny))));
    assert_eq!(story.writer.config().access().all().count(), 1);
}

#[test]
fn what_is_noted_is_in_the_next_table_and_one_table_has_all_of_it() {
    let mut story = Story::new(LISTS);
    let key = |prefix: &str| AccessKey { list: None, prefix: Prefix::parse(prefix).unwrap() };
    let said = AccessOverride {
        action: Action::Deny,
        since: story.now,
        until: None,
        by: String::new(),
        why: String::new(),
    };
    for prefix in ["192.0.2.1", "192.0.2.2"] {
        story.writer.note_access(key(prefix), Some(said.clone()));
    }
    assert_eq!(story.decide("open", "192.0.2.1"), None, "no table has it yet");
    assert!(story.writer.config().access().are_changed());
    let written: Option<Written> = story.writer.refresh(inputs(story.now));
    assert!(written.is_some(), "nothing else has changed");
    for client in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(story.decide("open", client).map(|(action, _)| action), Some(Action::Deny), "{client}");
    }
    assert!(story.writer.refresh(inputs(story.now)).is_none(), "there is nothing more");
    // Any other table has what was noted as well.
    story.writer.note_access(key("192.0.2.1"), None);
    story.reload(LISTS);
    assert_eq!(story.decide("open", "192.0.2.1"), Some((Action::Allow, Decider::Otherwise)));
}

#[test]
fn a_connection_has_the_list_of_its_listener_as_it_is_now() {
    let mut story = Story::new(LISTS);
    let (web, open) = (story.listener("web"), story.listener("open"));
    let denies = |story: &Story, listener: &Listener| {
        let table = story.writer.table();
        table.access_of(listener).map(|list| list.decide("192.0.2.9".parse().unwrap()).0)
    };
    assert_eq!((denies(&story, &web), denies(&story, &open)), (Some(Action::Allow), None));
    story.say(Action::Deny, "192.0.2.9", None);
    assert_eq!((denies(&story, &web), denies(&story, &open)), (Some(Action::Deny), Some(Action::Deny)));
}

#[test]
fn what_is_said_for_a_time_ends_with_it() {
    let mut story = Story::new(LISTS);
    let now = story.now;
    story.say_until(Action::Deny, "10.1.0.0/16", now + Duration::from_secs(60));
    story.say_until(Action::Deny, "10.1.2.3", now + Duration::from_secs(90));
    assert_eq!(story.writer.config().access().due(), Some(now + Duration::from_secs(60)));
    assert!(story.expire(59).is_empty());
    assert_eq!(story.expire(1), ["10.1.0.0/16"]);
    assert_eq!(story.decide("web", "10.1.9.9"), Some((Action::Allow, Decider::Rule(0))));
    assert_eq!(story.decide("web", "10.1.2.3"), Some((Action::Deny, Decider::Override(Action::Deny))));
    assert_eq!(story.expire(3600), ["10.1.2.3"]);
    assert_eq!(story.writer.config().access().due(), None);
}

#[test]
fn hits_of_rules_stay_over_a_reload_that_leaves_the_rules() {
    let mut story = Story::new(LISTS);
    let hit = |story: &Story| {
        let list = story.listener("web").access.clone().unwrap();
        let (_, decider) = list.decide("10.2.0.1".parse().unwrap());
        list.counters.of(0).of(decider).add(1);
        list.hits(Decider::Rule(1))
    };
    assert_eq!(hit(&story), 1);
    story.reload(&LISTS.replace("otherwise: deny", "otherwise: allow"));
    assert_eq!(hit(&story), 2);
    story.reload(&LISTS.replace("10.1.0.0/16", "10.2.0.0/16"));
    assert_eq!(story.listener("web").access.as_ref().unwrap().hits(Decider::Rule(1)), 0, "another rule");
}

#[test]
fn a_source_keeps_what_it_has_over_a_reload() {
    let mut story = Story::new(LISTS);
    let enter = |story: &Story| {
        let (table, listener) = (story.writer.table(), story.listener("web"));
        let limits = listener.limits.as_ref().unwrap();
        let source = limits.source(&table.sources, "192.0.2.1".parse().unwrap()).unwrap();
        table.sources.enter(source, story.now, &limits.bounds)
    };
    let Entry::Entered { place, .. } = enter(&story) else { panic!("it is the first") };
    assert_eq!(enter(&story), Entry::TooMany);
    story.reload(&LISTS.replace("connections: 1", "connections: 2"));
    assert!(matches!(enter(&story), Entry::Entered { .. }));
    assert_eq!(enter(&story), Entry::TooMany);
    story.writer.table().sources.leave(place);
    assert!(matches!(enter(&story), Entry::Entered { .. }));
}

#[test]
fn exempt_addresses_are_no_source() {
    let story = Story::new(&LISTS.replace("connections: 1", "connections: 1, exempt: 192.0.2.0/24"));
    let (table, listener) = (story.writer.table(), story.listener("web"));
    let limits = listener.limits.as_ref().unwrap();
    assert!(limits.source(&table.sources, "192.0.2.1".parse().unwrap()).is_none());
    assert!(limits.source(&table.sources, "192.0.3.1".parse().unwrap()).is_some());
}

/// A writer over time.
struct Story {
    writer: TableWriter,
    now: Instant,
}

impl Story {
    fn new(text: &str) -> Self {
        let (config, now) = (parse(text), origin());
        let sockets = config.listeners.iter().map(|_| sockets()).collect();
        Self { writer: TableWriter::new(config, sockets, 1, inputs(now), Sources::default()), now }
    }

    fn listener(&self, name: &str) -> Arc<Listener> {
        let table = self.writer.table();
        Arc::clone(table.listeners.iter().find(|listener| listener.name == name).unwrap())
    }

    fn decide(&self, listener: &str, client: &str) -> Option<(Action, Decider)> {
        let client: IpAddr = client.parse().unwrap();
        self.listener(listener).access.as_ref().map(|list| list.decide(client))
    }

    fn reload(&mut self, text: &str) {
        let now = self.now;
        let sockets = self.writer.table().sockets().map(Arc::clone).collect();
        drop(self.writer.reload(parse(text), sockets, |_| inputs(now)));
    }

    fn say(&mut self, action: Action, prefix: &str, list: Option<&str>) {
        let said =
            AccessOverride { action, since: self.now, until: None, by: String::new(), why: String::new() };
        self.change(prefix, list, Some(said));
    }

    fn say_until(&mut self, action: Action, prefix: &str, until: Instant) {
        let said = AccessOverride {
            action,
            since: self.now,
            until: Some(until),
            by: String::new(),
            why: String::new(),
        };
        self.change(prefix, None, Some(said));
    }

    fn change(&mut self, prefix: &str, list: Option<&str>, said: Option<AccessOverride>) {
        let key = AccessKey { list: list.map(str::to_owned), prefix: Prefix::parse(prefix).unwrap() };
        let _: Written = self.writer.change_access([(key, said)], inputs(self.now));
    }

    /// So many seconds later: the prefixes about which nothing is said any more.
    fn expire(&mut self, seconds: u64) -> Vec<String> {
        self.now += Duration::from_secs(seconds);
        let ended = self.writer.expire_access(inputs(self.now)).map_or_else(Vec::new, |(_, ended)| ended);
        ended.iter().map(|(key, _)| key.prefix.to_string()).collect()
    }
}

fn inputs(now: Instant) -> Inputs {
    Inputs { now, pools: HashMap::new(), access: Arc::default() }
}

fn parse(text: &str) -> Config {
    Config::parse("rondel.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn sockets() -> Arc<ListenGroup> {
    Arc::new(ListenGroup::new(Vec::new(), Owner::Process))
}
