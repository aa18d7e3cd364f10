//! Guesses which known word a misspelt word stands for.

/// The word of `known` that `written` is most likely a misspelling of.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.chars().count() > WORD_CHARS_MAX {
        return None;
    }
    let written = written.to_ascii_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&written, &word.to_ascii_lowercase()), word))
        // One wrong character in three, at least one; beyond that a guess is more likely wrong than right.
        .filter(|(slips, word)| *slips <= (word.chars().count() / 3).max(1))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

/// Whether two words differ only in style: `max_connections`, `max-connections`, `maxConnections`.
pub(crate) fn same(a: &str, b: &str) -> bool {
    fn letters(word: &str) -> impl Iterator<Item = u8> {
        word.bytes().filter(|byte| !b"-_ ".contains(byte)).map(|byte| byte.to_ascii_lowercase())
    }
    letters(a).eq(letters(b))
}

/// Bounds the time of a comparison, which grows with the product of both lengths.
const WORD_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::{nearest, same};

    #[test]
    fn a_misspelt_word_is_recognised_and_another_word_is_not() {
        let known = ["address", "backlog", "pool"];
        for (written, meant) in [
            ("adress", Some("address")),
            ("Address", Some("address")),
            ("adderss", Some("address")),
            ("pol", Some("pool")),
            ("back_log", Some("backlog")),
            ("timeout", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
        assert_eq!(nearest(&"a".repeat(100_000), known), None);
    }

    #[test]
    fn the_style_of_a_word_does_not_matter() {
        for written in
            ["max_connections", "max-connections", "maxConnections", "MAX_CONNECTIONS", "Max Connections"]
        {
            assert!(same("max_connections", written), "{written}");
        }
        assert!(!same("max_connections", "max_connection"));
        assert!(!same("max_lag", "max_log"));
    }
}
