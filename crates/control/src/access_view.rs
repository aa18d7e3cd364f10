//! Access lists, what operators say about addresses, and what decides about one, for the admin interface.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use api::{AccessCheck, AccessQuery, AccessView, ListView, OverrideView, RouteLimits, RuleView};
use config::{Action, unknown};
use table::{AccessKey, AccessList, AccessOverride, AccessOverrides, Decider, Listener, Table};

use crate::access_change::{seconds_left, shown};
use crate::reloads::unix_seconds_at;
use crate::wire;

/// What decides about clients at one moment.
pub(crate) struct AccessSources<'a> {
    pub(crate) table: &'a Table,
    pub(crate) overrides: &'a AccessOverrides,
    pub(crate) now: Instant,
}

impl AccessSources<'_> {
    /// The result of a query.
    ///
    /// # Errors
    ///
    /// There is no list of the name in it.
    pub(crate) fn view(&self, query: &AccessQuery) -> Result<AccessView, String> {
        let named = query.list.as_deref();
        let known: Vec<&str> = self.table.access.iter().filter_map(|list| list.name.as_deref()).collect();
        if let Some(name) = named.filter(|name| !known.contains(name)) {
            return Err(unknown("access list", name, &known));
        }
        let lists =
            || self.table.access.iter().filter(move |list| named.is_none() || list.name.as_deref() == named);
        let holds = |key: &AccessKey| named.is_none() || key.list.is_none() || key.list.as_deref() == named;
        let mut said = self.overrides.all().filter(|(key, _)| holds(key));
        let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let overrides =
            said.by_ref().take(limit).map(|(key, said)| override_view(key, said, self.now)).collect();
        let left_out = said.count() as u64;
        let checks = query.check.map_or_else(Vec::new, |address| {
            let lists = lists().map(|list| self.check(Some(list), address));
            let open = self.listeners_of(None);
            let without = (named.is_none() && !open.is_empty()).then(|| self.check(None, address));
            lists.chain(without).collect()
        });
        Ok(AccessView {
            lists: lists().map(|list| self.list_view(list)).collect(),
            overrides,
            left_out,
            checks,
        })
    }

    /// Every list.
    pub(crate) fn lists(&self) -> Vec<ListView> {
        self.table.access.iter().map(|list| self.list_view(list)).collect()
    }

    /// What decides about a client at a listener; none if nothing does.
    pub(crate) fn of_listener(&self, listener: &Listener, client: IpAddr) -> Option<AccessCheck> {
        listener.access.as_ref().map(|list| self.check(Some(list), client))
    }

    fn check(&self, list: Option<&Arc<AccessList>>, address: IpAddr) -> AccessCheck {
        let listeners = self.listeners_of(list);
        let Some(list) = list else {
            let decided_by = "nothing: no access list, and operators say nothing".to_owned();
            let action = wire::action(Action::Allow);
            return AccessCheck { list: None, listeners, action, decided_by, dry_run: false };
        };
        let (action, decider) = list.decide(address);
        let decided_by = match decider {
            // What was said since this table was made is in the next one.
            Decider::Override(_) => match self.overrides.deciding(list.name.as_deref(), address) {
                Some((key, said)) => format!("operator, {}", shown(key, said, self.now)),
                None => "operator".to_owned(),
            },
            Decider::Rule(rule) => format!("rule {}, {}", rule + 1, list.rules()[rule]),
            Decider::Otherwise => format!("no rule matches: otherwise {}", list.otherwise()),
        };
        // What an operator denies is no trial.
        let dry_run = list.refusal.dry_run && !matches!(decider, Decider::Override(_));
        AccessCheck { list: list.name.clone(), listeners, action: wire::action(action), decided_by, dry_run }
    }

    /// The names of the listeners that a list holds for; those for which none does without one.
    fn listeners_of(&self, list: Option<&Arc<AccessList>>) -> Vec<String> {
        let holds = |listener: &&Arc<Listener>| match (&listener.access, list) {
            (Some(of_listener), Some(list)) => Arc::ptr_eq(of_listener, list),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.table.listeners.iter().filter(holds).map(|listener| listener.name.clone()).collect()
    }

    fn list_view(&self, list: &Arc<AccessList>) -> ListView {
        let rules = list.rules().iter().enumerate().map(|(index, rule)| RuleView {
            rule: rule.to_string(),
            action: wire::action(rule.action),
            prefixes: rule.prefixes.number() as u64,
            hits: list.hits(Decider::Rule(index)),
        });
        ListView {
            name: list.name.clone(),
            listeners: self.listeners_of(Some(list)),
            rules: rules.collect(),
            otherwise: wire::action(list.otherwise()),
            otherwise_hits: list.hits(Decider::Otherwise),
            allowed_hits: list.hits(Decider::Override(Action::Allow)),
            denied_hits: list.hits(Decider::Override(Action::Deny)),
            dry_run: list.refusal.dry_run,
        }
    }

    /// What the limits of a listener know of a client; none if it has no limits.
    pub(crate) fn limits_of(&self, listener: &Listener, client: IpAddr) -> Option<RouteLimits> {
        let limits = listener.limits.as_ref()?;
        let source = limits.source(&self.table.sources, client);
        let state = source.map(|source| self.table.sources.state(source, self.now));
        let refused = state.and_then(|state| limits.bounds.refuses(state));
        let settings = &limits.settings;
        Some(RouteLimits {
            name: limits.name.clone(),
            source: source.map(|_| settings.source.source_of(client).to_string()),
            connections: state.map_or(0, |state| state.connections),
            connections_max: settings.connections_max.map(std::num::NonZeroU16::get),
            rate: settings.rate.map(|rate| format!("{rate} after {}", settings.burst)),
            refused: refused.map(|refused| refused.reason().name().to_owned()),
            dry_run: limits.refusal().dry_run,
        })
    }
}

fn override_view(key: &AccessKey, said: &AccessOverride, now: Instant) -> OverrideView {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of this century")]
    let since = unix_seconds_at(said.since, now) as u64;
    OverrideView {
        prefix: key.prefix,
        list: key.list.clone(),
        action: wire::action(said.action),
        since,
        seconds_left: said.until.map(|until| seconds_left(until, now)),
        by: said.by.clone(),
        why: said.why.clone(),
    }
}
