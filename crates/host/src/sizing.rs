//! How many workers, connections and pipes: pure arithmetic on what the config says and the host gives.

use config::{ConnectionsMax, Runtime, Workers};

use crate::limits::Host;

/// The sizes that hold from start to end: a reload does not change them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// By worker: the CPU it is pinned to; none leaves it to the scheduler.
    pub cpus: Vec<Option<usize>>,
    /// How many connections all workers together may hold. Each worker has room for all of them, because the
    /// kernel spreads connections unevenly; memory that is not touched is not paid for.
    pub connections_max: u32,
    /// How many pipes each worker may have for splicing; at the bound it copies.
    pub pipes_per_worker: u32,
    /// How many receive buffers each worker may have: as many as memory allows.
    pub buffers_per_worker: u32,
    /// The number of connections that was configured, where it is more than the descriptors allow.
    pub clipped_from: Option<u32>,
}

/// A limit of the process does not allow what is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLittle {
    /// The limit of open files does not allow a single connection.
    Descriptors {
        /// How many the process may have.
        limit: u64,
        /// How many it takes to hold one connection.
        needed: u64,
    },
    /// The limit of memory does not allow what workers take before the first connection.
    Memory {
        /// How many bytes the process may take yet.
        left: u64,
        /// How many it needs.
        needed: u64,
    },
}

impl Sizes {
    /// The sizes for these settings on this host, with so many `listeners`, as many `probes` at the same time, and so many
    /// descriptors for the `admin` interface.
    pub fn new(
        runtime: &Runtime,
        listeners: usize,
        probes: usize,
        admin: usize,
        host: &Host,
    ) -> Result<Self, TooLittle> {
        let cpus = cpus(runtime.workers, &host.cpus);
        let workers = cpus.len() as u64;
        let spent = DESCRIPTORS_RESERVED
            + DESCRIPTORS_PER_PROBE * probes as u64
            + admin as u64
            + workers * (DESCRIPTORS_PER_WORKER + listeners as u64);
        let rest = host.descriptors_max.saturating_sub(spent);
        let spare = SPARE_MAX.min(rest / DESCRIPTORS_FOR_A_SPARE);
        let pipes = pipes(rest, host.pipe_pages_max) / workers;
        let possible = (rest - spare - workers * pipes * DESCRIPTORS_PER_PIPE) / DESCRIPTORS_PER_CONNECTION;
        if possible == 0 {
            return Err(TooLittle::Descriptors {
                limit: host.descriptors_max,
                needed: spent + DESCRIPTORS_PER_CONNECTION,
            });
        }
        let possible = u32::try_from(possible).unwrap_or(u32::MAX);
        let wanted = match runtime.connections_max {
            ConnectionsMax::Auto => CONNECTIONS_AUTO_MAX,
            ConnectionsMax::Number(number) => number.get(),
        };
        let connections_max = wanted.min(possible);
        Ok(Self {
            cpus,
            connections_max,
            buffers_per_worker: buffers(connections_max, workers, host.memory_left)?,
            pipes_per_worker: u32::try_from(pipes).expect("at most PIPES_MAX"),
            clipped_from: match runtime.connections_max {
                ConnectionsMax::Number(number) if number.get() > possible => Some(number.get()),
                ConnectionsMax::Number(_) | ConnectionsMax::Auto => None,
            },
        })
    }
}

/// One worker for each CPU, or as many as were asked for: each pinned to a CPU of its own, in the order of the
/// mask. More workers than CPUs are not pinned at all: two pinned to one CPU would share it even while
/// another is idle.
fn cpus(workers: Workers, mask: &[usize]) -> Vec<Option<usize>> {
    match workers {
        Workers::Auto => mask.iter().copied().take(WORKERS_AUTO_MAX).map(Some).collect(),
        Workers::Number(number) => {
            let number = usize::from(number.get());
            if number <= mask.len() {
                mask.iter().copied().take(number).map(Some).collect()
            } else {
                vec![None; number]
            }
        }
    }
}

