//! The cost of a reload in control: from text to configuration, from configuration to table.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion};

use crate::samples::{MANY, config, config_by, parse, table, yaml};

pub(crate) fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build with 10 000 backends");
    group.sample_size(10);
    group.bench_function("config from YAML", |bencher| {
        let yaml = yaml(MANY);
        bencher.iter(|| parse(black_box(&yaml)));
    });
    // In batches, so that dropping a table is not counted; it is counted for the thread that drops it last.
    group.bench_function("table", |bencher| {
        let config = config(MANY);
        bencher.iter_batched(|| (), |()| table(black_box(&config), None), BatchSize::PerIteration);
    });
    group.bench_function("table that inherits", |bencher| {
        let config = config(MANY);
        let before = table(&config, None);
        bencher.iter_batched(|| (), |()| table(black_box(&config), Some(&before)), BatchSize::PerIteration);
    });
    group.finish();

    let mut group = criterion.benchmark_group("build by maglev");
    group.sample_size(10);
    for backends in [3, 1000, MANY] {
        let config = config_by("maglev", backends);
        group.bench_function(BenchmarkId::new("table", backends), |bencher| {
            bencher.iter_batched(|| (), |()| table(black_box(&config), None), BatchSize::PerIteration);
        });
    }
    group.finish();
}
