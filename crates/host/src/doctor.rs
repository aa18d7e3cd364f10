//! `rondel doctor`: whether this host has what a configuration needs.
//!
//! `HostFacts` are collected first. `assess` compares them with the configuration and touches nothing.

mod facts; // What is collected. Start here.

mod asking;
mod certificates;
mod user;

mod backends; // Findings, by subject.
mod listeners;
mod paths;
mod probes;
mod resources;

mod finding;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use config::{Config, Warning};

pub use self::finding::{Finding, Level};

use self::facts::HostFacts;
use self::finding::finding;
use crate::limits::Host;

/// What to examine.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The name of the user that rondel runs as, to read files with its rights, which takes root; `None` is the user
    /// of this process.
    pub user: Option<&'a str>,
    /// The file of the configuration, if that user has to read it.
    pub file: Option<&'a Path>,
    /// The number of descriptors that the admin interface may use.
    pub admin_descriptors: usize,
}

/// Examines this host for a balancer with this `config`.
///
/// It binds the address of each listener for a moment, and asks at most 256 backends once: what the probe of the pool
/// asks, or for a connection. At most 32 are asked at a time, for at most a minute in total.
///
/// # Errors
///
/// There is no such user or it takes root to become it, the CPU affinity cannot be read, or no runtime can be created.
pub fn examine(config: Config, request: &Request<'_>) -> io::Result<Vec<Finding>> {
    let host = Host::prepare()?;
    let config = host.adapt(config, |_| false);
    Ok(assess(&config, &HostFacts::collect(&config, host, request)?))
}

/// The findings about a host with these `facts`, for a balancer with this `config`.
fn assess(config: &Config, facts: &HostFacts) -> Vec<Finding> {
    let mut findings = resources::assess(config, facts);
    findings.extend(backends::assess_ports(config, facts));
    findings.extend(listeners::assess(facts));
    findings.extend(backends::assess(config, facts));
    findings.extend(facts.found.probes.iter().map(|fact| probes::assess(fact, facts.now)));
    findings.extend(paths::assess(facts));
    findings.extend(facts.warnings.iter().map(warning));
    findings
}

fn warning(Warning { subject, found, cure }: &Warning) -> Finding {
    finding(Level::Warn, subject, found, cure)
}
