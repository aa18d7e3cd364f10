//! Configs for tests, in a few words.

use std::net::SocketAddr;
use std::time::Duration;

use config::{Backend, Config, Listener, Pool, PoolIndex, TargetRole};

use crate::evictions::Evictions;
use crate::pool::PoolSources;
use crate::{BackendIndex, Dice, Picked};

pub(crate) fn config(listeners: Vec<Listener>, pools: Vec<Pool>) -> Config {
    Config { listeners, pools, ..defaults() }
}

pub(crate) fn listener(name: &str, address: &str, pool: usize) -> Listener {
    Listener {
        name: name.to_owned(),
        addresses: vec![address.parse::<SocketAddr>().unwrap().into()],
        pool: PoolIndex(pool),
        backlog: 16,
        connections_max: 100,
        ..defaults().listeners.remove(0)
    }
}

/// A pool of backends `LETTER WEIGHT`; `a` is 10.0.0.1:80, `b` is 10.0.0.2:80, and so on.
pub(crate) fn pool(name: &str, backends: &[&str]) -> Pool {
    Pool {
        name: name.to_owned(),
        backends: backends.iter().map(|words| backend(words)).collect(),
        ..defaults().pools.remove(0)
    }
}

fn backend(words: &str) -> Backend {
    let (name, weight) = words.split_once(' ').unwrap();
    let backend = defaults().pools.remove(0).backends.remove(0);
    Backend { name: name.to_owned(), address: address(name), weight: weight.parse().unwrap(), ..backend }
}

/// The address of the backend of this letter.
pub(crate) fn address(letter: &str) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, letter.as_bytes()[0] - b'a' + 1], 80))
}

/// What a file means that says the least.
fn defaults() -> Config {
    Config::forward(address("a"), &[address("a")])
}

/// A pick without a target role, with the permit kept.
pub(crate) fn pick(pool: &crate::Pool, tried: &[BackendIndex]) -> Option<BackendIndex> {
    match pool.pick(TargetRole::Any, tried, &mut Dice::new(0), || unreachable!("only maglev asks")) {
        Picked::Backend(index) => Some(index),
        Picked::Full | Picked::None => None,
    }
}

/// The pool of this config, all backends in an unknown state.
pub(crate) fn build(pool: &Pool) -> crate::Pool {
    let sources =
        PoolSources { workers: 1, inputs: None, drain_timeout: Duration::ZERO, before: None, removed: &[] };
    crate::Pool::build(pool, &sources, &mut Evictions::default()).0
}
