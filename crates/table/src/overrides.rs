//! What operators override of backends, beside what the file says.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use config::Config;

use crate::drain_window::DrainWindow;
use crate::state::Inputs;

/// A backend by what identifies it over reloads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendKey {
    /// The name of its pool.
    pub pool: String,
    /// Its address.
    pub address: SocketAddr,
}

/// The overrides of all backends. One outlives a reload for as long as the pool's name and the backend's address stay.
///
/// Bound: one for each backend of the config.
#[derive(Clone, Debug, Default)]
pub struct Overrides(BTreeMap<BackendKey, Override>);

/// What operators override of one backend. The default overrides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Whether it is drained, and within what time.
    pub drain: Option<Drain>,
    /// Whether it is disabled: down and without a role, whatever its probe says.
    pub disabled: bool,
    /// The weight instead of the file's.
    pub weight: Option<u16>,
}

/// A backend takes no new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Its connections may take any time to finish.
    Open,
    /// Its connections have this time to finish.
    Until(DrainWindow),
}

impl Overrides {
    /// The override of a backend; the default if there is none.
    pub fn of(&self, pool: &str, address: SocketAddr) -> Override {
        if self.0.is_empty() {
            // Looking up costs a copy of the name; mostly there is nothing to look up.
            return Override::default();
        }
        self.0.get(&BackendKey { pool: pool.to_owned(), address }).copied().unwrap_or_default()
    }

    pub(crate) fn change(&mut self, backend: &BackendKey, change: impl FnOnce(&mut Override)) {
        let mut it = self.0.remove(backend).unwrap_or_default();
        change(&mut it);
        if it != Override::default() {
            self.0.insert(backend.clone(), it);
        }
    }

    /// Drops the overrides of backends that `config` does not have.
    pub(crate) fn retain(&mut self, config: &Config) {
        self.0.retain(|backend, _| has(config, backend));
    }

    /// `config` with the overridden weights.
    pub(crate) fn applied_to(&self, config: &Config) -> Config {
        let mut config = config.clone();
        for pool in &mut config.pools {
            for backend in &mut pool.backends {
                backend.weight = self.of(&pool.name, backend.address).weight(backend.weight);
            }
        }
        config
    }

    /// Sets the drain windows of `inputs` to those of drained backends.
    pub(crate) fn set_drains(&self, inputs: &mut Inputs) {
        inputs.pools.values_mut().for_each(|pool| pool.drains.clear());
        for (BackendKey { pool, address }, it) in &self.0 {
            if let Some(Drain::Until(window)) = it.drain {
                inputs.pools.entry(pool.clone()).or_default().drains.insert(*address, window);
            }
        }
    }
}

impl Override {
    /// The weight in force, where the file says `weight`.
    pub(crate) fn weight(self, weight: u16) -> u16 {
        if self.drain.is_some() || self.disabled { 0 } else { self.weight.unwrap_or(weight) }
    }
}

/// Whether `config` has this backend.
pub(crate) fn has(config: &Config, backend: &BackendKey) -> bool {
    let pool = config.pools.iter().find(|pool| pool.name == backend.pool);
    pool.is_some_and(|pool| pool.backends.iter().any(|known| known.address == backend.address))
}

#[cfg(test)]
mod tests {
    use super::{BackendKey, Drain, Override, Overrides};
    use crate::samples::{address, config, pool};

    #[test]
    fn the_last_override_counts_over_the_weight_of_the_file() {
        // Commands, and the weight that they leave of 1.
        check(&[], 1);
        check(&["weight 7"], 7);
        check(&["weight 7", "drain"], 0);
        check(&["weight 7", "drain", "undrain"], 7);
        check(&["disable", "undrain"], 0);
        check(&["weight 7", "disable", "enable"], 1);
    }

    #[track_caller]
    fn check(commands: &[&str], expected: u16) {
        let config = config(vec![], vec![pool("app", &["a 1"])]);
        let mut overrides = Overrides::default();
        for command in commands {
            obey(&mut overrides, command);
        }
        let effective = overrides.applied_to(&config);
        assert_eq!(effective.pools[0].backends[0].weight, expected, "{commands:?}");
        assert_eq!(config.pools[0].backends[0].weight, 1, "the file's config stays");
    }

    fn obey(overrides: &mut Overrides, command: &str) {
        let backend = BackendKey { pool: "app".to_owned(), address: address("a") };
        overrides.change(&backend, |it| match command.split_once(' ') {
            Some((_, weight)) => it.weight = Some(weight.parse().unwrap()),
            None if command == "drain" => it.drain = Some(Drain::Open),
            None if command == "undrain" => it.drain = None,
            None if command == "disable" => it.disabled = true,
            None => *it = Override::default(),
        });
    }

    #[test]
    fn an_override_is_dropped_with_its_backend() {
        let before = config(vec![], vec![pool("app", &["a 1"])]);
        let mut overrides = Overrides::default();
        obey(&mut overrides, "drain");
        overrides.retain(&before);
        assert!(overrides.of("app", address("a")).drain.is_some());
        overrides.retain(&config(vec![], vec![pool("app", &["b 1"])]));
        assert!(overrides.of("app", address("a")).drain.is_none());
    }
}
