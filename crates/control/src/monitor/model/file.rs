//! The file of the model: every key of a pool and of its probe, each with a few values.

use config::Config;
use proptest::prelude::*;

use super::{NAMES, address};

/// The keys, each once: as an enum, and as a list to choose from.
macro_rules! keys {
    ($($key:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Key {
            $($key,)*
        }

        const KEYS: &[Key] = &[$(Key::$key,)*];
    };
}

keys! {
    Kind,
    Port,
    Interval,
    FastInterval,
    Timeout,
    Jitter,
    Rise,
    Fall,
    MaxLag,
    Eject,
    SlowStart,
    OnDown,
    OnRoleLoss,
    IdleTimeout,
    Balance,
    WeightOfA,
    Order,
    HasC,
    // Another pool, of the same servers.
    Other,
}

/// Which value each key has: an index into those that it may have.
#[derive(Clone, Debug, Default)]
pub(super) struct File(pub(super) [usize; KEYS.len()]);

impl File {
    pub(super) fn of<'a>(&self, key: Key, values: &[&'a str]) -> &'a str {
        values[self.0[key as usize] % values.len()]
    }

    pub(super) fn tells_roles(&self) -> bool {
        self.of(Key::Kind, KINDS) != "tcp: {}"
    }

    pub(super) fn fall(&self) -> u32 {
        self.of(Key::Fall, &["2", "3", "5"]).parse().unwrap()
    }

    pub(super) fn rise(&self) -> u32 {
        self.of(Key::Rise, &["2", "1", "4"]).parse().unwrap()
    }

    pub(super) fn lag_max(&self) -> Option<u64> {
        let tells_lag = self.of(Key::Kind, KINDS).starts_with("postgres");
        [None, Some(4), Some(10)][self.0[Key::MaxLag as usize] % 3].filter(|_| tells_lag)
    }

    pub(super) fn has(&self, server: usize) -> bool {
        server != 2 || self.of(Key::HasC, &["yes", "no"]) == "yes"
    }

    pub(super) fn weight(&self, server: usize) -> &'static str {
        if server == 0 { self.of(Key::WeightOfA, &["1", "5", "0"]) } else { "1" }
    }

    pub(super) fn config(&self) -> Config {
        let mut backends: Vec<String> = (0..3)
            .filter(|server| self.has(*server))
            .map(|server| {
                let (name, weight) = (NAMES[server], self.weight(server));
                format!("{{ name: {name}, address: \"{}\", weight: {weight} }}", address(server))
            })
            .collect();
        if self.of(Key::Order, &["as it is", "reversed"]) == "reversed" {
            backends.reverse();
        }
        let role = |role: &str| if self.tells_roles() { format!(", role: {role}") } else { String::new() };
        let other = match self.of(Key::Other, &["none", "same", "tcp"]) {
            "none" => String::new(),
            "same" => {
                format!("- {{ name: other, backends: [{}], probe: {{ {} }} }}", backends.join(", "), KINDS[0])
            }
            _ => format!(
                "- {{ name: other, backends: [{}], probe: {{ tcp: {{}}, fall: 1 }} }}",
                backends.join(", ")
            ),
        };
        let text = format!(
            "version: 1\n\
             listeners:\n  \
             - {{ name: writers, address: \"127.0.0.1:1\", pool: db{} }}\n  \
             - {{ name: readers, address: \"127.0.0.1:2\", pool: db{} }}\n\
             pools:\n  {other}\n  \
             - name: db\n    \
               backends: [{}]\n    \
               probe: {{ {}, port: {}, interval: {}, fast_interval: {}, timeout: {}, jitter: {}, rise: {}, fall: {} }}\n    \
               max_lag: {}\n    eject: {}\n    slow_start: {}\n    on_down: {}\n    on_role_loss: {}\n    \
               idle_timeout: {}\n    balance: {}\n",
            role("primary"),
            role("replica"),
            backends.join(", "),
            self.of(Key::Kind, KINDS),
            self.of(Key::Port, &["null", "5433"]),
            self.of(Key::Interval, &["2s", "200ms"]),
            self.of(Key::FastInterval, &["200ms", "100ms"]),
            self.of(Key::Timeout, &["1s", "500ms"]),
            self.of(Key::Jitter, &["10%", "0%"]),
            self.rise(),
            self.fall(),
            self.lag_max().map_or("null".to_owned(), |seconds| format!("{seconds}s")),
            self.of(
                Key::Eject,
                &["{ failures: 3, for: 10s, max: 300s }", "{ failures: 2, for: 5s, max: 9s }", "off"]
            ),
            self.of(Key::SlowStart, &["0s", "10s"]),
            self.of(Key::OnDown, &["keep", "close"]),
            self.of(Key::OnRoleLoss, &["close", "keep"]),
            self.of(Key::IdleTimeout, &["60s", "90s"]),
            self.of(Key::Balance, &["round_robin", "least_connections", "random"]),
        );
        Config::parse("model", text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

pub(super) fn key() -> impl Strategy<Value = Key> {
    prop::sample::select(KEYS)
}

const KINDS: &[&str] = &["postgres: { user: u }", "postgres: { user: v }", "http: { roles: {} }", "tcp: {}"];
