//! Programs that make load, and what they say of it.

pub(crate) mod generate;
pub(crate) mod iperf3;
pub(crate) mod wrk;

use std::io;
use std::time::Duration;

use crate::measure::{self, Spent};
use crate::peers::Stand;
use crate::process::{self, Beats, Cores, Output};
use crate::workshop::Workshop;

/// What the load did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    /// Requests, or bytes where there are none.
    pub(crate) amount: f64,
    /// The same, with those before and after that are not counted: they cost as much.
    pub(crate) amount_paid: f64,
    /// In how long the first were done.
    pub(crate) seconds: f64,
    /// Requests that failed, for whatever reason.
    pub(crate) failed: u64,
    /// What the program says of latency.
    pub(crate) latency: Latency,
}

/// Latencies in microseconds, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Latency {
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
}

/// What a load did, and what that cost.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    pub(crate) done: Done,
    pub(crate) spent: Spent,
    /// The balancer's own memory, in bytes, while it worked.
    pub(crate) memory: Option<u64>,
}

/// A load that can be run.
#[derive(Debug)]
pub(crate) struct Load {
    /// Where it runs.
    pub(crate) cores: Cores,
    /// How long it takes, about.
    pub(crate) seconds: u32,
    /// What is started.
    pub(crate) command: Vec<String>,
    /// What understands what that prints.
    pub(crate) parse: fn(&str) -> Result<Done, String>,
}

impl Load {
    /// Runs it on a peer, and measures that.
    pub(crate) fn run(&self, workshop: &Workshop, stand: &Stand) -> io::Result<Cost> {
        // Late enough that all memory it needs is in use.
        let first = Duration::from_secs(self.seconds.into()).mul_f64(0.7);
        let mut memory = None;
        let mut cost = self.run_while(workshop, stand, Beats { first, period: END_LIMIT }, &mut || {
            memory = stand.pid().map(measure::memory);
            Ok(())
        })?;
        cost.memory = memory.or(cost.memory);
        Ok(cost)
    }

    /// The same, and does something at each of the `beats` meanwhile.
    pub(crate) fn run_while(
        &self,
        workshop: &Workshop,
        stand: &Stand,
        beats: Beats,
        act: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<Cost> {
        let before = Spent::now(stand.pid());
        let mut process = workshop.start("load", stand.clients(self.cores), &self.command, Output::Piped)?;
        let limit = Duration::from_secs(self.seconds.into()) + END_LIMIT;
        let printed = process::output(&mut process, limit, beats, act)?;
        let spent = Spent::now(stand.pid()).since(before);
        let done =
            (self.parse)(&printed).map_err(|error| process.failure(&format!("said {printed:?}: {error}")))?;
        if done.amount <= 0.0 || done.seconds <= 0.0 {
            return Err(process.failure(&format!("did nothing: {printed}")));
        }
        Ok(Cost { done, spent, memory: stand.pid().map(measure::memory) })
    }
}

/// More than it takes to close what is open, and to wait for what does not answer.
const END_LIMIT: Duration = Duration::from_secs(30);
