//! Thousands of runs of the simulated kernel.

use sim::{Coverage, run};

/// The number of runs in the fast lane.
const SEEDS: u64 = 14_000;

#[test]
fn everything_holds() {
    let one = std::env::var("RONDEL_SEED").ok().map(|seed| seed.parse().expect("RONDEL_SEED is a number"));
    let seeds: Vec<u64> = one.map_or_else(|| (0..SEEDS).collect(), |seed| vec![seed]);
    let mut coverage = Coverage::default();
    for seed in seeds {
        match run(seed) {
            Ok(passed) => coverage.add(&passed.coverage),
            Err(failed) => panic!("{failed}"),
        }
    }
    println!("{coverage}");
    let missing: Vec<String> = coverage.missing().iter().map(ToString::to_string).collect();
    assert!(one.is_some() || missing.is_empty(), "no run covers:\n{}", missing.join("\n"));
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let again = || run(seed).unwrap_or_else(|failed| panic!("{failed}"));
        assert_eq!(again(), again(), "seed {seed}");
    }
}
