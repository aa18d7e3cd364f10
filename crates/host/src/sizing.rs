//! The numbers of workers, connections, buffers and pipes: pure arithmetic on the config and the limits of the host.

use config::{ConnectionsMax, Runtime, Workers};

use crate::limits::Host;

/// The sizes of the process. A reload does not change them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// By worker, the CPU it is pinned to; `None` is not pinned.
    pub cpus: Vec<Option<usize>>,
    /// The limit of connections of all workers together. Each worker reserves address space for all of them,
    /// because the kernel distributes connections unevenly; pages that are never touched take no memory.
    pub connections_max: u32,
    /// The limit of splice pipes of each worker. A worker without a free pipe copies.
    pub pipes_per_worker: u32,
    /// The limit of receive buffers of each worker: as many as memory allows.
    pub buffers_per_worker: u32,
    /// The configured number of connections, if the limit of descriptors does not allow it.
    pub clipped_from: Option<u32>,
}

/// A limit of the process does not allow the configured sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLittle {
    /// The limit of open files does not allow a single connection.
    Descriptors {
        /// The limit.
        limit: u64,
        /// Descriptors needed for one connection.
        needed: u64,
    },
    /// The limit of memory is below what workers need before the first connection.
    Memory {
        /// How many bytes the process may still allocate.
        left: u64,
        /// How many bytes it needs.
        needed: u64,
    },
}

impl Sizes {
    /// The sizes for these settings on this host. `listeners` is the number of addresses to listen on, `probes`
    /// that of concurrent probes, `admin` that of descriptors of the admin interface.
    ///
    /// # Errors
    ///
    /// A limit of the process does not allow a single connection.
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

/// One worker for each CPU, or the configured number, each pinned to its own CPU in the order of the mask. If
/// there are more workers than CPUs, none is pinned: two workers pinned to one CPU would share it even while
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

/// The number of receive buffers for each worker, from the memory that is left after all fixed allocations.
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

/// The number of pipes of the process: a small share of the descriptors, and at most half of the pipe pages of
/// the user. A user above that limit gets pipes of one or two pages, which are slower than copying.
fn pipes(descriptors: u64, pages_max: u64) -> u64 {
    let by_pages = match pages_max {
        0 => u64::MAX,
        pages => pages / 2 / PAGES_PER_PIPE,
    };
    PIPES_MAX.min(descriptors / DESCRIPTORS_FOR_A_PIPE).min(by_pages)
}

/// The maximum number of workers for `auto`, which is also the maximum in the config.
const WORKERS_AUTO_MAX: usize = 256;

/// The maximum number of connections for `auto`. The limit of open files may be a billion, and each allowed
/// connection takes address space. A larger number can be configured.
const CONNECTIONS_AUTO_MAX: u32 = 1 << 20;

/// Memory of control, the tables, the admin interface and the access log, with room for reloads.
const PROCESS_BYTES: u64 = 16 << 20;

/// Memory of a worker: its stack, its heap, and the queue of records.
const WORKER_BYTES: u64 = 6 << 20;

/// Memory that a worker reserves for each allowed connection: a slot, its timer, and the entries in lists.
const CONNECTION_BYTES: u64 = 320;

/// Standard streams; epoll, two wakers and the signal pipe of control; the access log's file and, during a
/// reload, the next one; and the config file or the probe of an address, one at a time.
const DESCRIPTORS_RESERVED: u64 = 12;

/// A ring, a waker, the reserve descriptor that is closed in order to accept and reset a client, and that client.
const DESCRIPTORS_PER_WORKER: u64 = 4;

/// An HTTP probe of roles makes one request for each role.
const DESCRIPTORS_PER_PROBE: u64 = 2;

/// The socket of the client, and the one of the backend.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;

/// The two ends.
const DESCRIPTORS_PER_PIPE: u64 = 2;

/// The maximum number of spare descriptors, for listeners and probes that reloads add. Beyond them, such
/// additions reduce the number of possible connections.
const SPARE_MAX: u64 = 256;

/// One descriptor in this many is spare.
const DESCRIPTORS_FOR_A_SPARE: u64 = 16;

/// The maximum number of pipes of the process. A half holds a pipe only while there are bytes in it, so few pipes
/// serve many connections.
const PIPES_MAX: u64 = 512;

/// One pipe for this many descriptors.
const DESCRIPTORS_FOR_A_PIPE: u64 = 16;

/// Pages of a pipe by default.
const PAGES_PER_PIPE: u64 = 16;

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU16, NonZeroU32};
    use std::time::Duration;

    use config::{ConnectionsMax, Runtime, Workers};

    use super::{Sizes, TooLittle};
    use crate::limits::Host;

    #[test]
    fn workers_are_pinned_if_there_are_enough_cpus() {
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
        // Limit of descriptors, configured connections (0 is auto); connections, clipped, pipes per worker.
        // Two workers and one listener need 12 + 2 * (4 + 1) = 22 descriptors before the first connection.
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
    fn check(limit: u64, configured: u32, expected: (u32, Option<u32>, u32)) {
        let sizes = Sizes::new(&runtime(2, configured), 1, 0, 0, &host(limit)).unwrap();
        assert_eq!((sizes.connections_max, sizes.clipped_from, sizes.pipes_per_worker), expected);
    }

    #[test]
    fn pipes_use_at_most_half_of_the_pages_of_a_user() {
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
    fn a_limit_that_allows_no_connection_is_refused() {
        assert_eq!(
            Sizes::new(&runtime(2, 0), 1, 0, 0, &host(23)),
            Err(TooLittle::Descriptors { limit: 23, needed: 24 })
        );
    }

    #[test]
    fn buffers_fill_the_memory_and_a_limit_that_allows_no_worker_is_refused() {
        let sizes =
            |left| Sizes::new(&runtime(2, 1_000), 1, 0, 0, &Host { memory_left: left, ..host(20_000) });
        assert_eq!(sizes(u64::MAX).unwrap().buffers_per_worker, u32::MAX);
        // 16 MiB, and for each worker 6 MiB and 320 bytes per connection; a buffer has 36 KiB.
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
            state: None,
        }
    }
}
