//! `access` and `limits` as written: lists of rules about addresses, and what one source may have.

use std::num::{NonZeroU16, NonZeroU32};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access::{
    AccessList, AccessRule, Action, Period, Rate, Refusal, Refuse, RulePrefixes, SourceBits, SourceLimits,
};
use crate::defaults;
use crate::duration;
use crate::fields::{Fields, Value};
use crate::limits;
use crate::prefix::{self, Prefix};
use crate::prefix_file;
use crate::problem::{Finding, Problems, Quoted, Wrong};
use crate::ranges::Ranges;
use crate::sections::{ACCESS, ACCESS_RULE, FILE, LIMITS, LISTENER, SOURCE, Section};
use crate::span::At;

/// A list or limits, and the place of its name.
pub(crate) struct Named<T> {
    pub(crate) name: At<String>,
    /// None if it is wrong, which has been reported.
    pub(crate) value: Option<T>,
}

/// Reads the access lists.
pub(crate) fn access(file: &Fields<'_>, problems: &mut Problems) -> Vec<Named<AccessList>> {
    named(file, "access", "access lists", &ACCESS, limits::ACCESS_LISTS_MAX, access_list, problems)
}

/// Reads the limits of sources.
pub(crate) fn source_limits(file: &Fields<'_>, problems: &mut Problems) -> Vec<Named<SourceLimits>> {
    named(file, "limits", "limits", &LIMITS, limits::SOURCE_LIMITS_MAX, limits_of_sources, problems)
}

