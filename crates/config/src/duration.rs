//! Durations as people write them: `500ms`, `5s`, `1m30s`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::problem::{Quoted, Wrong};

/// Reads a duration: whole numbers with units, the largest unit first.
pub(crate) fn parse(text: &str) -> Result<Duration, Wrong> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let help = if text.len() <= 9 { format!("write `{text}s` for seconds") } else { EXAMPLES.to_owned() };
        return Err(Wrong::new("a duration needs a unit").help(help));
    }
    let not_one = || Wrong::new(format!("{} is not a duration", Quoted(text)));

    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        if number.is_empty() || unit.is_empty() {
            return Err(not_one().help(EXAMPLES));
        }
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(Wrong::new(format!("{} is not a unit of time", Quoted(unit))).help(EXAMPLES));
        }
        // Taking from one iterator leaves only the smaller units for what follows.
        let Some((_, millis)) = units.find(|(name, _)| *name == unit) else {
            return Err(not_one().help("each unit stands once, the largest first, as in `1m30s`"));
        };
        let span = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*millis));
        let sum = span.and_then(|span| total.checked_add(Duration::from_millis(span)));
        total = sum.ok_or_else(|| Wrong::new(format!("the duration {} is too long", Quoted(text))))?;
        rest = tail;
    }
    if text.is_empty() { Err(not_one().help(EXAMPLES)) } else { Ok(total) }
}

/// Writes a duration as a file would: `1h`, `1m30s`, `500ms`; exact for whole milliseconds.
pub fn show(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut shown = String::new();
    for (name, millis) in UNITS {
        let number = rest / u128::from(*millis);
        rest %= u128::from(*millis);
        if number > 0 {
            write!(shown, "{number}{name}").expect("a String takes everything");
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

/// Units in milliseconds, the largest first.
const UNITS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const EXAMPLES: &str = "write it with h, m, s or ms, as in `500ms`, `5s`, `1m30s` or `1h`";

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
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_says_what_would_be() {
        for (text, message, help) in [
            ("5", "a duration needs a unit", "write `5s` for seconds"),
            ("5 s", "`5 s` is not a duration", "1m30s"),
            ("1.5s", "`1.5s` is not a duration", "1m30s"),
            ("-5s", "`-5s` is not a duration", "1m30s"),
            ("", "`` is not a duration", "1m30s"),
            ("5d", "`d` is not a unit of time", "h, m, s or ms"),
            ("5S", "`S` is not a unit of time", "h, m, s or ms"),
            ("5min", "`min` is not a unit of time", "h, m, s or ms"),
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
