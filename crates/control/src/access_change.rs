//! What a command changed of what operators say about addresses, as a sentence.

use std::fmt;
use std::time::{Duration, Instant};

use config::{Action, Config, counted};
use table::{AccessKey, AccessOverride, AccessOverrides};

/// What was said about addresses before a command and after it.
#[derive(Debug)]
pub(crate) struct AccessChange {
    pub(crate) key: AccessKey,
    pub(crate) before: Option<AccessOverride>,
    pub(crate) after: Option<AccessOverride>,
    pub(crate) now: Instant,
}

impl AccessChange {
    /// Whether the same is said as before. A time is counted from now on, so what is said with one is another.
    pub(crate) fn is_none(&self) -> bool {
        match (&self.before, &self.after) {
            (None, None) => true,
            (Some(before), Some(after)) => {
                (before.action, before.until, &before.why) == (after.action, after.until, &after.why)
            }
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl fmt::Display for AccessChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, now, .. } = self;
        let subject = subject(&self.key);
        match (before, after) {
            (None, None) => write!(f, "nothing is said about {subject}: nothing changed"),
            (Some(before), None) => write!(f, "{subject} is no longer {}", participle(before.action)),
            (Some(_), Some(after)) if self.is_none() => {
                write!(f, "{subject} is {} already: nothing changed", participle(after.action))
            }
            (None, Some(after)) => {
                write!(f, "{subject} is {}{}", participle(after.action), time(after, *now))
            }
            (Some(before), Some(after)) => write!(
                f,
                "{subject} is {}{}; before, it was {}{}",
                participle(after.action),
                time(after, *now),
                participle(before.action),
                time(before, *now)
            ),
        }
    }
}

/// What is said, and for how much longer: `denial of 203.0.113.0/24, 9m left: scans`.
pub(crate) fn shown(key: &AccessKey, said: &AccessOverride, now: Instant) -> String {
    let left = said.until.map(|until| format!(", {} left", config::show_duration(whole_seconds(until, now))));
    let why = if said.why.is_empty() { String::new() } else { format!(": {}", said.why) };
    format!("{}{}{why}", named(key, said.action), left.unwrap_or_default())
}

/// Lines about what has ended.
pub(crate) fn ended(ended: &[(AccessKey, AccessOverride)]) -> Vec<String> {
    let lines = ended.iter().map(|(key, said)| format!("{} ended", named(key, said.action)));
    shortened(lines, |more| format!("and {more} more have ended"))
}

/// Lines about what `next` drops, as it does not have the lists: like those of other changes of a reload.
pub(crate) fn dropped(access: &AccessOverrides, next: &Config) -> Vec<String> {
    let of = |key: &AccessKey| {
        let action = access.get(key).map_or(Action::Deny, |said| said.action);
        format!("- {}, as there is no such list any more", named(key, action))
    };
    shortened(access.without_list(next).map(of), |more| {
        format!("- {more} more denials and allowances of lists that are gone")
    })
}

/// The first lines, and one about the number of the others.
fn shortened(mut lines: impl Iterator<Item = String>, rest: impl Fn(usize) -> String) -> Vec<String> {
    let mut shown: Vec<String> = lines.by_ref().take(LINES_MAX).collect();
    let more = lines.count();
    shown.extend((more > 0).then(|| rest(more)));
    shown
}

fn named(key: &AccessKey, action: Action) -> String {
    let noun = match action {
        Action::Allow => "allowance",
        Action::Deny => "denial",
    };
    format!("{noun} of {}", subject(key))
}

/// The addresses, and the list.
pub(crate) fn subject(AccessKey { list, prefix }: &AccessKey) -> String {
    list.as_ref().map_or_else(|| prefix.to_string(), |list| format!("{prefix} in access list {list}"))
}

pub(crate) fn participle(action: Action) -> &'static str {
    match action {
        Action::Allow => "allowed",
        Action::Deny => "denied",
    }
}

