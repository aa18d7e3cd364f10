//! Load generators, and their reports.

pub(crate) mod generate;
pub(crate) mod iperf3;
pub(crate) mod wrk;

use std::io;
use std::time::Duration;

use crate::measure::{self, Spent};
use crate::peers::Stand;
use crate::process::{self, Beats, Cores, Output};
use crate::workshop::Workshop;

/// The result of a load.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    /// Requests, or bytes if there are none.
    pub(crate) amount: f64,
    /// The same, including those before and after the counted time: they cost as much.
    pub(crate) amount_paid: f64,
    /// The time of the counted ones.
    pub(crate) seconds: f64,
    /// Requests that failed, for any reason.
    pub(crate) failed: u64,
    /// The reported latency.
    pub(crate) latency: Latency,
}

/// Latencies in microseconds, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Latency {
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
}

/// The result of a load, and its cost.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    pub(crate) done: Done,
    pub(crate) spent: Spent,
    /// The balancer's private memory under load, in bytes.
    pub(crate) memory: Option<u64>,
}

/// A load that can be run.
#[derive(Debug)]
pub(crate) struct Load {
    /// Where it runs.
    pub(crate) cores: Cores,
    /// How long it takes, approximately.
    pub(crate) seconds: u32,
    /// The command.
    pub(crate) command: Vec<String>,
    /// The parser of its output.
    pub(crate) parse: fn(&str) -> Result<Done, String>,
}

impl Load {
    /// Runs it on a peer, and measures the cost.
    pub(crate) fn run(&self, workshop: &Workshop, stand: &Stand) -> io::Result<Cost> {
        // Late enough that all needed memory is in use.
        let first = Duration::from_secs(self.seconds.into()).mul_f64(0.7);
        let mut memory = None;
        let mut cost = self.run_while(workshop, stand, Beats { first, period: END_LIMIT }, &mut || {
            memory = stand.pid().map(measure::memory);
            Ok(())
        })?;
        cost.memory = memory.or(cost.memory);
        Ok(cost)
    }

    /// The same with an action at each of the `beats`.
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

/// More than it takes to close open connections, and to wait for late responses.
const END_LIMIT: Duration = Duration::from_secs(30);
