//! Sizes as written in a file: `16MiB`, `64KiB`, `100B`.

use crate::problem::{Quoted, Wrong};

/// Reads a size in bytes: a whole number with one unit; at least 1.
pub(crate) fn parse(text: &str) -> Result<u64, Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let not_one = || Wrong::new(format!("{} is not a size", Quoted(text))).help(EXAMPLES);
    let Some((_, bytes)) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        // A megabyte is 1 000 000 bytes in some programs and 1 048 576 in others.
        let is_meant = |name: &str| {
            let first = unit.get(..1).is_some_and(|unit| name[..1].eq_ignore_ascii_case(unit));
            name.len() > 1 && unit.len() <= 2 && first && !number.is_empty()
        };
        return Err(match UNITS.iter().find(|(name, _)| is_meant(name)) {
            Some((name, _)) => not_one().help(format!("write `{number}{name}`")),
            None => not_one(),
        });
    };
    let number: u64 = number.parse().map_err(|_| not_one())?;
    match number.checked_mul(*bytes) {
        Some(size) if size > 0 => Ok(size),
        Some(_) => Err(Wrong::new("the size is zero").help(EXAMPLES)),
        None => Err(Wrong::new(format!("the size {} is too large", Quoted(text)))),
    }
}

/// Formats a size as a file would, in the largest unit that leaves a whole number.
pub fn show(size: u64) -> String {
    let (name, bytes) =
        UNITS.iter().find(|(_, bytes)| size.is_multiple_of(*bytes)).expect("every size is whole in bytes");
    format!("{}{name}", size / bytes)
}

/// Units in bytes, the largest first.
const UNITS: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const EXAMPLES: &str = "write it with B, KiB, MiB or GiB, as in `16MiB`";

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn as_people_write_them() {
        for (text, size) in [("1B", 1), ("64KiB", 65_536), ("16MiB", 16 << 20), ("3GiB", 3 << 30)] {
            assert_eq!(parse(text), Ok(size), "{text}");
            assert_eq!(show(size), text);
        }
        assert_eq!(parse("16 mib"), Ok(16 << 20));
        assert_eq!(parse("1024KiB").map(show).as_deref(), Ok("1MiB"));
    }

    #[test]
    fn what_is_none_says_so() {
        for text in
            ["", "16", "16MB", "MiB", "1.5MiB", "-1B", "0MiB", "99999999999GiB", "99999999999999999999B"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        for (text, meant) in [("16MB", "`16MiB`"), ("16M", "`16MiB`"), ("64k", "`64KiB`"), ("1 gb", "`1GiB`")]
        {
            let wrong = parse(text).expect_err(text);
            assert!(wrong.help.as_deref().unwrap_or_default().contains(meant), "{text}: {wrong:?}");
        }
    }
}
