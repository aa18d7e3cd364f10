//! Denials as commands of nft(8), which replace what is in its sets.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use api::{AccessAction, OverrideView};
use config::Prefix;

/// The commands: one transaction, in which the sets are emptied and filled. `offenders` are dropped for a minute.
pub(super) fn commands(overrides: &[OverrideView], offenders: &[Prefix]) -> String {
    let mut text = String::new();
    let allowed: Vec<Prefix> =
        overrides.iter().filter(|said| said.action == AccessAction::Allow).map(|said| said.prefix).collect();
    let denied = overrides.iter().filter(|said| said.action == AccessAction::Deny);
    let denied = denied.map(|said| (said.prefix, said.seconds_left, said.list.as_deref()));
    let offenders = offenders.iter().map(|prefix| (*prefix, Some(OFFENDER_SECONDS), None));
    let mut banned: Vec<(Prefix, Option<u64>)> = Vec::new();
    for (prefix, seconds_left, list) in denied.chain(offenders) {
        match left_out(prefix, list, &allowed) {
            // Writing to a `String` does not fail.
            Some(why) => drop(writeln!(text, "# {prefix} is left to rondel: {why}")),
            None => banned.push((prefix, seconds_left)),
        }
    }
    let banned = outermost(banned);
    for (set, is_v4) in [("banned4", true), ("banned6", false)] {
        let of_set = banned.iter().copied().filter(|(prefix, _)| prefix.address().is_ipv4() == is_v4);
        let elements: Vec<String> = of_set.map(element).collect();
        let _ = writeln!(text, "flush set inet rondel {set}");
        for some in elements.chunks(ELEMENTS_MAX) {
            let _ = writeln!(text, "add element inet rondel {set} {{ {} }}", some.join(", "));
        }
    }
    text
}

/// Those that are not within another one: the sets take no overlapping prefixes. A denial goes before an offender.
fn outermost(mut banned: Vec<(Prefix, Option<u64>)>) -> Vec<(Prefix, Option<u64>)> {
    banned.sort_by_key(|(prefix, _)| (prefix.address(), prefix.length()));
    let mut outer: Option<Prefix> = None;
    banned.retain(|(prefix, _)| {
        let is_within = outer.is_some_and(|outer| outer.covers(*prefix));
        outer = if is_within { outer } else { Some(*prefix) };
        !is_within
    });
    banned
}

fn element((prefix, seconds_left): (Prefix, Option<u64>)) -> String {
    match seconds_left {
        // Of one that ends now, no more than a second is left.
        Some(seconds) => format!("{prefix} timeout {}s", seconds.max(1)),
        None => prefix.to_string(),
    }
}

/// Why the kernel is not to drop packets of these addresses, if it is not.
fn left_out(prefix: Prefix, list: Option<&str>, allowed: &[Prefix]) -> Option<String> {
    if let Some(list) = list {
        return Some(format!("it is denied in access list {list} alone"));
    }
    if let Some(within) = allowed.iter().find(|allowed| prefix.covers(**allowed) || allowed.covers(prefix)) {
        return Some(format!("{within} is allowed"));
    }
    let loopback = [Prefix::around(Ipv4Addr::LOCALHOST.into(), 8), Prefix::of(Ipv6Addr::LOCALHOST.into())];
    if loopback.iter().any(|loopback| loopback.covers(prefix) || prefix.covers(*loopback)) {
        return Some("the host talks to itself by such addresses".to_owned());
    }
    let shortest = if prefix.address().is_ipv4() { SHORTEST_V4 } else { SHORTEST_V6 };
    (prefix.length() < shortest).then(|| format!("it is wider than /{shortest}"))
}

/// The widest prefixes that the kernel is to drop. By a wider one an operator would lock everything out, SSH included.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 16;

/// How long the kernel drops packets of a client that was refused too often. Meanwhile rondel does not see it, so it
/// is let in again after this time, and counted again.
const OFFENDER_SECONDS: u64 = 60;