/// For how long something holds from now on.
fn time(said: &AccessOverride, now: Instant) -> String {
    said.until.map_or_else(
        || " without an end".to_owned(),
        |until| format!(" for {}", config::show_duration(whole_seconds(until, now))),
    )
}

/// The time until then, rounded up to seconds.
fn whole_seconds(until: Instant, now: Instant) -> Duration {
    Duration::from_secs(seconds_left(until, now))
}

/// The seconds until then, rounded up.
pub(crate) fn seconds_left(until: Instant, now: Instant) -> u64 {
    until.saturating_duration_since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// What is said within these addresses and goes before a denial of them, as a sentence.
pub(crate) fn exceptions(access: &AccessOverrides, key: &AccessKey) -> Option<String> {
    let holds = |other: &AccessKey| key.list.is_none() || other.list.is_none() || other.list == key.list;
    let within = access.all().filter(|(other, said)| {
        said.action == Action::Allow && holds(other) && *other != key && key.prefix.covers(other.prefix)
    });
    let mut within = within.map(|(other, _)| subject(other));
    let first = within.next()?;
    let more = within.count();
    let more = if more == 0 { String::new() } else { format!(" and {}", counted(more, "more prefix")) };
    Some(format!("of it, {first}{more} stays allowed"))
}

/// Lines of one kind that are shown.
const LINES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config::{Action, Prefix};
    use table::{AccessKey, AccessOverride};

    use super::{AccessChange, ended, shown};
    use crate::monitor::now;

    #[test]
    fn a_command_says_what_it_changed() {
        check("", "deny", "203.0.113.0/24 is denied without an end");
        check("", "deny 600", "203.0.113.0/24 is denied for 10m");
        check("deny", "deny", "203.0.113.0/24 is denied already: nothing changed");
        check("deny 60", "deny 600", "203.0.113.0/24 is denied for 10m; before, it was denied for 1m");
        check("deny", "deny 600", "203.0.113.0/24 is denied for 10m; before, it was denied without an end");
        check(
            "allow",
            "deny",
            "203.0.113.0/24 is denied without an end; before, it was allowed without an end",
        );
        check("deny 600", "", "203.0.113.0/24 is no longer denied");
        check("allow", "", "203.0.113.0/24 is no longer allowed");
        check("", "", "nothing is said about 203.0.113.0/24: nothing changed");
    }

    #[track_caller]
    fn check(before: &str, after: &str, expected: &str) {
        let now = now();
        let change = AccessChange { key: key(None), before: said(before), after: said(after), now };
        // The instants of `said` are a little apart.
        assert_eq!(change.to_string(), expected);
        assert_eq!(change.is_none(), expected.ends_with("nothing changed"));
    }

    #[test]
    fn what_ends_is_named_and_many_are_counted() {
        let one = (key(Some("internet")), said("deny 9").unwrap());
        assert_eq!(
            shown(&one.0, &one.1, now()),
            "denial of 203.0.113.0/24 in access list internet, 9s left: x"
        );
        assert_eq!(
            ended(std::slice::from_ref(&one)),
            ["denial of 203.0.113.0/24 in access list internet ended"]
        );
        let many = ended(&vec![one; 23]);
        assert_eq!(many.len(), 21);
        assert_eq!(many[20], "and 3 more have ended");
    }

    fn key(list: Option<&str>) -> AccessKey {
        AccessKey { list: list.map(str::to_owned), prefix: Prefix::parse("203.0.113.0/24").unwrap() }
    }

    fn said(words: &str) -> Option<AccessOverride> {
        let (action, seconds) = match words.split_once(' ') {
            Some((action, seconds)) => (action, Some(seconds.parse().unwrap())),
            None => (words, None),
        };
        let action = match action {
            "" => return None,
            "allow" => Action::Allow,
            _ => Action::Deny,
        };
        let until = seconds.map(|seconds| now() + Duration::from_secs(seconds));
        Some(AccessOverride {
            action,
            since: now(),
            until,
            by: "uid=0 pid=1".to_owned(),
            why: "x".to_owned(),
        })
    }
}
