//! What operators say about addresses of clients, beside the access lists of the file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use config::{Action, Config, Prefix, Ranges};

/// All that operators said about addresses. What is allowed goes before what is denied, and both go before the rules
/// of the file. It outlives a reload for as long as its list stays.
///
/// Bound: [`ACCESS_OVERRIDES_MAX`].
#[derive(Clone, Debug, Default)]
pub struct AccessOverrides {
    all: BTreeMap<AccessKey, AccessOverride>,
    /// Invariant: made of `all`.
    layers: Arc<AccessLayers>,
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
    /// Until when it holds; none for good.
    pub until: Option<Instant>,
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

impl AccessOverrides {
    /// All of them, those of all lists first.
    pub fn all(&self) -> impl ExactSizeIterator<Item = (&AccessKey, &AccessOverride)> {
        self.all.iter()
    }

    /// What is said about these very addresses.
    pub fn get(&self, key: &AccessKey) -> Option<&AccessOverride> {
        self.all.get(key)
    }

    /// What says that other addresses around these are allowed, if anything does: it would go before a denial.
    pub fn allowed_around(&self, key: &AccessKey) -> Option<&AccessKey> {
        self.all.iter().find_map(|(other, said)| {
            let is_around = other.prefix != key.prefix && other.prefix.covers(key.prefix);
            let holds = other.list.is_none() || other.list == key.list;
            (said.action == Action::Allow && is_around && holds).then_some(other)
        })
    }

    /// When the first of them ends; none if none does.
    pub fn due(&self) -> Option<Instant> {
        self.all.values().filter_map(|said| said.until).min()
    }

    /// The ranges that a table is built of.
    pub fn layers(&self) -> &Arc<AccessLayers> {
        &self.layers
    }

    /// Makes several changes: what is said about addresses from now on, or that nothing is any more.
    pub fn change(&mut self, changes: impl IntoIterator<Item = (AccessKey, Option<AccessOverride>)>) {
        for (key, said) in changes {
            match said {
                Some(said) => self.all.insert(key, said),
                None => self.all.remove(&key),
            };
        }
        self.layers = Arc::new(AccessLayers::of(&self.all));
    }

    /// Drops what has ended by `now`, and returns it.
    pub fn expire(&mut self, now: Instant) -> Vec<(AccessKey, AccessOverride)> {
        if self.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let (ended, left) = std::mem::take(&mut self.all)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, said)| said.until.is_some_and(|until| until <= now));
        self.all = left;
        self.layers = Arc::new(AccessLayers::of(&self.all));
        ended.into_iter().collect()
    }

    /// Drops what is said about lists that `config` does not have.
    pub(crate) fn retain(&mut self, config: &Config) {
        let before = self.all.len();
        let has = |name: &String| config.access.iter().any(|list| list.name == *name);
        self.all.retain(|key, _| key.list.as_ref().is_none_or(has));
        if self.all.len() != before {
            self.layers = Arc::new(AccessLayers::of(&self.all));
        }
    }
}

impl AccessLayers {
    /// What each rule of the ranges does.
    pub(crate) const ACTIONS: [Action; 2] = [Action::Allow, Action::Deny];

    fn of(all: &BTreeMap<AccessKey, AccessOverride>) -> Self {
        let everywhere = Arc::new(ranges(all, None));
        let lists = all.keys().filter_map(|key| key.list.clone());
        let by_list = lists.map(|list| {
            let ranges = Arc::new(ranges(all, Some(&list)));
            (list, ranges)
        });
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
