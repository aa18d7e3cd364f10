//! Accepted spellings of a scalar: the words for on and off, and near numbers.
//!
//! Files are often written by programs. One that writes YAML 1.1, such as Ansible or Helm, quotes `off`, writes
//! `false` for it, or quotes a number. Therefore quotes and spelling make no difference here.

/// Whether a value is a word for on or off; none if it is neither.
pub(crate) fn switch(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match () {
        () if is_one_of(["on", "true", "yes"]) => Some(true),
        () if is_one_of(["off", "false", "no"]) => Some(false),
        () => None,
    }
}

/// The whole number that a text most likely stands for: `1k`, `1e+06`, `100.0`, `10_000`.
pub(crate) fn number_meant(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(number) = text.trim_start_matches('+').replace(['_', ',', '\''], "").parse() {
        return Some(number);
    }
    let unit = text.strip_suffix(['k', 'K']).map(|rest| (rest, 1000));
    let unit = unit.or_else(|| text.strip_suffix(['m', 'M']).map(|rest| (rest, 1_000_000)));
    match unit {
        Some((number, factor)) => number.trim_end().parse::<u64>().ok()?.checked_mul(factor),
        None => whole(text),
    }
}

/// A whole number with a point or an exponent in it: Helm writes a million as `1e+06`.
fn whole(text: &str) -> Option<u64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: usize = exponent.parse().ok().filter(|exponent| *exponent <= 18)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let zeros = exponent.checked_sub(fraction.len())?;
    let digits = format!("{whole}{fraction}{}", "0".repeat(zeros));
    let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// The advice for a value that contains the syntax of a template or of a shell.
pub(crate) fn leftover(text: &str) -> Option<&'static str> {
    let quotes = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{ab}', '\u{bb}'];
    if text.starts_with(quotes) {
        return Some("these quotes are a part of the value to YAML: write `\"`");
    }
    let is_variable = text.split('$').skip(1).any(|behind| {
        behind.starts_with(|first: char| first == '{' || first == '_' || first.is_ascii_uppercase())
    });
    if is_variable {
        return Some("variables are not expanded: write the value, or generate the file");
    }
    let is_template = ["{{", "{%", "<%"].iter().any(|opening| text.contains(opening));
    is_template.then_some("this is part of a template that was not rendered: use the rendered file")
}

#[cfg(test)]
mod tests {
    use super::{leftover, number_meant, switch};

    #[test]
    fn on_and_off_have_many_spellings() {
        for word in ["on", "On", "ON", "true", "True", "TRUE", "yes", "Yes", "YES"] {
            assert_eq!(switch(word), Some(true), "{word}");
        }
        for word in ["off", "Off", "OFF", "false", "False", "FALSE", "no", "No", "NO"] {
            assert_eq!(switch(word), Some(false), "{word}");
        }
        for word in ["", "0", "1", "offf", "none", "auto", " off", "o"] {
            assert_eq!(switch(word), None, "{word}");
        }
    }

    #[test]
    fn what_is_nearly_a_number_says_which() {
        for (text, number) in [
            ("1k", 1000),
            ("10K", 10_000),
            ("2 M", 2_000_000),
            ("1e+06", 1_000_000),
            ("1.5e3", 1500),
            ("1E2", 100),
            ("100.0", 100),
            ("10_000", 10_000),
            ("10,000", 10_000),
            (" 7 ", 7),
            ("+7", 7),
        ] {
            assert_eq!(number_meant(text), Some(number), "{text}");
        }
        for text in
            ["", "k", "2.5", "1e-3", "1e99", "0x10", "ten", "-1k", "99999999999999999999k", ".5", "50%"]
        {
            assert_eq!(number_meant(text), None, "{text}");
        }
    }

    #[test]
    fn what_another_program_left_is_seen() {
        for text in [
            "$PORT",
            "10.0.0.1:${PORT}",
            "{{ port }}",
            "{% if x %}",
            "<%= @port %>",
            "$_a",
            "\u{201c}:80\u{201d}",
        ] {
            assert!(leftover(text).is_some(), "{text}");
        }
        for text in ["", "$", "a$", "5$", "$remote_addr", "10.0.0.1:80", "{ a }"] {
            assert!(leftover(text).is_none(), "{text}");
        }
    }
}
