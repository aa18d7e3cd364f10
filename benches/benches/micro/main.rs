//! Micro-benchmarks: the cost of the parts of the data plane that do no I/O.
//!
//! `cargo bench --package benches --bench micro [FILTER]`; the next run compares itself with this one.

mod pick; // A connection gets a backend,
mod relay; // its bytes are relayed,
mod timers; // and it has an idle timeout.

mod build; // Meanwhile the configuration changes,
mod swap; // and workers switch to it.

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
