//! Durations as written in a file: `500ms`, `5s`, `1m30s`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::problem::{Quoted, Wrong};

/// Reads a duration: whole numbers with units, the largest unit first. Only zero needs no unit.
pub(crate) fn parse(text: &str) -> Result<Duration, Wrong> {
    let written = text.trim();
    if written == "0" {
        return Ok(Duration::ZERO);
    }
    if !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(without_unit(written));
    }
    let mut rest = written;
    let mut total = Duration::ZERO;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let (number, unit, tail) = part(rest).ok_or_else(|| not_one(text))?;
        rest = tail;
        let names_it = |names: &&[&str]| names.iter().any(|name| unit.eq_ignore_ascii_case(name));
        // `M` is a month to nginx, and a megabyte elsewhere.
        if unit == "M" || !UNITS.iter().any(|(names, _)| names_it(names)) {
            return Err(unknown_unit(number, unit));
        }
        // One iterator for all, so that only smaller units are left for what follows.
        let Some((_, millis)) = units.find(|(names, _)| names_it(names)) else {
            let wrong = Wrong::new(format!("{} is not a duration", Quoted(text)));
            return Err(wrong.help("each unit stands once, the largest first, as in `1m30s`"));
        };
        let span = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*millis));
        let sum = span.and_then(|span| total.checked_add(Duration::from_millis(span)));
        total = sum.ok_or_else(|| Wrong::new(format!("the duration {} is too long", Quoted(text))))?;
    }
    if written.is_empty() { Err(not_one(text)) } else { Ok(total) }
}

/// The number, the unit and the rest. There may be spaces between them.
fn part(text: &str) -> Option<(&str, &str, &str)> {
    let (number, tail) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let tail = tail.trim_start_matches(' ');
    let (unit, tail) = tail.split_at(tail.bytes().take_while(u8::is_ascii_alphabetic).count());
    let is_one = !number.is_empty() && !unit.is_empty();
    is_one.then_some((number, unit, tail.trim_start_matches(' ')))
}

fn without_unit(number: &str) -> Wrong {
    let help = if number.len() <= 9 {
        format!("write `{number}s` for seconds, or `{number}ms` for milliseconds")
    } else {
        EXAMPLES.to_owned()
    };
    Wrong::new("a duration needs a unit").help(help)
}

fn unknown_unit(number: &str, unit: &str) -> Wrong {
    let help = match unit {
        "M" => format!("write `{number}m` for minutes"),
        _ => EXAMPLES.to_owned(),
    };
    Wrong::new(format!("{} is not a unit of time", Quoted(unit))).help(help)
}

fn not_one(text: &str) -> Wrong {
    let help = match whole(text) {
        Some(duration) => format!("write it in whole numbers, as `{}`", show(duration)),
        None => EXAMPLES.to_owned(),
    };
    Wrong::new(format!("{} is not a duration", Quoted(text))).help(help)
}

/// What `1.5s` is in whole milliseconds.
fn whole(text: &str) -> Option<Duration> {
    let (whole, rest) = text.trim().split_once('.')?;
    let (fraction, unit, "") = part(rest)? else { return None };
    let (_, millis) = UNITS.iter().find(|(names, _)| names[0] == unit)?;
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 6)?;
    let (whole, fraction) = (whole.parse::<u64>().ok()?, fraction.parse::<u64>().ok()?);
    let parts = fraction.checked_mul(*millis)?;
    let scale = 10_u64.pow(digits);
    let total = whole.checked_mul(*millis)?.checked_add(parts / scale)?;
    parts.is_multiple_of(scale).then(|| Duration::from_millis(total))
}

/// Formats a duration as a file would: `1h`, `1m30s`, `500ms`; exact for whole milliseconds.
pub fn show(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut shown = String::new();
    for (name, millis) in SHOWN {
        let number = rest / u128::from(*millis);
        rest %= u128::from(*millis);
        if number > 0 {
            write!(shown, "{number}{name}").expect("a String takes everything");
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

/// Units in milliseconds, the largest first, with their names; the usual name comes first.
const UNITS: &[(&[&str], u64)] = &[
    (&["d", "day", "days"], 24 * 3_600_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000),
    (&["s", "sec", "secs", "second", "seconds"], 1000),
    (&["ms", "msec", "msecs", "millisecond", "milliseconds"], 1),
];

/// The units in which durations are shown.
const SHOWN: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const EXAMPLES: &str = "write it with d, h, m, s or ms, as in `500ms`, `5s`, `1m30s` or `1h`";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{parse, show};

    #[test]
    fn as_people_write_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5000),
            ("0s", 0),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("1m30s", 90_000),
            ("1h1ms", 3_600_001),
            ("90s", 90_000),
            ("0", 0),
            ("1d", 86_400_000),
            ("1d12h", 129_600_000),
            ("5 s", 5000),
            (" 1m 30 s ", 90_000),
            ("5S", 5000),
            ("500MS", 500),
            ("2H", 7_200_000),
            ("5sec", 5000),
            ("10 minutes", 600_000),
            ("1hour30min", 5_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_says_what_would_be() {
        for (text, message, help) in [
            ("5", "a duration needs a unit", "write `5s` for seconds, or `5ms` for milliseconds"),
            ("1.5s", "`1.5s` is not a duration", "as `1s500ms`"),
            ("0.25 h", "`0.25 h` is not a duration", "as `15m`"),
            ("1.0001s", "`1.0001s` is not a duration", "1m30s"),
            ("-5s", "`-5s` is not a duration", "1m30s"),
            ("", "`` is not a duration", "1m30s"),
            ("5M", "`M` is not a unit of time", "write `5m` for minutes"),
            ("5us", "`us` is not a unit of time", "h, m, s or ms"),
            ("1w", "`w` is not a unit of time", "d, h, m, s or ms"),
            ("s", "`s` is not a duration", "1m30s"),
            ("30s1m", "`30s1m` is not a duration", "the largest first"),
            ("1s1s", "`1s1s` is not a duration", "each unit stands once"),
            ("5s\u{1b}", "`5s\\u{1b}` is not a duration", "1m30s"),
        ] {
            let wrong = parse(text).expect_err(text);
            assert_eq!(wrong.message, message);
            assert!(wrong.help.as_deref().unwrap_or_default().contains(help), "{text}: {wrong:?}");
        }
        for text in ["99999999999999999999s", "18446744073709551615h", "99999999999999999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn shown_is_read_again(millis in any::<u64>()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&show(duration)), Ok(duration));
        }

        #[test]
        fn anything_is_read_or_refused(text in ".{0,20}") {
            let _ = parse(&text);
        }
    }
}
