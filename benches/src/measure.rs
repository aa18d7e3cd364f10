//! The consumption of a balancer and of the machine between two moments.

use std::fs;
use std::time::Duration;

use crate::proc::{self, Busy, StatCpu};
use crate::process::Cores;

/// Counters of a balancer and of the machine at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// CPU time of a balancer's threads, over all its processes.
    pub(crate) cpu: Duration,
    /// Voluntary context switches of its threads. Those of ended processes are missing.
    pub(crate) switches_voluntary: u64,
    /// Involuntary context switches of its threads.
    pub(crate) switches_forced: u64,
    /// CPU time of the whole machine, including kernel work of no process, and neighbours.
    pub(crate) machine: Duration,
    /// How busy the core of load and backends was. If it is busy all the time, latency measures the wait for it,
    /// whatever balances.
    pub(crate) load_core: Busy,
}

impl Spent {
    /// The current counters; `pid` is the balancer's first process, if it has one.
    pub(crate) fn now(pid: Option<u32>) -> Self {
        let mut spent = pid.map(Self::of).unwrap_or_default();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        spent.machine = Busy::of(&stat, "cpu").busy;
        spent.load_core = Busy::of(&stat, &format!("cpu{}", Cores::Load.list()));
        spent
    }

    fn of(pid: u32) -> Self {
        let mut spent = Self::default();
        for one in proc::tree(pid) {
            let mut living = Duration::ZERO;
            for task in proc::tasks(one) {
                living += schedstat(&task);
                let status = fs::read_to_string(format!("{task}/status")).unwrap_or_default();
                spent.switches_voluntary += proc::status_number(&status, "voluntary_ctxt_switches");
                spent.switches_forced += proc::status_number(&status, "nonvoluntary_ctxt_switches");
            }
            // Exact to the nanosecond, but without ended threads, such as io_uring's kernel threads; those are in
            // the other one, which is exact to two ticks.
            let StatCpu { own, children } =
                StatCpu::of(&fs::read_to_string(format!("/proc/{one}/stat")).unwrap_or_default());
            spent.cpu += if own > living + TWO_TICKS { own } else { living };
            // Workers that a reload has replaced.
            spent.cpu += children;
        }
        spent
    }

    /// The difference to `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            switches_voluntary: self.switches_voluntary.saturating_sub(earlier.switches_voluntary),
            switches_forced: self.switches_forced.saturating_sub(earlier.switches_forced),
            machine: self.machine.saturating_sub(earlier.machine),
            load_core: Busy {
                busy: self.load_core.busy.saturating_sub(earlier.load_core.busy),
                all: self.load_core.all.saturating_sub(earlier.load_core.all),
            },
        }
    }
}

/// A balancer's private memory in bytes: of all its processes, without the program itself.
pub(crate) fn memory(pid: u32) -> u64 {
    let own = |pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        proc::status_number(&status, "RssAnon") + proc::status_number(&status, "RssShmem")
    };
    proc::tree(pid).into_iter().map(own).sum::<u64>() * 1024
}

/// The run time of a thread, which is the first number there, in nanoseconds.
fn schedstat(task: &str) -> Duration {
    let schedstat = fs::read_to_string(format!("{task}/schedstat")).unwrap_or_default();
    Duration::from_nanos(
        schedstat.split_whitespace().next().and_then(|spent| spent.parse().ok()).unwrap_or(0),
    )
}

const TWO_TICKS: Duration = Duration::from_millis(20);
