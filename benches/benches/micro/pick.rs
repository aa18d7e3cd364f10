//! The cost of picking a backend for a connection.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use table::BackendIndex;

use crate::samples::{MANY, config, config_by, pick, table};

pub(crate) fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    for backends in [3, MANY] {
        let table = table(&config(backends), None);
        let pool = &table.pools[0];
        group.bench_function(BenchmarkId::new("first", backends), |bencher| {
            bencher.iter(|| pick(black_box(pool), &[]));
        });
        // As for a connection whose first attempt fails: two picks.
        group.bench_function(BenchmarkId::new("first and after it failed", backends), |bencher| {
            bencher.iter(|| pick(pool, &[]).and_then(|failed| pick(black_box(pool), &[failed])));
        });
        // The worst case: the next position belongs to the failed backend, so another one replaces it.
        group.bench_function(BenchmarkId::new("first and a stand-in", backends), |bencher| {
            bencher.iter(|| {
                let failed = pick(pool, &[]).map(|picked| after(picked, backends));
                pick(black_box(pool), failed.as_slice())
            });
        });
    }
    // Picks stay counted, so that counts grow as they do while connections arrive. Every client costs the same.
    for policy in ["least_connections", "random", "maglev"] {
        for backends in [3, 100] {
            let table = table(&config_by(policy, backends), None);
            group.bench_function(BenchmarkId::new(policy, backends), |bencher| {
                bencher.iter(|| pick(black_box(&table.pools[0]), &[]));
            });
        }
    }
    group.finish();
}

/// The next backend after `picked`: with equal weights, the rotation is the order of the file.
fn after(picked: BackendIndex, backends: usize) -> BackendIndex {
    let next = (usize::from(picked.0) + 1) % backends;
    BackendIndex(u16::try_from(next).expect("a pool has at most 10 000 backends"))
}
