//! The cost of deciding the next step of a connection, without the kernel.

use std::hint::black_box;
use std::time::{Duration, Instant};

use connection::{Chunks, Direction, Half, IdleTimeouts, Next, Relay, Spliced};
use criterion::Criterion;

pub(crate) fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relay");
    group.bench_function("half copies a chunk", |bencher| {
        let mut chunks = Chunks::new(BUFFERS);
        let mut half = receiving(&mut chunks);
        bencher.iter(|| copy(black_box(&mut half), &mut chunks, SMALL));
    });
    group.bench_function("half splices a pipeful", |bencher| {
        let mut chunks = Chunks::new(BUFFERS);
        let mut half = splicing(&mut chunks);
        bencher.iter(|| splice(black_box(&mut half), &chunks));
    });
    group.bench_function("request and response", |bencher| {
        let mut chunks = Chunks::new(BUFFERS);
        let mut now = start();
        let mut relay = Relay::<()>::new(now);
        for direction in Direction::BOTH {
            *relay.half(direction) = receiving(&mut chunks);
        }
        bencher.iter(|| {
            now += Duration::from_micros(100);
            for direction in Direction::BOTH {
                relay.on_active(now);
                copy(black_box(relay.half(direction)), &mut chunks, SMALL);
                relay.on_active(now);
            }
        });
    });
    group.bench_function("idle check", |bencher| {
        let now = start();
        let relay = Relay::<()>::new(now);
        let patience = IdleTimeouts { idle: Duration::from_secs(3600), half_closed: Duration::from_secs(60) };
        bencher.iter(|| black_box(&relay).check(black_box(now), patience));
    });
    group.finish();
}

/// One chunk arrives and is sent, until the half wants nothing more.
fn copy(half: &mut Half<()>, chunks: &mut Chunks, length: u32) {
    half.on_received(chunks, 0, length, length == FULL, true);
    while let Some(next) = half.next(chunks) {
        if let Next::Send { .. } = next {
            black_box(half.on_sent(chunks, length));
        }
    }
}

/// A pipe full of data arrives and is sent: the input is found empty and waited for.
fn splice(half: &mut Half<()>, chunks: &Chunks) {
    let mut filled = false;
    while let Some(next) = half.next(chunks) {
        match next {
            Next::Fill(..) if filled => half.on_filled(Spliced::Blocked),
            Next::Fill((), length) => {
                filled = true;
                half.on_filled(Spliced::Moved(length));
            }
            Next::Flush((), length) => half.on_flushed(Some(length)),
            Next::WaitReadable => return half.on_ready(),
            _ => unreachable!("a stream that flows wants {next:?}"),
        }
    }
}

/// A half that has requested to receive.
fn receiving(chunks: &mut Chunks) -> Half<()> {
    let mut half = Half::default();
    assert!(matches!(half.next(chunks), Some(Next::Receive { .. })));
    assert_eq!(half.next(chunks), None);
    half
}

/// A half that is a stream and has its pipe.
fn splicing(chunks: &mut Chunks) -> Half<()> {
    let mut half = receiving(chunks);
    for _ in 0..STREAM_AFTER {
        half.on_received(chunks, 0, FULL, true, true);
        while let Some(next) = half.next(chunks) {
            match next {
                Next::Send { .. } => drop(half.on_sent(chunks, FULL)),
                Next::StopReceive => half.on_stopped(),
                Next::TakePipe => {
                    half.splice((), PIPE);
                    return half;
                }
                _ => {}
            }
        }
    }
    unreachable!("so many full buffers are a stream")
}

#[expect(clippy::disallowed_methods, reason = "any instant will do for an origin")]
fn start() -> Instant {
    Instant::now()
}

/// Buffers of the arena; one is in use.
const BUFFERS: u32 = 1024;

/// A usual request or response.
const SMALL: u32 = 600;

/// A buffer of a worker.
const FULL: u32 = 32 * 1024;

/// The capacity of a pipe.
const PIPE: u32 = 64 * 1024;

/// More full buffers than make a stream.
const STREAM_AFTER: u32 = 8;
