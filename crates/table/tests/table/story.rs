//! A pool over time, in few words: one letter for the state of each backend.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Config, Fallback, TargetRole, Waiting};
use table::{Availability, BackendIndex, BackendState, Dice, Inputs, Picked, Pool, PoolInputs, Role, Table};

pub(crate) const PRIMARY: TargetRole =
    TargetRole::Primary(Waiting { connections_max: 1, timeout: Duration::from_secs(1) });
pub(crate) const REPLICA: TargetRole = TargetRole::Replica(Fallback::None);
pub(crate) const REPLICA_OR_PRIMARY: TargetRole = TargetRole::Replica(Fallback::Primary);
pub(crate) const TARGET_ROLES: [TargetRole; 4] = [TargetRole::Any, PRIMARY, REPLICA, REPLICA_OR_PRIMARY];

pub(crate) const POLICIES: [&str; 4] = ["round_robin", "least_connections", "random", "maglev"];

/// One pool, table after table.
pub(crate) struct Story {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    pub(crate) table: Table,
    pub(crate) dice: Dice,
}

impl Story {
    /// Of a pool with these keys and these backends, before anything is known. Backends are as in the file, except
    /// for their addresses: `a` is 10.0.0.1:80, and so on.
    pub(crate) fn new(keys: &str, backends: &[&str]) -> Self {
        let config = config(keys, backends);
        let table = Table::build(&config, Vec::new(), WORKERS, None, None);
        Self { config, now: origin(), table, dice: Dice::new(1) }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.table.pools[0]
    }

    /// The next table: the current states, a letter for each backend, and `!` for an order to fail back.
    ///
    /// `.` up, `x` down, `e` ejected, `?` unknown; `P` the primary, `p` the same ejected, `R` a replica, `r` the same
    /// ejected, `L` a replica that lags.
    pub(crate) fn tell(&mut self, known: &str) {
        let backends = &self.config.pools[0].backends;
        let addresses = backends.iter().map(|backend| backend.address);
        let health = PoolInputs {
            backends: addresses.zip(known.chars().map(state)).collect(),
            failback: known.ends_with('!'),
            ..PoolInputs::default()
        };
        self.tell_health(health);
    }

    pub(crate) fn tell_health(&mut self, health: PoolInputs) {
        let health =
            Inputs { now: self.now, pools: [("pool".to_owned(), health)].into(), access: Arc::default() };
        self.table = Table::build(&self.config, Vec::new(), WORKERS, Some(&health), Some(&self.table));
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// The pick of a client; its permit is kept.
    pub(crate) fn pick_for(
        &mut self,
        target_role: TargetRole,
        tried: &[BackendIndex],
        client: u32,
    ) -> Picked {
        self.table.pools[0].pick(target_role, tried, &mut self.dice, || IpAddr::from(client.to_be_bytes()))
    }

    /// A pick without a target role, which is to give a backend.
    #[track_caller]
    pub(crate) fn pick(&mut self) -> BackendIndex {
        match self.pick_for(TargetRole::Any, &[], 1) {
            Picked::Backend(index) => index,
            other => panic!("{other:?}"),
        }
    }

    /// How often each is picked in this many picks.
    pub(crate) fn picks(&mut self, number: u32) -> Vec<u32> {
        let mut counts = vec![0; self.pool().backends.len()];
        for _ in 0..number {
            counts[usize::from(self.pick().0)] += 1;
        }
        counts
    }

    /// The letters of all eligible backends.
    pub(crate) fn candidates(&mut self, target_role: TargetRole) -> String {
        let mut tried = Vec::new();
        while let Picked::Backend(index) = self.pick_for(target_role, &tried, 1) {
            assert!(!tried.contains(&index));
            tried.push(index);
        }
        tried.sort();
        tried.into_iter().map(letter).collect()
    }
}

pub(crate) fn config(keys: &str, backends: &[&str]) -> Config {
    let each = (1..).zip(backends);
    let each: Vec<_> = each
        .map(|(number, keys)| format!("  - {{ address: '10.0.0.{number}:80'{} }}\n", after_comma(keys)))
        .collect();
    let text = format!(
        "listeners: [{{ address: ':80', pool: pool }}]\npools:\n- name: pool\n  {}\n  backends:\n{}",
        keys.replace("; ", "\n  "),
        each.concat()
    );
    let mut config = Config::parse("story.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    // These tests need no sockets.
    config.listeners.clear();
    config
}

fn after_comma(keys: &str) -> String {
    if keys.is_empty() { String::new() } else { format!(", {keys}") }
}

pub(crate) fn letter(index: BackendIndex) -> char {
    char::from(b'a' + u8::try_from(index.0).unwrap())
}

pub(crate) fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(index + 1).unwrap()], 80))
}

pub(crate) fn state(known: char) -> BackendState {
    let availability = match known {
        '?' => Availability::Unknown,
        'x' => Availability::Down,
        'e' | 'p' | 'r' => Availability::Ejected,
        '.' | 'P' | 'R' | 'L' => Availability::Up,
        other => panic!("`{other}` says nothing"),
    };
    let role = match known {
        'P' | 'p' => Some(Role::Primary),
        'R' | 'r' => Some(Role::Replica { lags: false }),
        'L' => Some(Role::Replica { lags: true }),
        _ => None,
    };
    BackendState { availability, role, ..BackendState::default() }
}

/// A time to count from.
#[expect(clippy::disallowed_methods, reason = "there is no other way to come by an `Instant`")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

pub(crate) const WORKERS: usize = 2;
