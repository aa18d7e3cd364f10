//! What it costs to give a connection a backend.

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
        // As a connection does whose first attempt fails: two picks.
        group.bench_function(BenchmarkId::new("first and after it failed", backends), |bencher| {
            bencher.iter(|| pick(pool, &[]).and_then(|failed| pick(black_box(pool), &[failed])));
        });
        // The worst that can happen: the place that comes up belongs to the one that failed, so another stands in.
        group.bench_function(BenchmarkId::new("first and a stand-in", backends), |bencher| {
            bencher.iter(|| {
                let failed = pick(pool, &[]).map(|picked| after(picked, backends));
                pick(black_box(pool), failed.as_slice())
            });
        });
    }
    // Places are kept, so that counts grow as they do while connections come. One client is as dear as another.
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

/// The one whose turn it is after `picked`: of equal weights, the rotation is the order of the file.
fn after(picked: BackendIndex, backends: usize) -> BackendIndex {
    let next = (usize::from(picked.0) + 1) % backends;
    BackendIndex(u16::try_from(next).expect("a pool has at most 10 000 backends"))
}
