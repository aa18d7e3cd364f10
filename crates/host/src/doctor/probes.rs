//! Local inputs of probes: passwords and certificates. Without them a probe is inconclusive.

use config::Config;
use health::{Local, Place, local};

use super::finding::{Finding, Level, finding, ok};

/// A local input of the probes of a pool.
#[derive(Debug)]
pub(super) struct ProbeFact {
    pub(super) pool: String,
    pub(super) local: Local,
}

/// Reads the local inputs as probes do.
pub(super) async fn collect(config: &Config) -> Vec<ProbeFact> {
    let mut facts = Vec::new();
    for pool in &config.pools {
        let Some(probe) = &pool.probe else { continue };
        let fact = |local| ProbeFact { pool: pool.name.clone(), local };
        facts.extend(local(&probe.kind).await.into_iter().map(fact));
    }
    facts
}

pub(super) fn assess(fact: &ProbeFact) -> Finding {
    let ProbeFact { pool, local: Local { what, place, error } } = fact;
    let subject = format!("{what} of pool {pool}");
    match (error, place) {
        (None, _) => ok(subject, format!("{place} can be read")),
        // The unit may set it in an environment that this process does not have.
        (Some(error), Place::Variable(name)) => finding(
            Level::Warn,
            subject,
            error,
            format!(
                "set {name} in the environment of rondel (`EnvironmentFile=` in the unit), and in that of `rondel doctor` \
                 for this check"
            ),
        ),
        (Some(error), Place::File(_)) => finding(
            Level::Fail,
            subject,
            error,
            "make the file readable for the user that rondel runs as; until then probes are inconclusive",
        ),
    }
}
