//! Whether what probes read on this host is there: passwords and certificates. Without them a probe says nothing of a backend.

use config::Config;
use health::{Local, Place, local};

use super::{Finding, Level, finding, ok};

/// Something that the probes of a pool read.
#[derive(Debug)]
pub(super) struct ProbeFact {
    pub(super) pool: String,
    pub(super) local: Local,
}

/// Reads them as probes do.
pub(super) async fn read(config: &Config) -> Vec<ProbeFact> {
    let mut facts = Vec::new();
    for pool in &config.pools {
        let Some(probe) = &pool.probe else { continue };
        let fact = |local| ProbeFact { pool: pool.name.clone(), local };
        facts.extend(local(&probe.kind).await.into_iter().map(fact));
    }
    facts
}

pub(super) fn judge(fact: &ProbeFact) -> Finding {
    let ProbeFact { pool, local: Local { what, place, error } } = fact;
    let subject = format!("{what} of pool {pool}");
    match (error, place) {
        (None, _) => ok(subject, format!("{place} can be read")),
        // Only a unit's own environment says whether it is there.
        (Some(error), Place::Variable(name)) => finding(
            Level::Warn,
            subject,
            error,
            format!(
                "set {name} where rondel starts (`EnvironmentFile=` in the unit), and for `rondel doctor`, to have it looked at"
            ),
        ),
        (Some(error), Place::File(_)) => finding(
            Level::Fail,
            subject,
            error,
            "give the user that rondel runs as a file that it can read; until then probes say nothing of the backends",
        ),
    }
}
