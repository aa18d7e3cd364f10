//! Micro-benchmarks: what the parts of the data plane cost that do no I/O.
//!
//! `cargo bench --package benches --bench micro [FILTER]`; the next run says what has changed since this one.

mod pick; // A connection is given a backend,
mod relay; // its bytes are moved,
mod timers; // and it may not stand still for too long.

mod build; // Meanwhile the configuration changes,
mod swap; // and workers go over to it.

mod samples;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    pick::benchmark(&mut criterion);
    relay::benchmark(&mut criterion);
    timers::benchmark(&mut criterion);
    build::benchmark(&mut criterion);
    swap::benchmark(&mut criterion);
    criterion.final_summary();
}
