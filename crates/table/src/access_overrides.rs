//! What operators say about addresses of clients, beside the access lists of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use config::{Action, Config, Prefix, Ranges};

/// All that operators said about addresses. What is allowed goes before what is denied, and both go before the rules
/// of the file. It outlives a reload for as long as its list stays.
///
/// Bound: [`ACCESS_OVERRIDES_MAX`].
#[derive(Clone, Debug)]
pub struct AccessOverrides {
    all: BTreeMap<AccessKey, AccessOverride>,
    /// Invariant: when the first of `all` ends.
    due: Option<Instant>,
    /// Invariant: made of `all`, unless they changed since; then there are none, and the next table makes them.
    layers: Option<Arc<AccessLayers>>,
}

/// Which addresses, and for which list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKey {
    /// The name of the access list; none for all lists, and for listeners without one.
    pub list: Option<String>,
    /// The addresses.
    pub prefix: Prefix,
}

/// What an operator said about addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessOverride {
    /// What happens to clients with such an address.
    pub action: Action,
    /// When it was said.
    pub since: Instant,
    /// Until when it holds; none if it has no end.
    pub until: Option<Instant>,
    /// The operator that said it: the user and the process at the other end of the admin socket.
    pub by: String,
    /// Why it was said; empty if the operator did not say.
    pub why: String,
}

/// The same as ranges, by list. A table is built of them.
#[derive(Debug, Default)]
pub struct AccessLayers {
    /// For lists that nothing is said about, and listeners without one.
    everywhere: Arc<Ranges>,
    by_list: BTreeMap<String, Arc<Ranges>>,
}

/// How many overrides there may be.
pub const ACCESS_OVERRIDES_MAX: usize = 100_000;

impl Default for AccessOverrides {
    /// Nothing is said, and that is in every table.
    fn default() -> Self {
        Self { all: BTreeMap::new(), due: None, layers: Some(Arc::default()) }
    }
}

impl AccessOverrides {
    /// All of them, those of all lists first.
    pub fn all(&self) -> impl ExactSizeIterator<Item = (&AccessKey, &AccessOverride)> {
        self.all.iter()
    }

    /// What is said about these very addresses.
    pub fn get(&self, key: &AccessKey) -> Option<&AccessOverride> {
        self.all.get(key)
    }

    /// What says that addresses around these are allowed, if anything does: it would go before a denial. These very
    /// addresses are not around themselves, except for all lists around one list.
    pub fn allowed_around(&self, key: &AccessKey) -> Option<&AccessKey> {
        let around = self.around(key.list.as_deref(), key.prefix);
        around
            .filter(|(other, said)| said.action == Action::Allow && *other != key)
            .map(|(other, _)| other)
            .next()
    }

    /// What decides about a client with this address at a list, or at a listener without one: the most narrow of what
    /// allows it, or else of what denies it.
    pub fn deciding(&self, list: Option<&str>, address: IpAddr) -> Option<(&AccessKey, &AccessOverride)> {
        let around: Vec<_> = self.around(list, Prefix::of(address)).collect();
        let narrowest = |action| around.iter().rev().find(|(_, said)| said.action == action);
        narrowest(Action::Allow).or_else(|| narrowest(Action::Deny)).copied()
    }

    /// What is said about prefixes that have all these addresses, and holds for the list; the widest first.
    fn around(
        &self,
        list: Option<&str>,
        prefix: Prefix,
    ) -> impl Iterator<Item = (&AccessKey, &AccessOverride)> {
        let lists: Vec<Option<String>> = match list {
            None => vec![None],
            Some(name) => vec![None, Some(name.to_owned())],
        };
        let keys = (0..=prefix.length()).flat_map(move |length| {
            let prefix = Prefix::around(prefix.address(), length);
            lists.clone().into_iter().map(move |list| AccessKey { list, prefix })
        });
        keys.filter_map(|key| self.all.get_key_value(&key))
    }

