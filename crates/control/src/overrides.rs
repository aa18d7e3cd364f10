//! What operators said of backends, beside what the file says.
//!
//! It is kept by the pool's name and the backend's address, as counters are, so it survives a reload for as long as both do.
//! A table is built from a copy of the config that it was applied to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use config::Config;
use table::{DrainWindow, Inputs};

use api::BackendName;
use config::unknown;

/// What operators said, of backends of whom they said anything.
///
/// Bound: one for each backend of the config.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides(BTreeMap<(String, SocketAddr), Override>);

/// What operators said of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Override {
    pub(crate) drain: Option<Drain>,
    pub(crate) disabled: bool,
    pub(crate) weight: Option<u16>,
}

/// A backend gets no new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// Those that it has may take as long as they like.
    Open,
    /// By when they are to be gone.
    Until(DrainWindow),
}

/// There is no backend of this name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) String);

impl Overrides {
    /// Changes what is said of the backend of this name.
    pub(crate) fn change(
        &mut self,
        config: &Config,
        name: &BackendName,
        change: impl FnOnce(&mut Override),
    ) -> Result<(String, SocketAddr), Unknown> {
        let key = find(config, name)?;
        let mut said = self.0.remove(&key).unwrap_or_default();
        change(&mut said);
        if said != Override::default() {
            self.0.insert(key.clone(), said);
        }
        Ok(key)
    }

    /// What is said of a backend; the default if nothing is.
    pub(crate) fn of(&self, pool: &str, address: SocketAddr) -> Override {
        self.0.get(&(pool.to_owned(), address)).copied().unwrap_or_default()
    }

    /// Forgets backends that `config` does not have.
    pub(crate) fn follow(&mut self, config: &Config) {
        self.0.retain(|(pool, address), _| {
            let pool = config.pools.iter().find(|known| known.name == *pool);
            pool.is_some_and(|pool| pool.backends.iter().any(|backend| backend.address == *address))
        });
    }

    /// The config that tables are built from.
    pub(crate) fn applied_to(&self, config: &Config) -> Config {
        let mut config = config.clone();
        for pool in &mut config.pools {
            for backend in &mut pool.backends {
                // The look-ups cost a copy of the name each; mostly there is nothing to look up.
                if self.0.is_empty() {
                    return config;
                }
                let said = self.of(&pool.name, backend.address);
                backend.weight = said.weight(backend.weight);
            }
        }
        config
    }

    /// What is known of backends, with by when connections are to be gone of those that are drained.
    pub(crate) fn with_drains(&self, mut health: Inputs) -> Inputs {
        for ((pool, address), said) in &self.0 {
            if let Some(Drain::Until(notice)) = said.drain {
                health.pools.entry(pool.clone()).or_default().drains.insert(*address, notice);
            }
        }
        health
    }
}

impl Override {
    /// The weight that counts, where the file says `weight`.
    pub(crate) fn weight(self, weight: u16) -> u16 {
        if self.drain.is_some() || self.disabled { 0 } else { self.weight.unwrap_or(weight) }
    }

    /// The same for people.
    pub(crate) fn shown(self, now: Instant) -> api::Override {
        let drain_seconds_left = match self.drain {
            Some(Drain::Until(notice)) => Some(seconds_left(notice, now)),
            Some(Drain::Open) | None => None,
        };
        api::Override {
            drained: self.drain.is_some(),
            drain_seconds_left,
            disabled: self.disabled,
            weight: self.weight,
        }
    }
}