/// How many receive buffers each of these workers may have, beside what it takes anyway.
fn buffers(connections_max: u32, workers: u64, left: u64) -> Result<u32, TooLittle> {
    let worker = WORKER_BYTES + CONNECTION_BYTES * u64::from(connections_max);
    let fixed = PROCESS_BYTES + workers * worker;
    let buffers = left.saturating_sub(fixed) / workers / driver::BUFFER_BYTES as u64;
    if buffers < driver::BUFFERS_MIN.into() {
        let needed = fixed + workers * u64::from(driver::BUFFERS_MIN) * driver::BUFFER_BYTES as u64;
        return Err(TooLittle::Memory { left, needed });
    }
    Ok(u32::try_from(buffers).unwrap_or(u32::MAX))
}

/// How many pipes the process may have: few of the descriptors that are left, and of its user's pages no more
/// than half, because the kernel gives a user beyond the bound pipes of a page or two, which are slower than
/// copying.
fn pipes(descriptors: u64, pages_max: u64) -> u64 {
    let by_pages = match pages_max {
        0 => u64::MAX,
        pages => pages / 2 / PAGES_PER_PIPE,
    };
    PIPES_MAX.min(descriptors / DESCRIPTORS_FOR_A_PIPE).min(by_pages)
}

/// Workers that `auto` starts at most: what the config allows as a number.
const WORKERS_AUTO_MAX: usize = 256;

/// Connections that `auto` allows at most. A limit of open files may be a billion, and each connection that
/// is allowed takes address space; a host that needs more says the number.
const CONNECTIONS_AUTO_MAX: u32 = 1 << 20;

/// What control, the tables, the admin interface and the access log take of memory, with room for reloads.
const PROCESS_BYTES: u64 = 16 << 20;

/// What a worker takes: its stack, its heap, and the queue of records.
const WORKER_BYTES: u64 = 6 << 20;

/// What a worker reserves for each connection that the process may hold: a slot, its timer, and the lists that name it.
const CONNECTION_BYTES: u64 = 320;

/// Standard streams, the control thread's epoll, its waker and the one that workers wake, its signal pipe, the access log's file and
/// the one that it goes over to, and the config file or a probe of an address, one at a time.
const DESCRIPTORS_RESERVED: u64 = 12;

/// A ring, a waker, the reserve that is given up to turn a client away, and a client that is turned away.
const DESCRIPTORS_PER_WORKER: u64 = 4;

/// A question for each role, where HTTP is asked for it.
const DESCRIPTORS_PER_PROBE: u64 = 2;

/// A socket to the client and one to the backend.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;

/// Two ends.
const DESCRIPTORS_PER_PIPE: u64 = 2;

/// Descriptors that are left for listeners and probes which reloads add, and for surprises, at most. Beyond them, more
/// of those eat into connections.
const SPARE_MAX: u64 = 256;

/// A descriptor is left for each so many.
const DESCRIPTORS_FOR_A_SPARE: u64 = 16;

/// Pipes of the process at most. A pipe serves a half only while bytes are in it, so few serve many.
const PIPES_MAX: u64 = 512;

/// A pipe is worth having for each so many descriptors.
const DESCRIPTORS_FOR_A_PIPE: u64 = 16;

