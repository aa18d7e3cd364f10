//! How much one source may have, as workers see it.

use std::net::IpAddr;
use std::sync::Arc;

use config::{Ranges, Refusal, SourceLimits};

use crate::counter::{Counter, PerWorker};
use crate::sources::{Pace, Scope, SourceBounds, SourceHash, Sources};

/// Limits that hold for each source.
#[derive(Debug)]
pub struct Limits {
    /// Their name in logs and counters.
    pub name: String,
    /// How much a source may have.
    pub bounds: SourceBounds,
    /// What tells their sources from those of other limits.
    pub scope: Scope,
    /// The same, as the config says it.
    pub settings: SourceLimits,
    /// The sources that do not count.
    exempt: Ranges,
    /// What they counted; outlives swaps.
    pub counters: Arc<PerWorker<LimitsCounters>>,
}

/// What happened at limits, as one worker counts it.
#[derive(Debug, Default)]
pub struct LimitsCounters {
    /// Connections that were let in without being counted, as there was no place for their source.
    pub overflow: Counter,
    /// Sources that were forgotten while their arrivals still counted.
    pub evicted: Counter,
}

impl Limits {
    pub(crate) fn build(
        settings: &SourceLimits,
        sources: &Sources,
        workers: usize,
        before: Option<&Self>,
    ) -> Self {
        let bits = [settings.source.v4, settings.source.v6];
        let pace =
            settings.rate.map(|rate| Pace::new(rate.number.get(), rate.period.duration(), settings.burst));
        Self {
            name: settings.name.clone(),
            bounds: SourceBounds { connections: settings.connections_max, pace },
            scope: sources.scope(&settings.name, bits),
            settings: settings.clone(),
            exempt: Ranges::build([settings.exempt.as_slice()].into_iter()),
            counters: before
                .map_or_else(|| Arc::new(PerWorker::new(workers)), |before| Arc::clone(&before.counters)),
        }
    }

    /// The source of a client with this address; none if it does not count.
    pub fn source(&self, sources: &Sources, address: IpAddr) -> Option<SourceHash> {
        self.exempt.find(address).is_none().then(|| sources.hash(self.scope, address))
    }

    /// What happens to clients beyond them.
    pub fn refusal(&self) -> Refusal {
        self.settings.refusal
    }
}