/// How long connections have yet, in whole seconds, those begun included.
pub(crate) fn seconds_left(notice: DrainWindow, now: Instant) -> u64 {
    notice.until.saturating_duration_since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// The backend of this name, or of this address. Where the names of pools have a `/` in them, the first that fits.
pub(crate) fn find(config: &Config, name: &BackendName) -> Result<(String, SocketAddr), Unknown> {
    for (pool, backend) in name.splits() {
        let Some(pool) = config.pools.iter().find(|known| known.name == pool) else { continue };
        let address: Option<SocketAddr> = backend.parse().ok();
        let named = pool.backends.iter().find(|known| known.name == backend);
        let found = named.or_else(|| pool.backends.iter().find(|known| Some(known.address) == address));
        if let Some(found) = found {
            return Ok((pool.name.clone(), found.address));
        }
    }
    Err(Unknown(unknown_backend(config, name)))
}

/// That there is none of this name, and which there are: in its pool, where it names one that there is.
fn unknown_backend(config: &Config, name: &BackendName) -> String {
    let is_named = |pool: &config::Pool| name.splits().any(|(named, _)| named == pool.name);
    let any_is_named = config.pools.iter().any(is_named);
    let pools = config.pools.iter().filter(|pool| !any_is_named || is_named(pool));
    let known: Vec<String> = pools
        .flat_map(|pool| pool.backends.iter().map(move |backend| format!("{}/{}", pool.name, backend.name)))
        .collect();
    unknown("backend", &name.to_string(), &known.iter().map(String::as_str).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use config::Config;

    use super::{Drain, Overrides, Unknown};
    use crate::reload::tests::config;

    #[test]
    fn what_is_said_last_counts_over_what_the_file_says() {
        // What is said, and the weight that it leaves of 1.
        check(&[], 1);
        check(&["weight 7"], 7);
        check(&["weight 7", "drain"], 0);
        check(&["weight 7", "drain", "undrain"], 7);
        check(&["disable", "undrain"], 0);
        check(&["weight 7", "disable", "enable"], 1);
    }

    #[track_caller]
    fn check(said: &[&str], expected: u16) {
        let config = config(&["web 127.0.0.1:80"]);
        let mut overrides = Overrides::default();
        for word in said {
            say(&mut overrides, &config, word);
        }
        let applied = overrides.applied_to(&config);
        assert_eq!(applied.pools[0].backends[0].weight, expected, "{said:?}");
        assert_eq!(config.pools[0].backends[0].weight, 1, "the file's config stays");
    }

    fn say(overrides: &mut Overrides, config: &Config, word: &str) {
        let name = "app/a".parse().unwrap();
        let done = overrides.change(config, &name, |said| match word.split_once(' ') {
            Some((_, weight)) => said.weight = Some(weight.parse().unwrap()),
            None if word == "drain" => said.drain = Some(Drain::Open),
            None if word == "undrain" => said.drain = None,
            None if word == "disable" => said.disabled = true,
            None => *said = super::Override::default(),
        });
        assert_eq!(done, Ok(("app".to_owned(), "10.0.0.1:80".parse().unwrap())));
    }

    #[test]
    fn a_backend_is_found_by_its_name_or_its_address() {
        let config = config(&["web 127.0.0.1:80"]);
        for (name, found) in [
            ("app/a", true),
            ("app/10.0.0.1:80", true),
            ("app/b", false),
            ("web/a", false),
            ("app/a/", false),
        ] {
            let changed = Overrides::default().change(&config, &name.parse().unwrap(), |_| {});
            assert_eq!(changed.is_ok(), found, "{name}");
            assert!(found || matches!(changed, Err(Unknown(_))), "{name}");
        }
    }

    #[test]
    fn it_is_forgotten_with_its_backend() {
        let before = config(&["web 127.0.0.1:80"]);
        let mut overrides = Overrides::default();
        say(&mut overrides, &before, "drain");
        let mut other = before.clone();
        other.pools[0].backends[0].address = "10.0.0.2:80".parse().unwrap();
        overrides.follow(&before);
        assert!(overrides.of("app", "10.0.0.1:80".parse().unwrap()).drain.is_some());
        overrides.follow(&other);
        assert!(overrides.of("app", "10.0.0.1:80".parse().unwrap()).drain.is_none());
    }
}
