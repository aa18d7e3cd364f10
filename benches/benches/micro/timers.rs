//! The cost of deadlines, in batches of four thousand.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use worker::Timers;

pub(crate) fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers");
    group.throughput(Throughput::Elements(SLOTS.into()));
    group.bench_function("set and clear", |bencher| {
        let now = start();
        let mut timers = Timers::new(SLOTS, now);
        bencher.iter(|| {
            set_all(&mut timers, now, HOUR);
            for slot in 0..SLOTS {
                timers.clear(slot);
            }
        });
    });
    // As a connection does on every event: its deadline moves on, and is not reached.
    group.bench_function("set again", |bencher| {
        let mut now = start();
        let mut timers = Timers::new(SLOTS, now);
        bencher.iter(|| {
            now += Duration::from_millis(100);
            set_all(&mut timers, now, HOUR);
        });
    });
    // Some levels up, so that they cascade; in as many wake-ups as a worker would have.
    for (name, reach) in [("set and expire within 1 s", SECOND), ("set and expire within 1 h", HOUR)] {
        group.bench_function(name, |bencher| {
            let mut now = start();
            let mut timers = Timers::new(SLOTS, now);
            let mut due = Vec::with_capacity(SLOTS as usize);
            bencher.iter(|| {
                set_all(&mut timers, now, reach);
                due.clear();
                while let Some(next) = timers.next() {
                    now = next;
                    timers.expire(now, &mut due);
                }
                assert_eq!(due.len(), SLOTS as usize);
            });
        });
    }
    group.finish();
}

/// Gives every slot a deadline, spread over `reach` in random order.
fn set_all(timers: &mut Timers, now: Instant, reach: Duration) {
    for slot in 0..SLOTS {
        let scattered = slot.wrapping_mul(2_654_435_761) % SLOTS;
        timers.set(black_box(slot), now + reach * scattered / SLOTS);
    }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do for an origin")]
fn start() -> Instant {
    Instant::now()
}

const SLOTS: u32 = 4_000;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
