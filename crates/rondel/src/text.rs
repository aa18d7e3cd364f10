//! Text that several commands print: tables, durations, removals and overrides.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use api::{Override, RemovedStatus};
use config::Prefix;

/// Aligns the columns of these rows; the last column is not padded.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N - 1).map(width).chain([0]).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The text in lines of at most `width` characters. A longer word has a line of its own.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A duration in whole seconds, such as `1m30s`.
pub(crate) fn span(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default().as_secs();
    config::show_duration(Duration::from_secs(whole))
}

/// The time until the connections of a removed backend or listener are closed; `kept` if they are not.
pub(crate) fn left(removed: &RemovedStatus) -> String {
    let left = |seconds| format!("{} left", config::show_duration(Duration::from_secs(seconds)));
    removed.seconds_left.map_or_else(|| "kept".to_owned(), left)
}

/// Reads a number within a range, for the command line.
pub(crate) fn number<N>(range: RangeInclusive<N>) -> impl Fn(&str) -> Result<N, String> + Clone
where
    N: FromStr + PartialOrd + Display + Clone,
{
    move |text: &str| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))
    }
}

/// Reads an address or a prefix of addresses, for the command line.
pub(crate) fn read_prefix(text: &str) -> Result<Prefix, String> {
    Prefix::parse(text).map_err(|(wrong, help)| format!("{wrong}\n  {help}"))
}

/// The overrides of a backend.
pub(crate) fn overrides(overrides: Override) -> String {
    let mut words = Vec::new();
    let left = |seconds| format!("({} left)", config::show_duration(Duration::from_secs(seconds)));
    let left = overrides.drain_seconds_left.map(left);
    words.extend(overrides.drained.then(|| format!("drained{}", left.unwrap_or_default())));
    words.extend(overrides.disabled.then(|| "disabled".to_owned()));
    words.extend(overrides.weight.map(|weight| format!("weight={weight}")));
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

#[cfg(test)]
mod tests {
    use super::{number, table};

    #[test]
    fn a_number_has_a_range_in_words() {
        let read = number(0..=256_u16);
        assert_eq!((read("0"), read("256")), (Ok(0), Ok(256)));
        for wrong in ["257", "-1", "", "x", "70000"] {
            assert_eq!(read(wrong).unwrap_err(), "expected a number from 0 to 256", "{wrong}");
        }
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [["A", "B", "C"], ["longer", "1", "the rest, as it is"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "A       B  C\nlonger  1  the rest, as it is");
    }
}