/// Reads a list of sections that have names.
fn named<T>(
    file: &Fields<'_>,
    key: &str,
    what: &str,
    section: &'static Section,
    most: usize,
    read: impl Fn(&Fields<'_>, String, &mut Problems) -> Option<T>,
    problems: &mut Problems,
) -> Vec<Named<T>> {
    let items = file.get(key).and_then(|value| value.items(what, Some(section), problems));
    let mut all = Vec::new();
    for value in items.into_iter().flatten() {
        if problems.is_full() {
            break;
        }
        if all.len() == most {
            problems.push(Finding::at(value.span(), format!("more than {most} {what}")));
            break;
        }
        let Some(fields) = value.fields(section, &[&FILE, &LISTENER], problems) else { continue };
        let name = fields.require("name", "name: internet", problems);
        let Some(name) = name.and_then(|value| value.name(problems)) else { continue };
        let value = read(&fields, name.value.clone(), problems);
        all.push(Named { name, value });
    }
    all
}

fn access_list(fields: &Fields<'_>, name: String, problems: &mut Problems) -> Option<AccessList> {
    let otherwise = fields.get("otherwise");
    let otherwise = otherwise.and_then(|value| value.choice("action", Action::ALL, problems));
    let refusal = refusal(fields, problems);
    let value = fields.require("rules", "rules: [{ deny: [\"203.0.113.0/24\"] }]", problems)?;
    let items = value.items("rules", Some(&ACCESS_RULE), problems)?;
    if items.len() == 0 || items.len() > limits::ACCESS_RULES_MAX {
        let message = format!("{} rules", items.len());
        let help = format!("write 1 to {} of them", limits::ACCESS_RULES_MAX);
        problems.push(Finding::at(value.span(), message).help(help));
        return None;
    }
    // What files have is needed only until it is searchable.
    let (mut rules, mut prefixes) = (Vec::new(), Vec::new());
    for value in items {
        if problems.is_full() {
            break;
        }
        let rule = value.fields(&ACCESS_RULE, &[&ACCESS], problems);
        let rule = rule.and_then(|fields| rule_of(&fields, problems));
        if let Some((rule, prefixes_of_rule)) = rule {
            rules.push(rule);
            prefixes.push(prefixes_of_rule);
        }
    }
    let ranges = Arc::new(Ranges::build(prefixes.iter().map(Vec::as_slice)));
    Some(AccessList {
        name,
        rules: rules.into(),
        ranges,
        otherwise: otherwise.unwrap_or(defaults::OTHERWISE),
        refusal,
    })
}

/// Reads a rule, and the prefixes that it has.
fn rule_of(fields: &Fields<'_>, problems: &mut Problems) -> Option<(AccessRule, Vec<Prefix>)> {
    let written: Vec<_> = RULE_KEYS
        .iter()
        .filter_map(|(key, action, is_file)| Some((fields.get(key)?, *action, *is_file)))
        .collect();
    let (value, action, is_file) = match written[..] {
        [one] => one,
        [] => {
            let known = ["allow", "deny", "allow_file", "deny_file"];
            if !known.iter().any(|key| fields.is_meant(key)) {
                let finding = Finding::at(fields.span(), "a rule that does nothing");
                problems.push(finding.help(format!("write it as `{}`", ACCESS_RULE.example)));
            }
            return None;
        }
        [(first, ..), (second, ..), ..] => {
            let finding = Finding::at(second.span(), "a rule does one thing").see(first.span(), "the other");
            problems.push(finding.help("write two rules: the first one that matches decides"));
            return None;
        }
    };
    if is_file {
        let path = value.parse("a path", absolute, problems)?;
        let prefixes = prefix_file::read(&path.value, path.span, problems)?;
        let of_file = RulePrefixes::File { path: path.value, number: prefixes.len() };
        return Some((AccessRule { action, prefixes: of_file }, prefixes));
    }
    let prefixes = prefixes(value, 1..=limits::RULE_PREFIXES_MAX, problems)?;
    Some((AccessRule { action, prefixes: RulePrefixes::Written(prefixes.clone()) }, prefixes))
}

/// The keys of a rule, what each does, and whether its value is a file.
const RULE_KEYS: &[(&str, Action, bool)] = &[
    ("allow", Action::Allow, false),
    ("deny", Action::Deny, false),
    ("allow_file", Action::Allow, true),
    ("deny_file", Action::Deny, true),
];

/// Reads a list of prefixes; one alone may stand without brackets.
fn prefixes(value: Value<'_>, number: RangeInclusive<usize>, problems: &mut Problems) -> Option<Vec<Prefix>> {
    if value.scalar().is_some() {
        return Some(vec![value.parse("a prefix", prefix::read, problems)?.value]);
    }
    let items = value.items("prefixes", None, problems)?;
    if !number.contains(&items.len()) {
        let message = format!("{} prefixes", items.len());
        let help = format!("write {} to {} of them, or use a file", number.start(), number.end());
        problems.push(Finding::at(value.span(), message).help(help));
        return None;
    }
    let read = items.map(|value| value.parse("a prefix", prefix::read, problems));
    let read: Vec<_> = read.map(|prefix| prefix.map(|prefix| prefix.value)).collect();
    read.into_iter().collect()
}

fn refusal(fields: &Fields<'_>, problems: &mut Problems) -> Refusal {
    let how = fields.get("refuse").and_then(|value| value.choice("`refuse`", Refuse::ALL, problems));
    let dry_run = fields.get("dry_run").and_then(|value| value.boolean(problems));
    Refusal { how: how.unwrap_or_default(), dry_run: dry_run.unwrap_or_default() }
}

fn limits_of_sources(fields: &Fields<'_>, name: String, problems: &mut Problems) -> Option<SourceLimits> {
    let connections = fields.get("connections").filter(|value| !value.is_off());
    let connections_max =
        connections.map(|value| value.number(limits::SOURCE_CONNECTIONS, problems).and_then(NonZeroU16::new));
    let rate = fields.get("rate").filter(|value| !value.is_off());
    let rate = rate.map(|value| read_rate(value, limits::SOURCE_RATE, problems));
    let burst = fields.get("burst");
    if let (Some(burst), None) = (burst, rate) {
        let finding = Finding::at(burst.span(), "`burst` has no meaning without a `rate`");
        problems.push(finding.help("add a rate, such as `rate: 20/s`, or remove it"));
    }
    let burst = burst.map(|value| (value.span(), value.number(limits::SOURCE_BURST, problems)));
    let source = source_bits(fields, problems);
    let exempt = fields.get("exempt");
    let exempt = exempt.map(|value| prefixes(value, 0..=limits::EXEMPT_PREFIXES_MAX, problems));
    let refusal = refusal(fields, problems);
    if connections_max.is_none() && rate.is_none() {
        let finding = Finding::at(fields.span(), format!("the limits {} limit nothing", Quoted(&name)));
        problems.push(finding.help("add `connections: 256`, or `rate: 20/s`, or both"));
    }
    let (connections_max, rate) = (within(connections_max)?, within(rate)?);
    let most = rate.map_or(u32::MAX, burst_max);
    let burst = match (burst, rate) {
        (None, _) => defaults::BURST.min(most),
        (Some((span, Some(burst))), Some(rate)) if burst > most => {
            let time = duration::show(limits::BURST_TIME_MAX);
            let finding = Finding::at(span, format!("a burst of {burst} at {rate} takes more than {time}"));
            problems.push(finding.help(format!("write at most `burst: {most}`, or a faster rate")));
            return None;
        }
        (Some((_, burst)), _) => burst?,
    };
    let exempt = exempt.unwrap_or(Some(Vec::new()))?;
    Some(SourceLimits { name, connections_max, rate, burst, source, exempt, refusal })
}

/// How many may come at once at a rate.
fn burst_max(rate: Rate) -> u32 {
    let most = limits::BURST_TIME_MAX.as_nanos() / rate.interval().as_nanos();
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// What is written, unless it is wrong.
#[expect(clippy::option_option, reason = "the two are different answers: wrong, and not written")]
fn within<T>(written: Option<Option<T>>) -> Option<Option<T>> {
    written.map_or(Some(None), |read| read.map(Some))
}

fn source_bits(fields: &Fields<'_>, problems: &mut Problems) -> SourceBits {
    let mut source = defaults::SOURCE_BITS;
    let Some(value) = fields.get("source") else { return source };
    let Some(fields) = value.fields(&SOURCE, &[&LIMITS], problems) else { return source };
    let v4 = fields.get("v4").and_then(|value| value.number(limits::SOURCE_V4, problems));
    let v6 = fields.get("v6").and_then(|value| value.number(limits::SOURCE_V6, problems));
    source.v4 = v4.unwrap_or(source.v4);
    source.v6 = v6.unwrap_or(source.v6);
    source
}

/// Reads the rate of a listener; none if it has none.
pub(crate) fn listener_rate(fields: &Fields<'_>, problems: &mut Problems) -> Option<Rate> {
    let value = fields.get("rate").filter(|value| !value.is_off())?;
    read_rate(value, limits::LISTENER_RATE, problems)
}

/// Reads a rate that has an interval within this range, from the fastest to the slowest.
fn read_rate(value: Value<'_>, intervals: RangeInclusive<Duration>, problems: &mut Problems) -> Option<Rate> {
    let At { value: rate, span } = value.parse("a rate", parse_rate, problems)?;
    if intervals.contains(&rate.interval()) {
        return Some(rate);
    }
    let per_second = Duration::from_secs(1).as_nanos() / intervals.start().as_nanos();
    let per_minute = Duration::from_secs(60).as_nanos() / intervals.end().as_nanos();
    let finding = Finding::at(span, format!("the rate {rate} is out of its range"));
    problems.push(finding.help(format!("write a rate from {per_minute}/m to {per_second}/s")));
    None
}

fn parse_rate(text: &str) -> Result<Rate, Wrong> {
    let not_one = |help: String| Wrong::new(format!("{} is not a rate", Quoted(text))).help(help);
    let Some((number, unit)) = text.split_once('/') else {
        let number = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let number = if number.is_empty() { "20" } else { number };
        return Err(not_one(format!("write `{number}/s` for so many a second, `/m` a minute, `/h` an hour")));
    };
    let (number, unit) = (number.trim_end(), unit.trim_start());
    let period = match unit {
        "s" | "sec" | "second" => Period::Second,
        "m" | "min" | "minute" => Period::Minute,
        "h" | "hour" => Period::Hour,
        _ => return Err(not_one("the period is `/s`, `/m` or `/h`, as in `20/s`".to_owned())),
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number = if digits { number.parse().ok() } else { None };
    match number.and_then(NonZeroU32::new) {
        Some(number) => Ok(Rate { number, period }),
        None => Err(not_one("write a whole number before the `/`, as in `20/s`".to_owned())),
    }
}

/// Reads an absolute path.
fn absolute(text: &str) -> Result<PathBuf, Wrong> {
    if !text.starts_with('/') || text.ends_with('/') || text.chars().any(char::is_control) {
        return Err(Wrong::new(format!("{} is not the path of a file", Quoted(text)))
            .help("write a whole path such as `/etc/rondel/blocked.cidr`"));
    }
    Ok(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::parse_rate;

    #[test]
    fn a_rate_is_a_number_and_a_period() {
        for (text, shown) in [("20/s", "20/s"), ("10/m", "10/m"), ("5 / hour", "5/h"), ("1/min", "1/m")] {
            assert_eq!(parse_rate(text).unwrap().to_string(), shown, "{text}");
        }
        for (text, help) in [
            ("20", "`20/s`"),
            ("20rps", "`20/s`"),
            ("fast", "`20/s`"),
            ("20/d", "`/s`, `/m` or `/h`"),
            ("0/s", "whole number"),
            ("1.5/s", "whole number"),
            ("-1/s", "whole number"),
            ("99999999999/s", "whole number"),
        ] {
            let wrong = parse_rate(text).expect_err(text);
            assert!(wrong.help.as_deref().unwrap_or_default().contains(help), "{text}: {wrong:?}");
        }
    }
}