/// Pages of a pipe as the kernel makes it.
const PAGES_PER_PIPE: u64 = 16;

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU16, NonZeroU32};
    use std::time::Duration;

    use config::{ConnectionsMax, Runtime, Workers};

    use super::{Sizes, TooLittle};
    use crate::limits::Host;

    #[test]
    fn workers_are_pinned_while_there_are_cpus() {
        check_cpus(0, &[0, 1], &[Some(0), Some(1)]);
        check_cpus(0, &[3, 7, 9], &[Some(3), Some(7), Some(9)]);
        check_cpus(1, &[3, 7, 9], &[Some(3)]);
        check_cpus(3, &[3, 7, 9], &[Some(3), Some(7), Some(9)]);
        check_cpus(4, &[3, 7, 9], &[None, None, None, None]);
    }

    #[track_caller]
    fn check_cpus(workers: u16, mask: &[usize], expected: &[Option<usize>]) {
        let host = Host { cpus: mask.to_vec(), ..host(100_000) };
        assert_eq!(Sizes::new(&runtime(workers, 0), 1, 0, 0, &host).unwrap().cpus, expected);
    }

    #[test]
    fn connections_follow_the_limit_of_descriptors() {
        // Limit of descriptors, connections asked for (0 is auto); connections, clipped, pipes per worker.
        // Two workers and one listener take 12 + 2 * (4 + 1) = 22 descriptors before all else.
        check(24, 0, (1, None, 0));
        check(64, 1_000, (18, Some(1_000), 1));
        check(256, 0, (96, None, 7));
        check(1_024, 0, (408, None, 31));
        check(20_000, 0, (9_349, None, 256));
        check(20_000, 500, (500, None, 256));
        check(20_000, 9_349, (9_349, None, 256));
        check(20_000, 9_350, (9_349, Some(9_350), 256));
        check(1_048_576, 0, (523_637, None, 256));
        check(1 << 30, 0, (1 << 20, None, 256));
        check(u64::MAX, 2_000_000, (2_000_000, None, 256));
    }

    #[track_caller]
    fn check(limit: u64, asked: u32, expected: (u32, Option<u32>, u32)) {
        let sizes = Sizes::new(&runtime(2, asked), 1, 0, 0, &host(limit)).unwrap();
        assert_eq!((sizes.connections_max, sizes.clipped_from, sizes.pipes_per_worker), expected);
    }

    #[test]
    fn pipes_stay_within_half_of_the_pages_of_a_user() {
        let pipes = |pages| {
            let host = Host { pipe_pages_max: pages, ..host(1_000_000) };
            Sizes::new(&runtime(2, 0), 1, 0, 0, &host).unwrap().pipes_per_worker
        };
        assert_eq!(pipes(0), 256);
        assert_eq!(pipes(16_384), 256);
        assert_eq!(pipes(1_024), 16);
        assert_eq!(pipes(16), 0);
    }

    #[test]
    fn a_limit_that_holds_no_connection_is_refused() {
        assert_eq!(
            Sizes::new(&runtime(2, 0), 1, 0, 0, &host(23)),
            Err(TooLittle::Descriptors { limit: 23, needed: 24 })
        );
    }

    #[test]
    fn buffers_are_as_many_as_memory_allows_and_a_limit_that_holds_no_worker_is_refused() {
        let sizes =
            |left| Sizes::new(&runtime(2, 1_000), 1, 0, 0, &Host { memory_left: left, ..host(20_000) });
        assert_eq!(sizes(u64::MAX).unwrap().buffers_per_worker, u32::MAX);
        // 16 MiB, and for each worker 6 MiB and 320 bytes a connection; a buffer takes 36 KiB.
        let fixed = (16 << 20) + 2 * ((6 << 20) + 320 * 1_000);
        let buffers = |number: u64| fixed + 2 * number * 36 * 1024;
        assert_eq!(sizes(buffers(500)).unwrap().buffers_per_worker, 500);
        assert_eq!(sizes(buffers(128)).unwrap().buffers_per_worker, 128);
        let left = buffers(128) - 1;
        assert_eq!(sizes(left), Err(TooLittle::Memory { left, needed: buffers(128) }));
    }

    fn host(descriptors_max: u64) -> Host {
        Host {
            cpus: vec![0, 1],
            descriptors_max,
            pipe_pages_max: 16_384,
            backlog_max: 4_096,
            ipv6: true,
            memory_left: u64::MAX,
        }
    }

    fn runtime(workers: u16, connections_max: u32) -> Runtime {
        Runtime {
            workers: NonZeroU16::new(workers).map_or(Workers::Auto, Workers::Number),
            connections_max: NonZeroU32::new(connections_max)
                .map_or(ConnectionsMax::Auto, ConnectionsMax::Number),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
