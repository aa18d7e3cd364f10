//! Five minutes of connections and bytes of each listener and pool, for the charts of the dashboard.
//!
//! A sample reads counters that workers share, so no worker is queried. A listener or a pool keeps its samples across
//! reloads by its name; those of one that a reload removes are dropped.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use api::Series;
use table::Table;

/// The samples of everything that the table in force has.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// When samples were taken, the oldest first: at most [`SAMPLES_MAX`].
    times: VecDeque<Instant>,
    /// When counters were read last; none before the first time.
    read_at: Option<Instant>,
    /// By name.
    listeners: HashMap<String, Trace>,
    /// By name.
    pools: HashMap<String, Trace>,
}

/// The samples of a listener or a pool.
#[derive(Debug, Default)]
struct Trace {
    /// The oldest first. The last one belongs to the last time; there may be fewer samples than times.
    samples: VecDeque<Sample>,
    /// What was read last: of a listener its own counts, of a pool those of each backend.
    counts: HashMap<SocketAddr, Counts>,
}

/// Connections that existed, and what came per second since the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sample {
    active: u32,
    connections: f32,
    bytes_to_backend: f32,
    bytes_to_client: f32,
}

/// What a listener or a backend has counted since its start.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    active: u64,
    connections: u64,
    bytes_to_backend: u64,
    bytes_to_client: u64,
}

impl History {
    /// Takes a sample of all that `table` has, if one is due, and forgets what it does not have.
    pub(crate) fn read(&mut self, table: &Table, now: Instant) {
        let seconds = self.read_at.map(|read_at| now.saturating_duration_since(read_at).as_secs_f32());
        if seconds.is_some_and(|seconds| seconds < DUE_AFTER.as_secs_f32()) {
            return;
        }
        self.read_at = Some(now);
        let listeners = table.listeners.iter().map(|listener| {
            let counts = listener.counters.iter().fold(Counts::default(), |counts, worker| Counts {
                active: counts.active.wrapping_add(worker.active.get()),
                connections: counts.connections.wrapping_add(worker.accepted.get()),
                bytes_to_backend: counts.bytes_to_backend.wrapping_add(worker.bytes_to_backend.get()),
                bytes_to_client: counts.bytes_to_client.wrapping_add(worker.bytes_to_client.get()),
            });
            (listener.name.as_str(), HashMap::from([(listener.address(), counts)]))
        });
        update(&mut self.listeners, listeners, seconds);
        let pools = table.pools.iter().map(|pool| {
            let backends = pool.backends.iter().map(|backend| {
                let counts = backend.counters.iter().fold(Counts::default(), |counts, worker| Counts {
                    active: counts.active.wrapping_add(worker.active.get()),
                    connections: counts.connections.wrapping_add(worker.connected.get()),
                    bytes_to_backend: counts.bytes_to_backend.wrapping_add(worker.bytes_to_backend.get()),
                    bytes_to_client: counts.bytes_to_client.wrapping_add(worker.bytes_to_client.get()),
                });
                (backend.address, counts)
            });
            (pool.name.as_str(), backends.collect())
        });
        update(&mut self.pools, pools, seconds);
        if seconds.is_some() {
            push(&mut self.times, now);
        }
    }

    /// All samples, for charts. `unix` is the time of `now`, in seconds since 1970; the series have the order of
    /// `table`.
    pub(crate) fn to_api(&self, table: &Table, now: Instant, unix: f64) -> api::History {
        let at = |time: &Instant| unix - now.saturating_duration_since(*time).as_secs_f64();
        let series = |traces: &HashMap<String, Trace>, name: &str| match traces.get(name) {
            Some(trace) => trace.to_api(name),
            None => Trace::default().to_api(name),
        };
        let listeners = table.listeners.iter().map(|listener| series(&self.listeners, &listener.name));
        let pools = table.pools.iter().map(|pool| series(&self.pools, &pool.name));
        api::History {
            times: self.times.iter().map(|time| rounded(at(time), 1000.0)).collect(),
            listeners: listeners.collect(),
            pools: pools.collect(),
        }
    }
}

/// Adds a sample to each trace, and keeps only the traces of these names.
fn update<'t>(
    traces: &mut HashMap<String, Trace>,
    read: impl Iterator<Item = (&'t str, HashMap<SocketAddr, Counts>)>,
    seconds: Option<f32>,
) {
    let mut before = std::mem::take(traces);
    for (name, counts) in read {
        let (name, mut trace) =
            before.remove_entry(name).unwrap_or_else(|| (name.to_owned(), Trace::default()));
        trace.add(counts, seconds);
        traces.insert(name, trace);
    }
}

impl Trace {
    /// Adds a sample of these counts, `seconds` after those before. The first counts only start the trace.
    fn add(&mut self, counts: HashMap<SocketAddr, Counts>, seconds: Option<f32>) {
        let before = std::mem::replace(&mut self.counts, counts);
        let Some(seconds) = seconds.filter(|_| !before.is_empty()) else { return };
        let mut sample = Sample::default();
        for (address, now) in &self.counts {
            // A backend that a reload adds back continues its counts: it brings nothing new in its first sample.
            let then = before.get(address).unwrap_or(now);
            let per_second = |now: u64, then: u64| float(now.saturating_sub(then)) / seconds;
            sample.active = sample.active.saturating_add(u32::try_from(now.active).unwrap_or(u32::MAX));
            sample.connections += per_second(now.connections, then.connections);
            sample.bytes_to_backend += per_second(now.bytes_to_backend, then.bytes_to_backend);
            sample.bytes_to_client += per_second(now.bytes_to_client, then.bytes_to_client);
        }
        push(&mut self.samples, sample);
    }

