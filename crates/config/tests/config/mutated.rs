//! Any input gets an answer, soon, and without a panic.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::hash::Hash;
use std::time::{Duration, Instant};

use config::{AccessLog, AdminSocket, Balance, Config, LogTarget, TargetRole, Tier};
use proptest::prelude::*;

use crate::bad::{self, consistent};
use crate::good;

proptest! {
    #[test]
    fn bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
        parse(&text);
    }

    #[test]
    fn yaml_like(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        parse(words.concat().as_bytes());
    }

    #[test]
    fn slips(seed in any::<u64>()) {
        let texts = texts();
        parse(&mutate(&texts, &mut Dice(seed)));
    }
}

/// The same for a minute: `RONDEL_LONG=1 cargo test -p config`; `RONDEL_SEED=...` repeats one input.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn slips_for_a_minute() {
    let texts = texts();
    if let Ok(seed) = env::var("RONDEL_SEED") {
        let text = mutate(&texts, &mut Dice(seed.parse().expect("RONDEL_SEED is a number")));
        eprintln!("{}", String::from_utf8_lossy(&text));
        return parse(&text);
    }
    if env::var_os("RONDEL_LONG").is_none() {
        return;
    }
    let start = Instant::now();
    let (mut right, mut wrong) = (0_u64, 0_u64);
    for seed in 0.. {
        if start.elapsed() > Duration::from_secs(60) {
            break;
        }
        let announce = Announce(seed);
        let text = mutate(&texts, &mut Dice(seed));
        let began = Instant::now();
        match Config::parse("rondel.yaml", &text) {
            Ok(config) => {
                right += 1;
                sound(&config);
            }
            Err(error) => {
                wrong += 1;
                consistent(&error, &text);
            }
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        drop(announce);
    }
    eprintln!("{right} inputs were right, {wrong} were wrong");
    assert!(right > 0);
    assert!(wrong > 0);
}

fn parse(text: &[u8]) {
    match Config::parse("rondel.yaml", text) {
        Ok(config) => sound(&config),
        Err(error) => consistent(&error, text),
    }
}

/// Checks the properties that other crates rely on.
#[track_caller]
fn sound(config: &Config) {
    let Config { runtime, admin, access_log, access, limits, listeners, pools } = config;
    if let AdminSocket::At(path) = &admin.socket {
        assert!(path.is_absolute());
        assert!(path.as_os_str().len() <= 90);
    }
    if let Some(AccessLog { to: LogTarget::File(path) | LogTarget::Syslog(path), .. }) = access_log {
        assert!(path.is_absolute());
    }
    assert!(runtime.drain_timeout <= Duration::from_secs(24 * 3600));
    assert!((1..=1024).contains(&listeners.len()));
    assert!((1..=1024).contains(&pools.len()));
    distinct(listeners.iter().map(|listener| &listener.name));
    distinct(config.listen_addresses().map(|(_, address)| address));
    assert!(config.listen_addresses().all(|(_, address)| address.port() != 0));
    assert!(admin.http.is_none_or(|http| http.address.port() != 0));
    distinct(pools.iter().map(|pool| &pool.name));
    distinct(access.iter().map(|list| &list.name));
    distinct(limits.iter().map(|limits| &limits.name));
    for list in access {
        assert!((1..=1000).contains(&list.rules.len()));
        assert!(list.ranges.deciding(list.rules.len()).len() == list.rules.len());
    }
    for limits in limits {
        assert!(limits.connections_max.is_some() || limits.rate.is_some());
        assert!(limits.burst > 0 && limits.source.v4 <= 32 && limits.source.v6 <= 128);
        let burst = limits.rate.map_or(Duration::ZERO, |rate| rate.interval() * limits.burst);
        assert!(burst <= Duration::from_secs(600));
    }
    for listener in listeners {
        assert!(listener.access.is_none_or(|index| index.0 < access.len()));
        assert!(listener.limits.is_none_or(|index| index.0 < limits.len()));
        assert!(listener.pool.0 < pools.len());
        assert!((1..=65_535).contains(&listener.backlog));
        assert!(listener.connections_max > 0);
        assert!(!listener.v6only || listener.addresses.iter().any(|listen| listen.address.is_ipv6()));
        distinct(listener.routing.routes.iter().map(|route| &route.name));
        assert!(listener.pools().iter().all(|pool| pool.0 < pools.len()));
        if listener.target_role != TargetRole::Any {
            for pool in listener.pools().iter().map(|pool| &pools[pool.0]) {
                assert!(pool.probe.as_ref().is_some_and(|probe| probe.tells_roles()));
                assert!(pool.backends.iter().all(|backend| backend.tier == Tier::Active));
            }
        }
    }
    for pool in pools {
        assert!((1..=10_000).contains(&pool.backends.len()));
        assert!((1..=16).contains(&pool.attempts));
        assert!(!pool.connect_timeout.is_zero());
        assert!(!pool.idle_timeout.is_zero());
        assert!(!pool.half_closed_timeout.is_zero());
        for time in [pool.keepalive.idle, pool.keepalive.interval] {
            assert!((1..=32_767).contains(&time.as_secs()));
            assert_eq!(time.subsec_nanos(), 0);
        }
        assert!((1..=127).contains(&pool.keepalive.probes));
        distinct(pool.backends.iter().map(|backend| &backend.name));
        distinct(pool.backends.iter().map(|backend| backend.address));
        let active = pool.backends.iter().filter(|backend| backend.tier == Tier::Active).count();
        assert!((1..=active).contains(&usize::from(pool.tiers.active_min)));
        assert!(pool.eject.is_none_or(|eject| eject.failures > 0 && eject.base <= eject.cap));
        assert!(pool.slow_start.is_zero() || pool.balance != Balance::Maglev);
        if let Some(probe) = &pool.probe {
            assert_eq!(probe.source, pool.source);
            assert!(probe.rhythm.interval_in_transition <= probe.rhythm.interval);
            assert!(!probe.rhythm.interval_in_transition.is_zero() && !probe.rhythm.timeout.is_zero());
            assert!(probe.thresholds.rise > 0 && probe.thresholds.fall > 0);
            assert!(probe.rhythm.jitter_percent <= 50);
        }
        for backend in &pool.backends {
            assert!(!backend.address.ip().is_unspecified());
            assert_ne!(backend.address.port(), 0);
            assert!(backend.weight <= 256);
            assert!(pool.source.is_none_or(|source| source.is_ipv4() == backend.address.is_ipv4()));
        }
    }
    let described = config.to_string();
    assert!(!described.chars().any(|character| character.is_control() && character != '\n'), "{described:?}");
}

