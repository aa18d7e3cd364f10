//! Reads nodes of a tree as the types of the format, and reports mismatches.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::duration;
use crate::foreign;
use crate::limits::NAME_CHARS_MAX;
use crate::problem::{Finding, Problems, Quoted, Wrong};
use crate::scalar;
use crate::sections::Section;
use crate::span::NodeId;
use crate::span::{At, Span};
use crate::suggest::{nearest, same};
use crate::tree::{Entry, Kind, Node, Tree};

/// The keys and values of one section. All keys are known.
pub(crate) struct Fields<'t> {
    tree: &'t Tree<'t>,
    entries: &'t [Entry<'t>],
    section: &'static Section,
    span: Span,
}

/// A value, and the place to report when it is invalid.
#[derive(Clone, Copy)]
pub(crate) struct Value<'t> {
    tree: &'t Tree<'t>,
    node: &'t Node<'t>,
    key: &'t str,
    span: Span,
}

impl<'t> Fields<'t> {
    /// The fields of the document itself.
    pub(crate) fn of_file(
        tree: &'t Tree<'t>,
        section: &'static Section,
        others: &[&Section],
        problems: &mut Problems,
    ) -> Option<Self> {
        let node = tree.node(NodeId::ROOT);
        Value { tree, node, key: section.name, span: node.span }.fields(section, others, problems)
    }

    /// The value of a key, unless it is `null`, which counts as no key.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'t>> {
        self.get_or_null(key).filter(|value| !value.is_null())
    }

    /// The value of a key, for one where `null` has a meaning.
    pub(crate) fn get_or_null(&self, key: &str) -> Option<Value<'t>> {
        let entry = self.entries.iter().find(|entry| entry.key.value == key)?;
        let node = self.tree.node(entry.value);
        // An empty value has no place, so its key is reported.
        let span = if matches!(node.kind, Kind::Nothing) { entry.key.span } else { node.span };
        Some(Value { tree: self.tree, node, key: &entry.key.value, span })
    }

    /// As [`Fields::get`], for a key that must be there.
    pub(crate) fn require(&self, key: &str, example: &str, problems: &mut Problems) -> Option<Value<'t>> {
        let value = self.get(key);
        if value.is_none() && !problems.is_full() && !self.is_meant(key) {
            let finding = Finding::at(self.span, format!("{} has no `{key}`", self.section.name));
            problems.push(finding.help(format!("add `{example}`")));
        }
        value
    }

    /// Whether this key was misspelt, or written as another program calls it. Both have been reported.
    pub(crate) fn is_meant(&self, key: &str) -> bool {
        let own = || self.section.keys.iter().copied();
        let written = self.entries.iter().map(|entry| &*entry.key.value);
        written.filter(|written| !own().any(|own| own == *written)).any(|written| {
            let word = written.split(':').next().unwrap_or(written);
            foreign::key_meant(word, self.section).or_else(|| nearest(word, own())) == Some(key)
        })
    }

    /// The place to report for what is missing in the section.
    pub(crate) fn span(&self) -> Span {
        self.span
    }
}

