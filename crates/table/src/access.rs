//! Which clients may connect, as workers see it: an access list, with what operators override of it.

use std::net::IpAddr;
use std::sync::Arc;

use config::{Action, Ranges, Refusal, RulePrefixes};

use crate::access_overrides::AccessLayers;
use crate::counter::{Counter, PerWorker};

/// An access list, with what operators override of it.
#[derive(Debug)]
pub struct AccessList {
    /// Its name in logs and counters; none for the one of listeners that name none, which only overrides make.
    pub name: Option<String>,
    /// What operators override: the ranges of what they allow, and of what they deny.
    overrides: Arc<Ranges>,
    ranges: Arc<Ranges>,
    /// Shared with the config: they may have many prefixes, and a table is made at each change.
    rules: Arc<[config::AccessRule]>,
    otherwise: Action,
    /// What happens to clients that are denied.
    pub refusal: Refusal,
    /// What it counted; outlives swaps for as long as its rules stay.
    pub counters: Arc<PerWorker<AccessCounters>>,
}

/// What decides about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// What an operator said.
    Override(Action),
    /// The rule of this index.
    Rule(usize),
    /// Nothing else did.
    Otherwise,
}

/// How often what decided, as one worker counts it.
#[derive(Debug, Default)]
pub struct AccessCounters {
    /// By the index of the rule.
    rules: Box<[Counter]>,
    allowed: Counter,
    denied: Counter,
    otherwise: Counter,
}

impl AccessList {
    /// The list that `settings` ask for, none for listeners that name none, with what operators override of it.
    pub(crate) fn build(
        settings: Option<&config::AccessList>,
        layers: &AccessLayers,
        workers: usize,
        before: Option<&Self>,
    ) -> Self {
        let name = settings.map(|settings| settings.name.clone());
        let rules = settings.map_or_else(Arc::default, |settings| Arc::clone(&settings.rules));
        let kept = before.filter(|before| have_same_sources(&before.rules, &rules));
        let counters = kept.map_or_else(
            || Arc::new(PerWorker::of_each(workers, || AccessCounters::new(rules.len()))),
            |before| Arc::clone(&before.counters),
        );
        Self {
            overrides: Arc::clone(layers.of_list(name.as_deref())),
            ranges: settings.map_or_else(Arc::default, |settings| Arc::clone(&settings.ranges)),
            otherwise: settings.map_or(Action::Allow, |settings| settings.otherwise),
            refusal: settings.map_or_else(Refusal::default, |settings| settings.refusal),
            name,
            rules,
            counters,
        }
    }

    /// What decides about a client with this address, and how.
    pub fn decide(&self, address: IpAddr) -> (Action, Decider) {
        if let Some(rule) = self.overrides.find(address) {
            let action = AccessLayers::ACTIONS[usize::from(rule)];
            return (action, Decider::Override(action));
        }
        match self.ranges.find(address).map(usize::from) {
            Some(rule) => (self.rules[rule].action, Decider::Rule(rule)),
            None => (self.otherwise, Decider::Otherwise),
        }
    }

    /// Its rules.
    pub fn rules(&self) -> &[config::AccessRule] {
        &self.rules
    }

    /// What happens to clients that nothing matches.
    pub fn otherwise(&self) -> Action {
        self.otherwise
    }

    /// How many ranges its rules are.
    pub fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// How many prefixes its rules have.
    pub fn prefixes(&self) -> usize {
        self.rules.iter().map(|rule| rule.prefixes.number()).sum()
    }

    /// How often this decided, over all workers.
    pub fn hits(&self, decider: Decider) -> u64 {
        self.counters.sum(|worker| worker.of(decider).get())
    }
}

impl AccessCounters {
    fn new(rules: usize) -> Self {
        Self { rules: (0..rules).map(|_| Counter::default()).collect(), ..Self::default() }
    }

    /// How often this decided.
    pub fn of(&self, decider: Decider) -> &Counter {
        match decider {
            Decider::Override(Action::Allow) => &self.allowed,
            Decider::Override(Action::Deny) => &self.denied,
            Decider::Rule(rule) => &self.rules[rule],
            Decider::Otherwise => &self.otherwise,
        }
    }
}

/// Whether these are the same rules, whatever their files say now.
fn have_same_sources(one: &[config::AccessRule], other: &[config::AccessRule]) -> bool {
    let same_source = |one: &RulePrefixes, other: &RulePrefixes| match (one, other) {
        (RulePrefixes::File { path: one, .. }, RulePrefixes::File { path: other, .. }) => one == other,
        _ => one == other,
    };
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| one.action == other.action && same_source(&one.prefixes, &other.prefixes))
}
