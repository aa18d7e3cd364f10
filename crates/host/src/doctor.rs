//! `rondel doctor`: whether this host has what a configuration needs.
//!
//! `HostFacts` are collected first. `assess` compares them with the configuration and touches nothing.

mod facts; // What is collected. Start here.

mod backends; // Findings, by subject.
mod listeners;
mod paths;
mod probes;
mod resources;

mod finding;

#[cfg(test)]
mod tests;

use std::io;

use config::{Config, Warning};

pub use self::finding::{Finding, Level};

use self::facts::HostFacts;
use self::finding::finding;
use crate::limits::Host;

/// Examines this host for a balancer with this `config`.
///
/// # Errors
///
/// The CPU affinity cannot be read, or no runtime can be created.
pub fn examine(config: Config, admin_descriptors: usize) -> io::Result<Vec<Finding>> {
    let host = Host::prepare()?;
    let config = host.adapt(config, |_| false);
    Ok(assess(&config, &HostFacts::collect(&config, host, admin_descriptors)?))
}

/// The findings about a host with these `facts`, for a balancer with this `config`.
fn assess(config: &Config, facts: &HostFacts) -> Vec<Finding> {
    let mut findings = resources::assess(config, facts);
    findings.extend(backends::assess_ports(config, facts));
    findings.extend(listeners::assess(facts));
    findings.extend(backends::assess(config, facts));
    findings.extend(facts.probes.iter().map(probes::assess));
    findings.extend(paths::assess(facts));
    findings.extend(facts.warnings.iter().map(warning));
    findings
}

fn warning(Warning { subject, found, cure }: &Warning) -> Finding {
    finding(Level::Warn, subject, found, cure)
}
