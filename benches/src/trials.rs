//! One measurement of one peer, which is started, loaded, and ended. One file for each kind of work, and one for
//! connections that are held beside it.

pub(crate) mod held;
pub(crate) mod idle;
pub(crate) mod reload;
pub(crate) mod requests;
pub(crate) mod streams;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::backends::{Backends, local};
use crate::figures::{Figure, Figures};
use crate::load::Cost;
use crate::namespace::Namespace;
use crate::peers::{Guard, Peer, Stand, Task, Watch};
use crate::process::Cores;
use crate::workshop::Workshop;

/// What a trial needs and what outlives it.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) workshop: &'a Workshop,
    /// The backends of peers.
    pub(crate) here: Backends,
    /// The same for the peer in the kernel.
    pub(crate) inside: Option<(&'a Namespace, Backends)>,
}

impl Ground<'_> {
    /// The task of `peer`, on one core with one worker.
    fn task(&self, peer: Peer) -> Task<'_> {
        let (namespace, backends) = match (&self.inside, peer) {
            (Some((namespace, backends)), Peer::Kernel) => (Some(*namespace), backends),
            _ => (None, &self.here),
        };
        Task {
            address: address(peer),
            backends: &backends.addresses,
            workers: 1,
            cores: Cores::Balancer,
            reloads: false,
            watch: Watch::Default,
            guard: Guard::None,
            namespace,
        }
    }

    fn start(&self, peer: Peer) -> io::Result<Stand> {
        peer.start(self.workshop, &self.task(peer))
    }
}

/// Each has its own, so that no state of another one is left in the kernel.
fn address(peer: Peer) -> SocketAddr {
    local(21010 + peer as u16)
}

/// The figures of every load; `units` is the number of units of work in one of its amount.
fn figures(cost: &Cost, units: f64) -> Figures {
    let paid = cost.done.amount_paid * units;
    let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / paid;
    let load_core = cost.spent.load_core;
    let mut figures = Figures::from([
        (Figure::Throughput, cost.done.amount * units / cost.done.seconds),
        (Figure::MachineUs, micros(cost.spent.machine)),
        (Figure::LoadCorePercent, 100.0 * load_core.busy.as_secs_f64() / load_core.all.as_secs_f64()),
        (Figure::Failed, count(cost.done.failed)),
    ]);
    // Without memory there is no process.
    if let Some(memory) = cost.memory {
        let switches = cost.spent.switches_voluntary + cost.spent.switches_forced;
        figures.extend([
            (Figure::CpuUs, micros(cost.spent.cpu)),
            (Figure::Switches, count(switches) / paid),
            (Figure::SwitchesForced, count(cost.spent.switches_forced) / paid),
            (Figure::Memory, count(memory)),
        ]);
    }
    let latency = cost.done.latency;
    let latencies =
        [(Figure::P50Us, latency.p50), (Figure::P99Us, latency.p99), (Figure::P999Us, latency.p999)];
    figures.extend(latencies.into_iter().filter_map(|(figure, value)| Some((figure, value?))));
    figures
}

#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}
