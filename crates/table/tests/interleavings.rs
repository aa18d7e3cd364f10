//! Workers at a semaphore, at the places of a pool, and at the word of a source, in every order of their accesses, or
//! in many: no worker sleeps while there is a place for it, and a source has no more connections than it may. A run in
//! which a worker sleeps too long ends with all asleep, which the scheduler calls a deadlock.
//!
//! The scheduler explores sequentially consistent accesses. It is built in by `--cfg interleave`:
//! `scripts/interleave`.
#![cfg(interleave)]

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::time::Instant;

use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::{check_dfs, check_pct, check_random, thread};
use table::{Entry, Semaphore, SourceBounds, Sources, Waiters};

/// Two workers and one permit: all orders.
#[test]
fn two_workers_at_one_permit() {
    check_dfs(|| visit_gate(1, &[Visits::Patient, Visits::Patient]), None);
}

#[test]
fn one_of_two_workers_needs_no_permit_any_more() {
    check_dfs(|| visit_gate(1, &[Visits::Patient, Visits::Hasty]), None);
}

/// With three workers there are too many orders to try all.
#[test]
fn three_workers_at_one_permit_or_two() {
    use Visits::{Hasty, Patient, Twice};
    for (max, workers) in [
        (1, [Patient, Patient, Patient]),
        (1, [Patient, Hasty, Patient]),
        (1, [Twice, Hasty, Twice]),
        (2, [Twice, Twice, Twice]),
        (2, [Twice, Hasty, Twice]),
    ] {
        check_random(move || visit_gate(max, &workers), RUNS);
        // Few preemptions, at any point: what is rare when all orders are equally likely.
        check_pct(move || visit_gate(max, &workers), RUNS, PREEMPTIONS);
    }
}

#[test]
fn two_workers_at_the_permits_of_a_pool() {
    check_dfs(|| visit_pool(&[&[0], &[0]]), None);
}

/// Some may go to one backend only, so that a named one may have no use for the permit.
#[test]
fn three_workers_at_the_permits_of_a_pool() {
    for may in [[&[0][..], &[0, 1], &[1]], [&[0, 1], &[0, 1], &[0, 1]], [&[0], &[0], &[1]]] {
        check_random(move || visit_pool(&may), RUNS);
        check_pct(move || visit_pool(&may), RUNS, PREEMPTIONS);
    }
}

/// Two workers accept a client of one source, which may have one connection, while another source leaves one of the
/// two places: all orders. One of the two clients is let in, and one source has one word.
#[test]
fn two_workers_at_one_source() {
    check_dfs(|| visit_source(2), None);
}

/// What three workers can do in the same moment is one more for each, and no more.
#[test]
fn three_workers_at_one_source() {
    check_random(|| visit_source(3), RUNS);
    check_pct(|| visit_source(3), RUNS, PREEMPTIONS);
}

/// Two sets of one word: with one of them taken, newcomers go to the other one; the first worker frees it.
fn visit_source(workers: usize) {
    let epoch = now();
    let sources = Arc::new(Sources::of_words([1, 2], 2));
    let bounds = SourceBounds { connections: NonZeroU16::new(1), pace: None };
    let ip = |number| IpAddr::from(Ipv4Addr::from_bits(number));
    let enter = move |sources: &Sources, number| {
        sources.enter(sources.hash(sources.scope("visitors", [32, 64]), ip(number)), epoch, &bounds)
    };
    let Entry::Entered { place: of_other, .. } = enter(&sources, 1) else { panic!("the table is empty") };
    let threads = (0..workers).map(|worker| {
        let sources = Arc::clone(&sources);
        thread::spawn(move || {
            if worker == 0 {
                sources.leave(of_other);
            }
            match enter(&sources, 2) {
                Entry::Entered { place, .. } => Some(place),
                Entry::TooMany => None,
                other => panic!("{other:?}"),
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    let inside: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
    let most = if workers == 2 { 1 } else { workers - 1 };
    assert!((1..=most).contains(&inside.len()), "{} of a source that may have one", inside.len());
    assert_eq!(sources.connections(), inside.len() as u64);
    inside.into_iter().for_each(|place| sources.leave(place));
    assert_eq!(sources.connections(), 0);
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
    Instant::now()
}

const RUNS: usize = 20_000;
const PREEMPTIONS: usize = 3;

/// What a worker requests.
#[derive(Clone, Copy)]
enum Visits {
    /// A permit, and it waits for it.
    Patient,
    /// A permit, and then another one.
    Twice,
    /// A permit; it wants none any more once it has slept.
    Hasty,
}

fn visit_gate(max: u32, workers: &[Visits]) {
    let semaphore = Arc::new(Semaphore::new(workers.len()));
    let beds: Arc<Vec<Bed>> = Arc::new(workers.iter().map(|_| Bed::default()).collect());
    let threads = workers.iter().copied().enumerate().map(|(worker, visits)| {
        let (semaphore, beds) = (Arc::clone(&semaphore), Arc::clone(&beds));
        thread::spawn(move || {
            for _ in 0..if matches!(visits, Visits::Twice) { 2 } else { 1 } {
                if enter(&semaphore, worker, max, visits, &beds) {
                    assert!(semaphore.active() <= max);
                    wake(&beds, semaphore.release());
                }
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(semaphore.active(), 0);
}

/// As reported by `table::Semaphore`.
fn enter(semaphore: &Semaphore, worker: usize, max: u32, visits: Visits, beds: &[Bed]) -> bool {
    if semaphore.try_acquire(max) {
        return true;
    }
    let entered = loop {
        semaphore.wait(worker);
        if semaphore.try_acquire(max) {
            break true;
        }
        beds[worker].sleep();
        if matches!(visits, Visits::Hasty) {
            break false;
        }
        if semaphore.try_acquire(max) {
            break true;
        }
    };
    wake(beds, semaphore.done_waiting(worker, max));
    entered
}

/// Each worker takes one permit, at one of its eligible backends, and releases it. Each backend has one.
fn visit_pool(may: &[&'static [usize]]) {
    let backends: Arc<[Semaphore; 2]> = Arc::new([Semaphore::new(1), Semaphore::new(1)]);
    let waiters = Arc::new(Waiters::new(may.len()));
    let beds: Arc<Vec<Bed>> = Arc::new(may.iter().map(|_| Bed::default()).collect());
    let threads = may.iter().copied().enumerate().map(|(worker, may)| {
        let (backends, waiters, beds) = (Arc::clone(&backends), Arc::clone(&waiters), Arc::clone(&beds));
        thread::spawn(move || {
            let pick = || may.iter().copied().find(|&backend| backends[backend].try_acquire(1));
            // As reported by `table::Pool::waiters`.
            let backend = pick().unwrap_or_else(|| {
                loop {
                    waiters.wait(worker);
                    if let Some(backend) = pick() {
                        return backend;
                    }
                    beds[worker].sleep();
                }
            });
            // No worker waits at this semaphore.
            assert_eq!(backends[backend].release(), None);
            waiters.claim_all().for_each(|worker| beds[worker].wake());
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
}

fn wake(beds: &[Bed], worker: Option<usize>) {
    if let Some(worker) = worker {
        beds[worker].wake();
    }
}

/// Where a worker sleeps, like an eventfd.
#[derive(Default)]
struct Bed {
    woken: Mutex<bool>,
    bell: Condvar,
}

impl Bed {
    fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.bell.wait(woken).unwrap();
        }
        *woken = false;
    }

    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.bell.notify_one();
    }
}