/// Elements of one command, so that no line is too long to be read.
const ELEMENTS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use api::{AccessAction, OverrideView};
    use config::Prefix;

    use super::commands;

    #[test]
    fn sets_are_replaced_by_what_is_denied() {
        let said =
            ["deny 203.0.113.7 600", "deny 2001:db8::/32 9", "deny 198.51.100.0/24", "deny 198.51.100.9 5"];
        assert_eq!(
            of(&said),
            "flush set inet rondel banned4\n\
             add element inet rondel banned4 { 198.51.100.0/24, 203.0.113.7 timeout 600s }\n\
             flush set inet rondel banned6\n\
             add element inet rondel banned6 { 2001:db8::/32 timeout 9s }\n"
        );
        assert_eq!(of(&[]), "flush set inet rondel banned4\nflush set inet rondel banned6\n");
        assert!(of(&["deny 192.0.2.1 0"]).contains("192.0.2.1 timeout 1s"));
    }

    #[test]
    fn what_only_rondel_can_refuse_is_left_out_and_said() {
        for (said, comment) in [
            (
                &["deny 203.0.113.7 - internet"][..],
                "# 203.0.113.7 is left to rondel: it is denied in access list internet",
            ),
            (&["deny 10.0.0.0/8", "allow 10.1.2.3"], "# 10.0.0.0/8 is left to rondel: 10.1.2.3 is allowed"),
            (
                &["deny 10.0.0.0/8", "allow 10.1.2.3 - a"],
                "# 10.0.0.0/8 is left to rondel: 10.1.2.3 is allowed",
            ),
            (&["deny 127.0.0.1"], "# 127.0.0.1 is left to rondel: the host talks to itself"),
            (&["deny ::/0"], "# ::/0 is left to rondel: the host talks to itself"),
            (&["deny 2000::/8"], "# 2000::/8 is left to rondel: it is wider than /16"),
            (&["deny 64.0.0.0/2"], "# 64.0.0.0/2 is left to rondel: the host talks to itself"),
            (&["deny 128.0.0.0/1"], "# 128.0.0.0/1 is left to rondel: it is wider than /8"),
        ] {
            let commands = of(said);
            assert!(commands.contains(comment), "{commands}");
            assert!(!commands.contains("add element"), "{commands}");
        }
    }

    #[test]
    fn many_elements_are_several_commands() {
        let many: Vec<String> = (0..2500).map(|n| format!("deny 198.18.{}.{}", n / 256, n % 256)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(of(&many).matches("add element").count(), 3);
    }

    /// Each is `ACTION PREFIX [SECONDS|-] [LIST]`.
    fn of(said: &[&str]) -> String {
        let overrides: Vec<OverrideView> = said
            .iter()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                OverrideView {
                    prefix: Prefix::parse(words[1]).unwrap(),
                    list: words.get(3).map(|list| (*list).to_owned()),
                    action: if words[0] == "deny" { AccessAction::Deny } else { AccessAction::Allow },
                    since: 0,
                    seconds_left: words.get(2).and_then(|seconds| seconds.parse().ok()),
                    by: String::new(),
                    why: String::new(),
                }
            })
            .collect();
        commands(&overrides, &[])
    }

    #[test]
    fn offenders_are_dropped_for_a_minute_unless_they_are_denied_or_allowed() {
        let prefix = |text| Prefix::parse(text).unwrap();
        let said = |text, action| OverrideView {
            prefix: prefix(text),
            list: None,
            action,
            since: 0,
            seconds_left: None,
            by: String::new(),
            why: String::new(),
        };
        let said = [said("192.0.2.0/24", AccessAction::Allow), said("203.0.113.7", AccessAction::Deny)];
        let offenders = ["203.0.113.7", "203.0.113.9", "192.0.2.1", "2001:db8::1"].map(prefix);
        let commands = commands(&said, &offenders);
        assert!(commands.contains("{ 203.0.113.7, 203.0.113.9 timeout 60s }"), "{commands}");
        assert!(commands.contains("{ 2001:db8::1 timeout 60s }"), "{commands}");
        assert!(commands.contains("# 192.0.2.1 is left to rondel: 192.0.2.0/24 is allowed"), "{commands}");
    }
}
