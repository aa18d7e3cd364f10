//! Sentences of messages: numbers with their nouns, lists, and unknown names.

use std::fmt::Display;

/// A number and its noun: `1 connection`, `2 connections`, `2 prefixes`.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let ending = match () {
        () if number == N::from(1) => "",
        () if noun.ends_with(['s', 'x']) => "es",
        () => "s",
    };
    format!("{number} {noun}{ending}")
}

/// `0`, `0 and 1`, `0, 1 and 2`.
pub fn listed<T: Display>(all: &[T]) -> String {
    match all {
        [] => String::new(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(ToString::to_string).collect();
            format!("{} and {last}", first.join(", "))
        }
    }
}

/// That there is no `noun` of this name, and which of those that there are is most likely meant, or which there are.
pub fn unknown(noun: &str, name: &str, known: &[&str]) -> String {
    let nothing = format!("there is no {noun} {name}");
    if let Some(meant) = crate::suggest::nearest(name, known.iter().copied()) {
        return format!("{nothing}; did you mean `{meant}`?");
    }
    match known.len().checked_sub(NAMES_MAX) {
        None | Some(0) if known.is_empty() => format!("{nothing}, nor any other"),
        None | Some(0) => {
            format!("{nothing}; there {} {}", if known.len() == 1 { "is" } else { "are" }, listed(known))
        }
        Some(more) => format!("{nothing}; there are {} and {more} more", known[..NAMES_MAX].join(", ")),
    }
}

/// The number of names that a message lists.
const NAMES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::{counted, listed, unknown};

    #[test]
    fn one_is_told_from_many() {
        assert_eq!(
            [0, 1, 2].map(|number| counted(number, "connection")).join(", "),
            "0 connections, 1 connection, 2 connections"
        );
        assert_eq!([1, 2].map(|number| counted(number, "prefix")).join(", "), "1 prefix, 2 prefixes");
        assert_eq!([&[3][..], &[0, 1], &[0, 1, 2]].map(listed), ["3", "0 and 1", "0, 1 and 2"]);
        assert_eq!(listed::<usize>(&[]), "");
    }

    #[test]
    fn a_name_that_nothing_has_comes_with_those_that_there_are() {
        check("wep", &["web", "db"], "there is no pool wep; did you mean `web`?");
        check("nope", &["web", "db"], "there is no pool nope; there are web and db");
        check("nope", &["web"], "there is no pool nope; there is web");
        check("nope", &[], "there is no pool nope, nor any other");
        let many: Vec<String> = (0..12).map(|number| format!("application-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let said = unknown("pool", "nope", &many);
        assert!(said.ends_with(", application-9 and 2 more"), "{said}");
        let said = unknown("pool", "nope", &many[..10]);
        assert!(said.ends_with(", application-8 and application-9"), "{said}");
    }

    #[track_caller]
    fn check(name: &str, known: &[&str], expected: &str) {
        assert_eq!(unknown("pool", name, known), expected);
    }
}
