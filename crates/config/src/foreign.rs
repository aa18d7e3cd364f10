//! Terms of HAProxy, nginx, Envoy and others, and the matching terms of rondel.
//!
//! The tables only improve messages: a missing term is guessed at or rejected like any other word.

use crate::sections::Section;
use crate::suggest::same;

use self::keys::{Foreign, Here, KEYS};
use self::words::WORDS;

mod keys;
mod words;

/// The advice for an unknown key, if it is another program's.
pub(crate) fn key(written: &str, section: &Section) -> Option<String> {
    Some(match &foreign(written, section)?.here {
        Here::Key { section: of, key, example } if of.name == section.name => {
            format!("here it is called `{key}`, as in `{example}`")
        }
        Here::Key { section: of, key, example } => {
            format!("here it is `{key}` of {}, as in `{example}`", of.name)
        }
        Here::NotYet(sentence) | Here::Other(sentence) => (*sentence).to_owned(),
    })
}

/// The key of this section that another program's term stands for.
pub(crate) fn key_meant(written: &str, section: &Section) -> Option<&'static str> {
    match &foreign(written, section)?.here {
        Here::Key { section: of, key, .. } if of.name == section.name => Some(key),
        _ => None,
    }
}

/// The advice for an unknown word, if it is another program's; `what` names the choice.
pub(crate) fn word(what: &str, written: &str) -> Option<String> {
    let found = WORDS.iter().find(|(of, words, _)| of.contains(&what) && is_of(words, written));
    found.map(
        |(.., meant)| {
            if meant.contains(' ') { (*meant).to_owned() } else { format!("here it is called `{meant}`") }
        },
    )
}

fn foreign(written: &str, section: &Section) -> Option<&'static Foreign> {
    let is_within = |foreign: &Foreign| foreign.within.iter().any(|within| within.name == section.name);
    KEYS.iter().find(|foreign| is_within(foreign) && is_of(foreign.words, written))
}

fn is_of(words: &str, written: &str) -> bool {
    words.split_whitespace().any(|word| same(word, written))
}

#[cfg(test)]
mod tests;