    fn to_api(&self, name: &str) -> Series {
        let each = |of: fn(&Sample) -> f32, scale| {
            self.samples.iter().map(|sample| rounded(of(sample).into(), scale)).collect()
        };
        Series {
            name: name.to_owned(),
            active: self.samples.iter().map(|sample| sample.active).collect(),
            rate: each(|sample| sample.connections, 100.0),
            bytes_to_backend: each(|sample| sample.bytes_to_backend, 1.0),
            bytes_to_client: each(|sample| sample.bytes_to_client, 1.0),
        }
    }
}

/// Appends to a queue that drops its oldest at [`SAMPLES_MAX`].
fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.is_empty() {
        queue.reserve_exact(SAMPLES_MAX);
    }
    if queue.len() == SAMPLES_MAX {
        queue.pop_front();
    }
    queue.push_back(item);
}

fn rounded(number: f64, scale: f64) -> f64 {
    (number * scale).round() / scale
}

/// The nearest number of 24 bits, which is more than a chart shows.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn float(number: u64) -> f32 {
    number as f32
}

/// The minimum time between two samples. Control reads counters once a second and not to the millisecond, so every
/// second reading is kept, even if it is a little early.
const DUE_AFTER: Duration = Duration::from_millis(1500);

/// Samples of one listener or pool, 16 bytes each: five minutes. At the bound the oldest is dropped. 100 listeners and
/// 100 pools take 0.5 MiB, and as many as a file can have take 5 MiB.
const SAMPLES_MAX: usize = 150;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::{Counts, History, SAMPLES_MAX, Trace, update};
    use crate::totals::tests::table;

    /// The time between two samples, if every reading is in time.
    const INTERVAL: Duration = Duration::from_secs(2);

    /// The sum of a pool with these backends at each reading, as `PORT:CONNECTIONS`, is this many per second.
    #[track_caller]
    fn check(readings: &[&str], rates: &[f64]) {
        let mut trace = Trace::default();
        for reading in readings {
            trace.add(counts(reading), Some(2.0));
        }
        assert_eq!(trace.to_api("web").rate, rates);
    }

    fn counts(reading: &str) -> HashMap<SocketAddr, Counts> {
        let backend = |word: &str| {
            let (port, connections) = word.split_once(':').unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
            (address, Counts { connections: connections.parse().unwrap(), active: 1, ..Counts::default() })
        };
        reading.split_whitespace().map(backend).collect()
    }

    #[test]
    fn rates_are_per_second_and_survive_what_reloads_add_and_remove() {
        check(&["1:5"], &[]);
        check(&["1:5 2:0", "1:9 2:2", "1:9 2:3"], &[3.0, 0.5]);
        // The sum of all counts falls when a backend is removed, and rises when it is added back; rates do not.
        check(&["1:5 2:100", "1:9", "1:9 2:110", "1:9 2:114"], &[2.0, 0.0, 2.0]);
    }

    #[test]
    fn a_trace_is_kept_by_its_name_and_bounded() {
        let mut traces = HashMap::new();
        for _ in 0..SAMPLES_MAX + 10 {
            update(&mut traces, [("a", counts("1:0")), ("b", counts("1:0"))].into_iter(), Some(2.0));
        }
        assert_eq!(traces["a"].samples.len(), SAMPLES_MAX);
        update(&mut traces, [("c", counts("1:0")), ("a", counts("2:0"))].into_iter(), Some(2.0));
        assert_eq!(traces["a"].samples.len(), SAMPLES_MAX);
        assert_eq!((traces.len(), traces["c"].samples.len()), (2, 0));
    }

    #[test]
    fn every_second_reading_is_kept_even_if_readings_are_early_or_late() {
        let table = table(&["web 127.0.0.1:80"], None);
        let start = crate::monitor::now();
        let mut history = History::default();
        let readings = [0.0, 1.002, 1.9992, 3.001, 3.9989, 4.9989, 6.0, 6.9999, 7.9998];
        for seconds in readings {
            history.read(&table, start + Duration::from_secs_f64(seconds));
        }
        let kept = history.to_api(&table, start + Duration::from_secs(8), 8.0);
        assert_eq!(kept.times, [1.999, 3.999, 6.0, 8.0]);
    }

    #[test]
    fn the_last_sample_is_of_the_last_time() {
        let table = table(&["web 127.0.0.1:80"], None);
        let start = crate::monitor::now();
        let mut history = History::default();
        for reading in 0..4 {
            table.listeners[0].counters.of(1).accepted.add(6);
            table.pools[0].backends[0].counters.of(0).bytes_to_client.add(200);
            table.pools[0].backends[0].counters.of(1).active.add(1);
            history.read(&table, start + INTERVAL * reading);
            // It is not due.
            history.read(&table, start + INTERVAL * reading + INTERVAL / 2);
        }
        let kept = history.to_api(&table, start + INTERVAL * 4, 1000.0);
        assert_eq!(kept.times, [994.0, 996.0, 998.0]);
        let (listener, pool) = (&kept.listeners[0], &kept.pools[0]);
        assert_eq!((listener.name.as_str(), pool.name.as_str()), ("web", "app"));
        assert_eq!((listener.rate.as_slice(), pool.rate.as_slice()), (&[3.0; 3][..], &[0.0; 3][..]));
        assert_eq!(
            (pool.bytes_to_client.as_slice(), pool.active.as_slice()),
            (&[100.0; 3][..], &[2, 3, 4][..])
        );
    }
}
