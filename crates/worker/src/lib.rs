//! The data plane: one pinned thread per worker, each with its own ring, sockets, slots and timers.

mod worker; // The loop, and the life of a connection. Start here.

mod core; // What every part works with,
mod places;
mod screening;
mod slots; // the connections in it,
mod state; // and what is true of each.

mod acceptor; // The parts: where clients come from,

mod opening; // where they show themselves,

mod waiting; // where they wait for a backend,

mod refused_sources;
mod relay; // how their bytes go,

mod record; // and what is recorded of them.

mod hangup; // Of relays, and of clients that wait.
mod held_acks;
mod idle;
mod pipes;

mod asked; // What clients say about themselves.
mod introduction;

mod balancer; // Between workers, and with control.
mod query;
mod view;

mod stats;
mod timers;
mod token;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use driver::{BUFFERS_MAX, Driver, SetupError, Waker};
use rustix::thread::{CpuSet, sched_setaffinity};
use table::{PerWorker, Published, Semaphore, WorkerCounters};

pub use crate::asked::Asked;
pub use crate::balancer::Balancer;
pub use crate::introduction::Introduction;
pub use crate::query::{
    ConnectionAction, ConnectionFilter, ConnectionQuery, Listed, QUERIES_MAX, QueryReceiver, QueryResult,
    QuerySender,
};
pub use crate::record::{RECORDS_MAX, Record, Recorder, Records};
pub use crate::stats::{ConnectionStats, Micros};
pub use crate::worker::Worker;

// For the simulated kernel: it turns workers itself and looks into them in between.
pub use crate::acceptor::Mode;
pub use crate::pipes::PIPES_WARM_MAX;
pub use crate::state::{Ack, WaitFor};
pub use crate::view::{ConnectionView, StateView, WorkerView};

// For the micro-benchmarks alone.
pub use crate::timers::Timers;

/// What one worker is started with.
pub struct Settings {
    /// Its number, from 0; the index of its listening sockets, counters and waker.
    pub index: usize,
    /// The CPU it is pinned to; none leaves it to the scheduler.
    pub cpu: Option<usize>,
    /// How many connections all workers together may hold. Each has slots for all of them, as the kernel's hash
    /// may give one worker more than its share; slots that are never used cost address space only.
    pub connections_max: u32,
    /// How many receive buffers it may have, at least [`driver::BUFFERS_MIN`]: where memory is limited, they are
    /// fewer.
    pub buffers_max: u32,
    /// Permits of the process, one for each connection, shared by all workers.
    pub semaphore: Arc<Semaphore>,
    /// Its end of what workers give each other.
    pub balancer: Balancer,
    /// Its end of what control asks.
    pub queries: QueryReceiver,
    /// How many pipes it may have for splicing; at the bound it copies.
    pub pipes_max: u32,
    /// Where all workers count what they do, by index.
    pub counters: Arc<PerWorker<WorkerCounters>>,
    /// Where it puts records of connections that have ended.
    pub recorder: Recorder,
    /// The wakers of all workers, by index.
    pub wakers: Arc<[Waker]>,
    /// Wakes control: connects to a backend have failed as often in a row as its pool ejects it for
    /// ([`Backend::failures_in_a_row`](table::Backend::failures_in_a_row)).
    pub control: Arc<Waker>,
    /// Where tables are published.
    pub published: Arc<Published>,
}

/// Why a worker ended when it was not asked to.
#[derive(Debug)]
pub struct WorkerError(pub std::io::Error);

impl std::fmt::Display for WorkerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "io_uring_enter failed: {}", self.0)
    }
}

impl std::error::Error for WorkerError {}

/// Starts a worker on its own thread, named `rondel-N`, and returns once its driver is set up. `driver` makes that,
/// from the number of receive buffers, the wakers of all workers, and the index of this one, such as
/// `driver::Uring::new`.
///
/// It serves whatever table is published, and ends when a table says that the process drains and its last
/// connection has ended; `on_end` is then called from its thread, once.
///
/// # Errors
///
/// The kernel lacks something, or forbids it: the error names it, with its cause and its cure.
pub fn spawn<D: Driver>(
    settings: Settings,
    driver: impl FnOnce(u32, Arc<[Waker]>, usize) -> Result<D, SetupError> + Send + 'static,
    on_end: impl FnOnce(Result<(), WorkerError>) + Send + 'static,
) -> Result<(), SetupError> {
    let (report, reported) = sync_channel(1);
    let index = settings.index;
    let body = move || {
        if let Some(cpu) = settings.cpu {
            pin(cpu);
        }
        let buffers = buffers_for(settings.connections_max).min(settings.buffers_max);
        // A ring belongs to the thread that made it, so this is the thread to make it.
        let driver = match driver(buffers, Arc::clone(&settings.wakers), settings.index) {
            Ok(driver) => driver,
            Err(error) => return drop(report.send(Err(error))),
        };
        let worker = Worker::new(driver, settings, buffers);
        drop(report.send(Ok(())));
        on_end(worker.run().map_err(|errno| WorkerError(errno.into())));
    };
    std::thread::Builder::new().name(format!("rondel-{index}")).spawn(body).map_err(|error| SetupError {
        step: "clone",
        error,
        cure: "A thread for a worker could not be had: raise the limit on processes (`ulimit -u`, \
            `TasksMax=` in a systemd unit) or lower `runtime.workers`."
            .to_owned(),
    })?;
    reported.recv().expect("the thread reports before it does anything else")
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    // A worker that may not be pinned, or whose CPU has just gone offline, works without.
    if let Err(errno) = sched_setaffinity(None, &set) {
        log::warn!("a worker could not be pinned to CPU {cpu}: {errno}");
    }
}

/// Receive buffers of a worker. They cost memory only once used: this is the bound on what readers that read
/// nothing can make it hold.
fn buffers_for(connections_max: u32) -> u32 {
    connections_max.saturating_mul(BUFFERS_PER_CONNECTION).clamp(BUFFERS_MIN, BUFFERS_MAX)
}

/// Both directions of a connection queue up to 64 KiB, in buffers of 32 KiB.
const BUFFERS_PER_CONNECTION: u32 = 4;

/// What even a small worker gets, so that a burst on one connection does not starve another.
const BUFFERS_MIN: u32 = 1024;
