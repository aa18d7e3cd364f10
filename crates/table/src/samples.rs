//! Configs for tests, in a few words.

use std::net::SocketAddr;
use std::time::Duration;

use config::{
    Backend, Balance, Config, ConnectionsMax, Keepalive, Listener, Pool, PoolIndex, Runtime, Workers,
};

pub(crate) fn config(listeners: Vec<Listener>, pools: Vec<Pool>) -> Config {
    Config {
        runtime: Runtime {
            workers: Workers::Auto,
            connections_max: ConnectionsMax::Auto,
            drain_timeout: Duration::from_secs(30),
        },
        listeners,
        pools,
    }
}

pub(crate) fn listener(name: &str, address: &str, pool: usize) -> Listener {
    Listener {
        name: name.to_owned(),
        address: address.parse().unwrap(),
        pool: PoolIndex(pool),
        backlog: 16,
        connections_max: 100,
        freebind: false,
        v6only: false,
    }
}

/// A pool of backends `LETTER WEIGHT`; `a` is 10.0.0.1:80, `b` is 10.0.0.2:80, and so on.
pub(crate) fn pool(name: &str, backends: &[&str]) -> Pool {
    Pool {
        name: name.to_owned(),
        balance: Balance::RoundRobin,
        connect_timeout: Duration::from_secs(3),
        attempts: 3,
        idle_timeout: Duration::from_secs(3_600),
        half_closed_timeout: Duration::from_secs(60),
        keepalive: Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 },
        source: None,
        backends: backends.iter().map(|words| backend(words)).collect(),
    }
}

fn backend(words: &str) -> Backend {
    let (name, weight) = words.split_once(' ').unwrap();
    let number = name.as_bytes()[0] - b'a' + 1;
    Backend {
        name: name.to_owned(),
        address: SocketAddr::from(([10, 0, 0, number], 80)),
        weight: weight.parse().unwrap(),
    }
}