    /// When the first of them ends; none if none does.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether they changed since the last table was built of them.
    pub fn are_changed(&self) -> bool {
        self.layers.is_none()
    }

    /// What is said about lists that `config` does not have. A change to it drops this.
    pub fn without_list<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = &'a AccessKey> {
        self.all.keys().filter(|key| !has_list_of(config, key))
    }

    /// The ranges that a table is built of.
    pub(crate) fn layers(&mut self) -> &Arc<AccessLayers> {
        self.layers.get_or_insert_with(|| Arc::new(AccessLayers::of(&self.all)))
    }

    /// Makes several changes: what is said about addresses from now on, or that nothing is any more.
    pub fn change(&mut self, changes: impl IntoIterator<Item = (AccessKey, Option<AccessOverride>)>) {
        for (key, said) in changes {
            let until = said.as_ref().and_then(|said| said.until);
            let before = match said {
                Some(said) => self.all.insert(key, said),
                None => self.all.remove(&key),
            };
            self.due = if self.due.is_some() && before.and_then(|before| before.until) == self.due {
                first_end(&self.all)
            } else {
                self.due.into_iter().chain(until).min()
            };
        }
        self.layers = None;
    }

    /// Drops what has ended by `now`, and returns it.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(AccessKey, AccessOverride)> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        let (ended, left) = std::mem::take(&mut self.all)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, said)| said.until.is_some_and(|until| until <= now));
        *self = Self { due: first_end(&left), all: left, layers: None };
        ended.into_iter().collect()
    }

    /// Drops what is said about lists that `config` does not have.
    pub(crate) fn retain(&mut self, config: &Config) {
        let before = self.all.len();
        self.all.retain(|key, _| has_list_of(config, key));
        if self.all.len() != before {
            (self.due, self.layers) = (first_end(&self.all), None);
        }
    }
}

/// Whether `config` has the list that something is said about.
fn has_list_of(config: &Config, key: &AccessKey) -> bool {
    key.list.as_ref().is_none_or(|name| config.access.iter().any(|list| list.name == *name))
}

/// When the first of these ends.
fn first_end(all: &BTreeMap<AccessKey, AccessOverride>) -> Option<Instant> {
    all.values().filter_map(|said| said.until).min()
}

impl AccessLayers {
    /// What each rule of the ranges does.
    pub(crate) const ACTIONS: [Action; 2] = [Action::Allow, Action::Deny];

    fn of(all: &BTreeMap<AccessKey, AccessOverride>) -> Self {
        let everywhere = Arc::new(ranges(all, None));
        let lists: BTreeSet<&String> = all.keys().filter_map(|key| key.list.as_ref()).collect();
        let by_list = lists.into_iter().map(|list| (list.clone(), Arc::new(ranges(all, Some(list)))));
        Self { everywhere, by_list: by_list.collect() }
    }

    /// What is said about the clients of a list.
    pub(crate) fn of_list(&self, name: Option<&str>) -> &Arc<Ranges> {
        name.and_then(|name| self.by_list.get(name)).unwrap_or(&self.everywhere)
    }

    /// Whether anything is said that holds for listeners without a list.
    pub(crate) fn says_anything(&self) -> bool {
        !self.everywhere.is_empty()
    }
}

/// The ranges of what holds for a list: what is said about it, and about all.
fn ranges(all: &BTreeMap<AccessKey, AccessOverride>, list: Option<&str>) -> Ranges {
    let of = |action: Action| -> Vec<Prefix> {
        let holds = |key: &AccessKey| key.list.is_none() || key.list.as_deref() == list;
        let said = all.iter().filter(|(key, said)| holds(key) && said.action == action);
        said.map(|(key, _)| key.prefix).collect()
    };
    let rules = AccessLayers::ACTIONS.map(of);
    Ranges::build(rules.iter().map(Vec::as_slice))
}

#[cfg(test)]
mod tests;
