//! Workers at a semaphore, and at the places of a pool, in every order of their accesses, or in many: no worker
//! sleeps while there is a place for it. A run in which one does ends with all asleep, which the scheduler calls a
//! deadlock.
//!
//! The scheduler explores sequentially consistent accesses. It is built in by `--cfg interleave`:
//! `scripts/interleave`.
#![cfg(interleave)]

use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::{check_dfs, check_pct, check_random, thread};
use table::{Semaphore, Waiters};

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
