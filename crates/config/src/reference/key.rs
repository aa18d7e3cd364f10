//! A key of the file, and what its value may be.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::duration::show;

/// A section of the file.
#[derive(Debug)]
pub struct Section {
    /// Where it is in the file: `pools[].eject`; empty for the file itself.
    pub path: &'static str,
    /// What it is, as sentences.
    pub about: &'static str,
    /// Its keys, in the order in which messages list them.
    pub keys: Vec<Key>,
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    /// As it is written in the file.
    pub name: &'static str,
    /// What its value may be.
    pub value: Value,
    /// What holds without it.
    pub absent: Absent,
    /// What it sets, as sentences.
    pub meaning: &'static str,
}

/// What the value of a key may be.
#[derive(Debug)]
pub enum Value {
    /// A whole number.
    Number(RangeInclusive<u64>),
    /// The same, or `auto`.
    NumberOrAuto(RangeInclusive<u64>),
    /// A duration.
    Duration(RangeInclusive<Duration>),
    /// The same, in whole seconds.
    Seconds(RangeInclusive<Duration>),
    /// One of these words.
    Word(Vec<String>),
    /// `true` or `false`.
    Switch,
    /// Keys of its own.
    Section,
    /// A list of at most so many of these, and of at least one.
    List(&'static str, usize),
    /// A text of this type, within these bounds.
    Text(&'static str, &'static str),
}

/// What holds without a key.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The file is refused.
    Required,
    /// As if this were written.
    Written(&'static str),
    /// What this says.
    Otherwise(&'static str),
}

impl Value {
    /// What the value is, in a word or two.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::NumberOrAuto(_) => "number or `auto`",
            Self::Duration(_) => "duration",
            Self::Seconds(_) => "duration in whole seconds",
            Self::Word(_) => "word",
            Self::Switch => "boolean",
            Self::Section => "section",
            Self::List(of, _) => of,
            Self::Text(name, _) => name,
        }
    }

    /// Which values are accepted; empty if the type says it all.
    pub fn range(&self) -> String {
        match self {
            Self::Number(range) | Self::NumberOrAuto(range) => {
                format!("{} to {}", range.start(), range.end())
            }
            Self::Duration(range) | Self::Seconds(range) => {
                format!("{} to {}", show(*range.start()), show(*range.end()))
            }
            Self::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Switch => "`true`, `false`".to_owned(),
            Self::Section => String::new(),
            Self::List(_, most) => format!("1 to {most} of them"),
            Self::Text(_, range) => (*range).to_owned(),
        }
    }
}

pub(super) const NAME: Value = Value::Text("name", "1 to 64 letters, digits and `-_.:/[]%`");
pub(super) const ADDRESS: Value = Value::Text("address", "`IP:PORT`");

pub(super) const fn key(name: &'static str, value: Value, absent: Absent, meaning: &'static str) -> Key {
    Key { name, value, absent, meaning }
}

pub(super) fn words<T: Display>(known: &[T]) -> Value {
    Value::Word(known.iter().map(T::to_string).collect())
}

pub(super) fn numbers<T: Copy + Into<u64>>(range: RangeInclusive<T>) -> RangeInclusive<u64> {
    (*range.start()).into()..=(*range.end()).into()
}