impl<'t> Value<'t> {
    /// The place to report for an invalid value.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self.node.kind, Kind::Nothing)
    }

    /// Whether it is one of the words for null, which is deliberate.
    fn is_null(&self) -> bool {
        self.is_nothing() && self.node.place.as_ref().is_some_and(|place| !place.is_empty())
    }

    /// Reads a section. For a key of one of the `others`, the report names its section.
    pub(crate) fn fields(
        self,
        section: &'static Section,
        others: &[&Section],
        problems: &mut Problems,
    ) -> Option<Fields<'t>> {
        let Kind::Map(entries) = &self.node.kind else {
            let finding = self.mismatch(&format!("the keys of {}", section.name));
            problems.push(finding.help(format!("write it as `{}`", section.example)));
            return None;
        };
        for Entry { key, .. } in entries {
            if problems.is_full() {
                break;
            }
            if !section.keys.contains(&&*key.value) {
                let finding = Finding::at(key.span, format!("unknown key {}", Quoted(&key.value)));
                problems.push(finding.help(key_help(&key.value, section, others)));
            }
        }
        Some(Fields { tree: self.tree, entries, section, span: self.span })
    }

    /// Like [`Value::fields`], except that an empty value is a section without keys.
    pub(crate) fn fields_or_none(
        self,
        section: &'static Section,
        others: &[&Section],
        problems: &mut Problems,
    ) -> Option<Fields<'t>> {
        if self.is_nothing() {
            return Some(self.no_fields(section));
        }
        self.fields(section, others, problems)
    }

    /// Like [`Value::fields_or_none`], except that a word for on is one too.
    pub(crate) fn fields_or_on(
        self,
        section: &'static Section,
        others: &[&Section],
        problems: &mut Problems,
    ) -> Option<Fields<'t>> {
        if self.switch() == Some(true) {
            return Some(self.no_fields(section));
        }
        self.fields_or_none(section, others, problems)
    }

    /// A section without keys in place of this value.
    pub(crate) fn no_fields(self, section: &'static Section) -> Fields<'t> {
        Fields { tree: self.tree, entries: &[], section, span: self.span }
    }

    /// Its value, if it is a word for on or off.
    pub(crate) fn switch(&self) -> Option<bool> {
        self.scalar().and_then(scalar::switch)
    }

    /// Whether it is a word for off.
    pub(crate) fn is_off(&self) -> bool {
        self.switch() == Some(false)
    }

    /// The text of a scalar.
    pub(crate) fn scalar(&self) -> Option<&'t str> {
        match &self.node.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::Nothing | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// Reads one of the `known` words; `what` names the choice, such as "role".
    pub(crate) fn choice<T: Copy + Display>(
        self,
        what: &str,
        known: &[T],
        problems: &mut Problems,
    ) -> Option<T> {
        let At { value, span } = self.text(&format!("a word for the {what}"), problems)?;
        let words: Vec<_> = known.iter().map(T::to_string).collect();
        let found = words.iter().position(|word| word == value);
        if found.is_none() {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let help = scalar::leftover(value).map(str::to_owned);
            let help = help.or_else(|| foreign::word(what, value));
            let help = help.unwrap_or_else(|| match nearest(value, words.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("it is one of {}", list(&words)),
            });
            problems.push(Finding::at(span, format!("unknown {what} {}", Quoted(value))).help(help));
        }
        found.map(|index| known[index])
    }

    /// Reads a list; `what` names its items, and `of` their section. An empty value is an empty list.
    pub(crate) fn items(
        self,
        what: &str,
        of: Option<&'static Section>,
        problems: &mut Problems,
    ) -> Option<impl ExactSizeIterator<Item = Self> + use<'t>> {
        let ids: &'t [NodeId] = match &self.node.kind {
            Kind::List(ids) => ids,
            Kind::Nothing => &[],
            Kind::Scalar { .. } | Kind::Map(_) => {
                let finding = self.mismatch(&format!("a list of {what}"));
                problems.push(finding.help(self.list_help(of)));
                return None;
            }
        };
        Some(ids.iter().map(move |id| {
            let node = self.tree.node(*id);
            Value { node, span: node.span, ..self }
        }))
    }

    /// How to write this value as a list of such sections.
    fn list_help(&self, of: Option<&Section>) -> String {
        let dash = "begin each entry with a dash and a space";
        let Some(section) = of else { return dash.to_owned() };
        let is_ours = |entry: &Entry<'_>| section.keys.contains(&&*entry.key.value);
        match &self.node.kind {
            Kind::Scalar { text, .. } if text.trim_start().starts_with('[') => {
                "remove the quotes around the list".to_owned()
            }
            Kind::Scalar { .. } => {
                format!("write it as `{}: [{}]`", self.key, section.example.trim_start_matches("- "))
            }
            // Names as keys, as other formats have it.
            Kind::Map(entries) if !entries.iter().any(is_ours) => {
                let name = entries.first().map_or("web", |entry| &entry.key.value);
                format!("write `- name: {}`, with the keys of that below it, and so on", shorten(name))
            }
            Kind::Map(_) | Kind::List(_) | Kind::Nothing => dash.to_owned(),
        }
    }

    /// Reads any scalar as text: a name that looks like a number is still a name.
    pub(crate) fn text(self, what: &str, problems: &mut Problems) -> Option<At<&'t str>> {
        match &self.node.kind {
            Kind::Scalar { text, .. } => Some(At { value: text, span: self.span }),
            Kind::Nothing | Kind::List(_) | Kind::Map(_) => {
                problems.push(self.mismatch(what));
                None
            }
        }
    }

    /// Reads text with its own grammar.
    pub(crate) fn parse<T>(
        self,
        what: &str,
        parse: impl FnOnce(&'t str) -> Result<T, Wrong>,
        problems: &mut Problems,
    ) -> Option<At<T>> {
        let At { value, span } = self.text(what, problems)?;
        match parse(value) {
            Ok(value) => Some(At { value, span }),
            Err(wrong) => {
                let finding = wrong.at(span);
                // For the text of a template, advice on its grammar is useless.
                problems.push(match self.scalar().and_then(scalar::leftover) {
                    // In such text, only the `$` is wrong.
                    Some(help) if self.key != "password_env" => finding.help(help),
                    _ => finding,
                });
                None
            }
        }
    }

    pub(crate) fn name(self, problems: &mut Problems) -> Option<At<String>> {
        self.parse("a name", name, problems)
    }

    pub(crate) fn boolean(self, problems: &mut Problems) -> Option<bool> {
        let switch = self.switch();
        if switch.is_none() {
            let help = match self.scalar() {
                Some("1") => Some("write `true`".to_owned()),
                Some("0") => Some("write `false`".to_owned()),
                Some(text) => scalar::leftover(text).map(str::to_owned),
                None => self.shape_help(),
            };
            problems.push(self.mismatch("`true` or `false`").help_maybe(help));
        }
        switch
    }

    /// Reads `auto`, which gives none, or a number. The outer `None` is an error.
    #[expect(clippy::option_option, reason = "the two are different answers: an error, and `auto`")]
    pub(crate) fn number_or_auto<T>(
        self,
        range: RangeInclusive<T>,
        problems: &mut Problems,
    ) -> Option<Option<T>>
    where
        T: TryFrom<u64> + PartialOrd + Display,
    {
        match &self.node.kind {
            Kind::Scalar { text, .. } if text == "auto" => Some(None),
            _ => self.number_as("`auto` or a whole number", range, problems).map(Some),
        }
    }

    pub(crate) fn number<T>(self, range: RangeInclusive<T>, problems: &mut Problems) -> Option<T>
    where
        T: TryFrom<u64> + PartialOrd + Display,
    {
        self.number_as("a whole number", range, problems)
    }

    fn number_as<T>(self, expected: &str, range: RangeInclusive<T>, problems: &mut Problems) -> Option<T>
    where
        T: TryFrom<u64> + PartialOrd + Display,
    {
        let Some(text) = self.scalar() else {
            problems.push(self.mismatch(expected));
            return None;
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let bounds = format!("from {} to {}", range.start(), range.end());
        if !is_number {
            let help = match (scalar::number_meant(text), scalar::leftover(text)) {
                (Some(number), _) => format!("write `{number}`, in digits alone"),
                (None, Some(help)) => help.to_owned(),
                (None, None) => format!("write digits alone: a number {bounds}"),
            };
            problems.push(self.mismatch(expected).help(help));
            return None;
        }
        if digits.len() > 1 && digits.starts_with('0') {
            // Some YAML parsers read it as an octal number.
            let finding = Finding::at(self.span, format!("{} starts with a zero", Quoted(text)));
            problems.push(finding.help("write the number without it"));
            return None;
        }
        let number = text.parse::<u64>().ok().and_then(|number| T::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{}` is {}, out of its range", self.key, shorten(text));
            problems.push(Finding::at(self.span, message).help(format!("write a number {bounds}")));
        }
        number
    }

    pub(crate) fn duration(
        self,
        range: RangeInclusive<Duration>,
        problems: &mut Problems,
    ) -> Option<Duration> {
        let (least, most) = (duration::show(*range.start()), duration::show(*range.end()));
        let help = format!("write a duration from {least} to {most}");
        if self.is_off() {
            // A zero timeout would be the opposite of no timeout.
            if range.contains(&Duration::ZERO) && !self.key.ends_with("timeout") {
                return Some(Duration::ZERO);
            }
            problems.push(Finding::at(self.span, format!("`{}` cannot be off", self.key)).help(help));
            return None;
        }
        let At { value, span } = self.parse("a duration", duration::parse, problems)?;
        if !range.contains(&value) {
            let message = format!("`{}` is {}, out of its range", self.key, duration::show(value));
            problems.push(Finding::at(span, message).help(help));
            return None;
        }
        Some(value)
    }

    /// Like [`Value::duration`], for what the kernel counts in whole seconds.
    pub(crate) fn seconds(
        self,
        range: RangeInclusive<Duration>,
        problems: &mut Problems,
    ) -> Option<Duration> {
        let value = self.duration(range, problems)?;
        if value.subsec_nanos() != 0 {
            let message =
                format!("`{}` is {}, and the kernel counts whole seconds", self.key, duration::show(value));
            let help = format!("write `{}s` or `{}s`", value.as_secs().max(1), value.as_secs() + 1);
            problems.push(Finding::at(self.span, message).help(help));
            return None;
        }
        Some(value)
    }

    pub(crate) fn mismatch(&self, expected: &str) -> Finding {
        let found = match &self.node.kind {
            Kind::Nothing => "nothing".to_owned(),
            Kind::Scalar { text, .. } if text.is_empty() => "an empty text".to_owned(),
            Kind::Scalar { text, quoted: true } => format!("the text {}", Quoted(text)),
            Kind::Scalar { text, quoted: false } => Quoted(text).to_string(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "keys with values".to_owned(),
        };
        Finding::at(self.span, format!("expected {expected}, found {found}")).help_maybe(self.shape_help())
    }

    /// How to write this value as a scalar.
    fn shape_help(&self) -> Option<String> {
        match &self.node.kind {
            Kind::Nothing => Some("write a value, or leave the key out".to_owned()),
            Kind::List(items) if items.len() == 1 => {
                Some("write the value without brackets or a dash".to_owned())
            }
            Kind::List(_) => Some("write one value, without brackets or dashes".to_owned()),
            Kind::Scalar { .. } | Kind::Map(_) => None,
        }
    }
}

/// The advice for a key that the section does not have.
fn key_help(key: &str, section: &Section, others: &[&Section]) -> String {
    if key == "<<" {
        return "merge keys are not part of the format; write the keys out".to_owned();
    }
    if key == "password" && section.keys.contains(&"password_file") {
        // Files are copied, mailed and kept in repositories.
        return "secrets must not be in this file: write `password_file: PATH` or `password_env: NAME`"
            .to_owned();
    }
    if let Some((word, _)) = key.split_once(':').filter(|(word, _)| section.keys.contains(word)) {
        return format!("write a space behind the `:` of `{word}`");
    }
    // The same word in another style, such as `maxConnections` or `max-connections`, is more certain than a guess.
    let meant = section.keys.iter().copied().find(|own| same(own, key));
    let help = if meant.is_some() { None } else { foreign::key(key, section) };
    if let Some(help) = help {
        return help;
    }
    if let Some(meant) = meant.or_else(|| nearest(key, section.keys.iter().copied())) {
        return format!("did you mean `{meant}`?");
    }
    let other =
        others.iter().find_map(|other| Some((other, other.keys.iter().find(|word| same(word, key))?)));
    if let Some((other, word)) = other {
        return format!("`{word}` is a key of {}", other.name);
    }
    format!("{} has the keys {}", section.name, list(section.keys))
}

/// Reads a name, which becomes a table column, a metric label and a word of log lines.
fn name(text: &str) -> Result<String, Wrong> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.:/[]%".contains(character);
    let help = "a name is letters, digits and `-_.:/`, without spaces";
    if text.is_empty() {
        return Err(Wrong::new("the name is empty").help(help));
    }
    if text.len() > NAME_CHARS_MAX {
        return Err(Wrong::new(format!("the name {} is too long", Quoted(text)))
            .help(format!("a name is at most {NAME_CHARS_MAX} characters")));
    }
    match text.chars().find(|character| !allowed(*character)) {
        None => Ok(text.to_owned()),
        Some(character) => {
            let character = character.to_string();
            Err(Wrong::new(format!("a name with {} in it", Quoted(&character))).help(help))
        }
    }
}

fn list(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// A number or a key as written, unless it is very long.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

const SHOWN_CHARS_MAX: usize = 20;