#[track_caller]
fn distinct<T: Eq + Hash>(items: impl Iterator<Item = T>) {
    let mut seen = HashSet::new();
    for item in items {
        assert!(seen.insert(item));
    }
}

/// Prints the seed if the thread panics.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("RONDEL_SEED={}", self.0);
        }
    }
}

/// A text with a few mistakes in it.
fn mutate(texts: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut text = dice.pick(texts).clone();
    for _ in 0..dice.below(6) {
        let at = dice.below(text.len() + 1);
        let end = (at + 1 + dice.below(12)).min(text.len());
        match dice.below(7) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, dice.pick(WORDS).bytes())),
            2 => drop(text.splice(at..end, dice.pick(WORDS).bytes())),
            3 => text.insert(at, u8::try_from(dice.below(256)).expect("a byte")),
            4 => {
                // A piece of another text.
                let other = dice.pick(texts);
                let from = dice.below(other.len() + 1);
                let until = (from + dice.below(80)).min(other.len());
                drop(text.splice(at..at, other[from..until].iter().copied()));
            }
            5 => {
                // A piece of itself, repeated.
                let piece = text[at..end].to_vec();
                drop(text.splice(at..at, piece.repeat(dice.below(40))));
            }
            _ => text.truncate(at),
        }
    }
    text
}

/// Chance from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % end as u64).expect("less than a usize")
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn texts() -> Vec<Vec<u8>> {
    // Few inputs are valid, and one mistake often makes them invalid: they are used as often as the others.
    let (bad, good) = (bad::files(), good::files());
    let good = good.iter().cycle().take(bad.len()).cloned().collect::<Vec<_>>();
    bad.into_iter().chain(good).map(|path| fs::read(path).unwrap()).collect()
}

/// Parts of YAML and of the format.
const WORDS: &[&str] = &[
    "version",
    "runtime",
    "workers",
    "auto",
    "max_connections",
    "drain_timeout",
    "listeners",
    "name",
    "address",
    "pool",
    "routes",
    "sni",
    "alpn",
    "unknown",
    "silent",
    "*.example.com",
    "backlog",
    "freebind",
    "v6only",
    "pools",
    "balance",
    "round_robin",
    "connect_timeout",
    "attempts",
    "keepalive",
    "idle",
    "source",
    "backends",
    "weight",
    "role",
    "probe",
    "tcp",
    "http",
    "postgres",
    "exchange",
    "expect",
    "tier",
    "backup",
    "eject",
    "off",
    "16MiB",
    "10%",
    "200-399",
    "true",
    "null",
    "~",
    "1",
    "0",
    "-1",
    "99999999999999999999",
    "5s",
    "1h",
    "10.0.0.1:80",
    "\"[::]:80\"",
    ":80",
    ": ",
    ":",
    "- ",
    "-",
    "\n",
    "\n  ",
    "\n    ",
    "\n\t",
    "\t",
    " ",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "!t ",
    "!!str ",
    "|",
    ">",
    "---\n",
    "...\n",
    "? ",
    "%YAML 1.2\n",
    "\r\n",
    "\r",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "é",
    "\u{1f600}",
    "\u{0}",
    "\u{1b}",
    "\\x41",
    "\\",
    "web",
    "a",
    "'off'",
    "False",
    "\"100\"",
    "1d",
    "maxconn",
    "upstream web {",
    "server a;",
    "global\n",
    "{{ a }}",
    "${A}",
    "[::1]:80",
    "*:80",
];
