//! Runs from random seeds, for hours, on all CPUs; stops at the first that fails and says which.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sim::{Coverage, Failed, run};

/// What all threads have done.
#[derive(Default)]
struct Soak {
    runs: AtomicU64,
    stop: AtomicBool,
    coverage: Mutex<Coverage>,
    failed: Mutex<Option<Failed>>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let hours = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--hours", hours] => hours.parse::<f64>().ok(),
        _ => None,
    };
    let time = hours.and_then(|hours| Duration::try_from_secs_f64(hours * 3600.0).ok());
    let Some(time) = time else {
        eprintln!("Usage: soak --hours N   (a part of an hour, like 0.1, will do)");
        return ExitCode::from(2);
    };
    let soak = soak(time);
    let coverage = soak.coverage.into_inner().expect("no thread panicked");
    println!("{coverage}");
    println!("{} runs", soak.runs.into_inner());
    if let Some(failed) = soak.failed.into_inner().expect("no thread panicked") {
        println!("{failed}");
        return ExitCode::FAILURE;
    }
    for transition in coverage.unexpected() {
        println!("not in the list of transitions: {transition}");
    }
    let missing = coverage.missing();
    for transition in &missing {
        println!("no run has seen: {transition}");
    }
    if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::disallowed_methods, reason = "how long it soaks is real time")]
fn soak(time: Duration) -> Soak {
    let end = Instant::now() + time;
    let first = RandomState::new().build_hasher().finish();
    let soak = Soak::default();
    let threads = thread::available_parallelism().map_or(1, Into::into);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut coverage = Coverage::default();
                while Instant::now() < end && !soak.stop.load(Ordering::Relaxed) {
                    let number = soak.runs.fetch_add(1, Ordering::Relaxed);
                    match run(first.wrapping_add(number)) {
                        Ok(passed) => coverage.add(&passed.coverage),
                        Err(failed) => {
                            soak.stop.store(true, Ordering::Relaxed);
                            soak.failed.lock().expect("no thread panicked").get_or_insert(failed);
                        }
                    }
                }
                soak.coverage.lock().expect("no thread panicked").add(&coverage);
            });
        }
    });
    soak
}
