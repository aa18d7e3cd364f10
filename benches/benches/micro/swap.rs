//! The cost of a swap for the publisher, and for workers that pick meanwhile.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use config::Config;
use criterion::{Criterion, Throughput};
use table::{Published, Reader, Table};

use crate::samples::{MANY, config, pick, table};

pub(crate) fn benchmark(criterion: &mut Criterion) {
    idle(criterion);
    publisher(criterion);
    worker(criterion);
}

/// Without other threads.
fn idle(criterion: &mut Criterion) {
    let config = config(MANY);
    let published = Published::new(table(&config, None));
    let mut group = criterion.benchmark_group("swap with 10 000 backends");
    group.bench_function("a read while nothing changed", |bencher| {
        let mut reader = published.reader();
        bencher.iter(|| black_box(reader.read()).phase);
    });
    group.bench_function("publish and read", |bencher| {
        let mut reader = published.reader();
        let next = Arc::unwrap_or_clone(published.load_full());
        bencher.iter(|| {
            published.publish(next.clone());
            black_box(reader.read()).phase
        });
    });
    // The last reader drops the previous table, backend by backend: a pause for its connections.
    group.sample_size(10);
    group.bench_function("drop the previous table, all backends replaced", |bencher| {
        bencher.iter_custom(|swaps| (0..swaps).map(|_| look_last(&published, table(&config, None))).sum());
    });
    // Each takes as long again as building a table, which is not counted; therefore there are few.
    group.measurement_time(Duration::from_millis(30));
    group.bench_function("drop the previous table, all backends kept", |bencher| {
        let next = || table(&config, Some(&published.load_full()));
        bencher.iter_custom(|swaps| (0..swaps).map(|_| look_last(&published, next())).sum());
    });
    group.finish();
}

/// The duration of a worker's first read after a swap, if no other thread has the previous table.
fn look_last(published: &Published, next: Table) -> Duration {
    let mut reader = published.reader();
    reader.read();
    published.publish(next);
    let begun = clock();
    black_box(reader.read());
    begun.elapsed()
}

/// The duration of a reload while a worker picks all the time.
fn publisher(criterion: &mut Criterion) {
    let config = config(MANY);
    let published = Published::new(table(&config, None));
    let mut group = criterion.benchmark_group("swap under load: build and publish");
    group.sample_size(10);
    group.bench_function("no worker picks", |bencher| bencher.iter(|| swap(&published, &config)));
    let reader = published.reader();
    beside(
        |stop| pick_until(stop, reader),
        || {
            group.bench_function("a worker picks", |bencher| bencher.iter(|| swap(&published, &config)));
        },
    );
    group.finish();
}

/// The duration of a pick while tables are swapped, with each read followed by as many picks as a busy turn may
/// have.
fn worker(criterion: &mut Criterion) {
    let config = config(MANY);
    let published = Published::new(table(&config, None));
    let mut group = criterion.benchmark_group("swap under load: picks");
    group.throughput(Throughput::Elements(PICKS_PER_LOOK));
    let picks = |group: &mut Group<'_>, name: &str| {
        let mut reader = published.reader();
        group.bench_function(name, |bencher| bencher.iter(|| turn(&mut reader)));
    };
    picks(&mut group, "no swaps");
    for (name, pause) in [("10 swaps a second", Some(PAUSE)), ("swaps all the time", None)] {
        let swaps = |stop: &AtomicBool| {
            while !stop.load(Ordering::Relaxed) {
                swap(&published, &config);
                if let Some(pause) = pause {
                    thread::park_timeout(pause);
                }
            }
        };
        beside(swaps, || picks(&mut group, name));
    }
    group.finish();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

/// Runs `measure` while `disturb` runs on another thread.
fn beside(disturb: impl FnOnce(&AtomicBool) + Send, measure: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| disturb(&stop));
        measure();
        stop.store(true, Ordering::Relaxed);
    });
}

/// As in a reload: the next table takes over state of the current one.
fn swap(published: &Published, config: &Config) {
    let next = table(config, Some(&published.load_full()));
    published.publish(next);
}

fn pick_until(stop: &AtomicBool, mut reader: Reader) {
    while !stop.load(Ordering::Relaxed) {
        turn(&mut reader);
    }
}

fn turn(reader: &mut Reader) {
    let table = reader.read();
    for _ in 0..PICKS_PER_LOOK {
        black_box(pick(&table.pools[0], &[]));
    }
}

#[expect(clippy::disallowed_methods, reason = "what precedes the read must not be measured with it")]
fn clock() -> Instant {
    Instant::now()
}

const PICKS_PER_LOOK: u64 = 64;

/// The pause between swaps; with the time of a swap, there are slightly fewer than 10 per second.
const PAUSE: Duration = Duration::from_millis(100);
