//! Configurations and tables for measurements. They are parsed from YAML, as in production.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use config::{Config, TargetRole};
use driver::{ListenGroup, Owner};
use table::{BackendIndex, Dice, Picked, Pool, Table};

/// The maximum number of backends of a pool.
pub(crate) const MANY: usize = 10_000;

/// One listener, and a pool of this many backends with equal weight.
pub(crate) fn config(backends: usize) -> Config {
    parse(&yaml(backends))
}

/// The same with another balancing policy.
pub(crate) fn config_by(policy: &str, backends: usize) -> Config {
    parse(&yaml(backends).replace("  - name: web\n", &format!("  - name: web\n    balance: {policy}\n")))
}

/// The text of [`config`].
pub(crate) fn yaml(backends: usize) -> String {
    let mut yaml = String::from(
        "listeners:\n  - address: \"127.0.0.1:8080\"\n    pool: web\npools:\n  - name: web\n    backends:\n",
    );
    for number in 0..backends {
        let (high, low) = (number / 250, number % 250 + 1);
        writeln!(yaml, "      - address: \"10.0.{high}.{low}:80\"").expect("a string takes everything");
    }
    yaml
}

/// The configuration in `yaml`.
pub(crate) fn parse(yaml: &str) -> Config {
    Config::parse("sample.yaml", yaml.as_bytes()).expect("the sample is a configuration")
}

/// The table of `config`, which takes over state from `previous`.
pub(crate) fn table(config: &Config, previous: Option<&Table>) -> Table {
    // A reload passes on the sockets of listeners that stayed.
    let sockets = previous.map_or_else(
        || config.listeners.iter().map(|_| Arc::new(ListenGroup::new(Vec::new(), Owner::Process))).collect(),
        |table| table.sockets().map(Arc::clone).collect(),
    );
    Table::build(config, sockets, WORKERS, None, previous)
}

/// A pick for any role; it stays counted.
pub(crate) fn pick(pool: &Pool, tried: &[BackendIndex]) -> Option<BackendIndex> {
    let client = || IpAddr::from([192, 0, 2, 1]);
    match pool.pick(TargetRole::Any, tried, &mut Dice::new(0), client) {
        Picked::Backend(index) => Some(index),
        Picked::Full | Picked::None => None,
    }
}

/// A host of usual size.
const WORKERS: usize = 8;
