//! The differences between access lists, and between limits. Both are identified by name.

use std::fmt::Display;

use crate::access::{AccessList, Refusal, SourceLimits};
use crate::config::{Config, Listener};
use crate::sentences::counted;

/// A line for each list and each limits that differ.
pub(super) fn lines(previous: &Config, next: &Config) -> Vec<String> {
    let lists = [&previous.access[..], &next.access];
    let limits = [&previous.limits[..], &next.limits];
    let mut lines = of_named("access list", lists, |list| &list.name, of_list);
    lines.extend(of_named("limits", limits, |limits| &limits.name, of_limits));
    lines
}

/// The differences of what a listener names, and of its rate.
pub(super) fn parts(
    parts: &mut Vec<String>,
    (previous, before): (&Config, &Listener),
    (next, after): (&Config, &Listener),
) {
    let off = || "off".to_owned();
    let access = |config: &Config, listener: &Listener| {
        listener.access.map_or_else(off, |index| config.access[index.0].name.clone())
    };
    let limits = |config: &Config, listener: &Listener| {
        listener.limits.map_or_else(off, |index| config.limits[index.0].name.clone())
    };
    let rate = |listener: &Listener| listener.rate.map_or_else(off, |rate| rate.to_string());
    setting(parts, "access", &access(previous, before), &access(next, after));
    setting(parts, "limits", &limits(previous, before), &limits(next, after));
    setting(parts, "rate", &rate(before), &rate(after));
}

fn of_named<T>(
    what: &str,
    [previous, next]: [&[T]; 2],
    name: impl Fn(&T) -> &str,
    parts: impl Fn(&T, &T) -> Vec<String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for item in next {
        let Some(before) = previous.iter().find(|before| name(before) == name(item)) else {
            lines.push(format!("+ {what} {}", name(item)));
            continue;
        };
        let parts = parts(before, item);
        if !parts.is_empty() {
            lines.push(format!("~ {what} {}: {}", name(item), parts.join(", ")));
        }
    }
    let is_gone = |before: &&T| !next.iter().any(|item| name(item) == name(before));
    lines.extend(previous.iter().filter(is_gone).map(|before| format!("- {what} {}", name(before))));
    lines
}

fn of_list(before: &AccessList, after: &AccessList) -> Vec<String> {
    let mut parts = Vec::new();
    if before.ranges != after.ranges {
        let ranges = |list: &AccessList| counted(list.ranges.len(), "range");
        parts.push(format!("{} -> {}", ranges(before), ranges(after)));
    }
    let rules = |list: &AccessList| list.rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    setting(&mut parts, "rules", &rules(before), &rules(after));
    setting(&mut parts, "otherwise", &before.otherwise, &after.otherwise);
    of_refusal(&mut parts, before.refusal, after.refusal);
    parts
}

fn of_limits(before: &SourceLimits, after: &SourceLimits) -> Vec<String> {
    let mut parts = Vec::new();
    let bounds = [before, after].map(ToString::to_string);
    if bounds[0] != bounds[1] {
        parts.push(bounds.join(" -> "));
    }
    of_refusal(&mut parts, before.refusal, after.refusal);
    parts
}

fn of_refusal(parts: &mut Vec<String>, before: Refusal, after: Refusal) {
    setting(parts, "refuse", &before.how, &after.how);
    setting(parts, "dry_run", &before.dry_run, &after.dry_run);
}

/// Adds `name before -> after` if they differ.
fn setting<T: PartialEq + Display>(parts: &mut Vec<String>, name: &str, before: &T, after: &T) {
    if before != after {
        parts.push(format!("{name} {before} -> {after}"));
    }
}

#[cfg(test)]
mod tests {
    use crate::changes::Changes;
    use crate::config::Config;

    const BEFORE: &str = "access: [{ name: internet, rules: [{ deny: 10.0.0.0/8 }] }]\n\
                          limits: [{ name: visitors, connections: 5 }]\n\
                          listeners: [{ name: web, address: ':80', pool: web, access: internet }]\n\
                          pools: [{ name: web, backends: ['10.0.0.1:80'] }]\n";

    #[test]
    fn lists_limits_and_what_a_listener_names_come_go_and_change() {
        check(
            ("name: internet", "name: world"),
            ("access: internet", "access: world"),
            &["+ access list world", "- access list internet", "~ listener web: access internet -> world"],
        );
        check(
            ("10.0.0.0/8", "10.0.0.0/9"),
            ("", ""),
            &["~ access list internet: 2 ranges -> 2 ranges, rules deny 10.0.0.0/8 -> deny 10.0.0.0/9"],
        );
        check(
            ("connections: 5", "connections: 6, dry_run: true"),
            ("access: internet }", "limits: visitors }"),
            &[
                "~ limits visitors: 5 at once for each /32 and /64 -> 6 at once for each /32 and /64, \
             dry_run false -> true",
                "~ listener web: access internet -> off, limits off -> visitors",
            ],
        );
        check(("pool: web,", "pool: web, rate: 20/s,"), ("", ""), &["~ listener web: rate off -> 20/s"]);
    }

    #[track_caller]
    fn check(one: (&str, &str), other: (&str, &str), expected: &[&str]) {
        let parse = |text: &str| Config::parse("rondel.yaml", text.as_bytes()).unwrap();
        let mut after = BEFORE.replacen(one.0, one.1, 1);
        if !other.0.is_empty() {
            after = after.replacen(other.0, other.1, 1);
        }
        let changes = Changes::between(&parse(BEFORE), &parse(&after));
        assert_eq!(changes.lines().collect::<Vec<_>>(), expected);
    }
}
