//! Clients that connect repeatedly, each time over a new connection, and the result of each visit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::place::eventually;

/// Clients, each on a separate thread.
pub(crate) struct Visitors<T> {
    state: Arc<State>,
    clients: Vec<JoinHandle<Vec<Visit<T>>>>,
}

#[derive(Default)]
struct State {
    over: AtomicBool,
    served: AtomicUsize,
}

/// One connection of a client, from its start to its end.
#[derive(Debug)]
pub(crate) struct Visit<T> {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// The answer, or the error.
    pub(crate) saw: Result<T, String>,
}

impl<T: Send + 'static> Visitors<T> {
    /// This many clients, each with a short pause between visits.
    pub(crate) fn come(count: usize, visit: impl Fn() -> Result<T, String> + Clone + Send + 'static) -> Self {
        let state = Arc::new(State::default());
        let client = |_| {
            let (state, visit) = (Arc::clone(&state), visit.clone());
            thread::spawn(move || {
                let mut visits = Vec::new();
                while !state.over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let saw = visit();
                    state.served.fetch_add(usize::from(saw.is_ok()), Ordering::Relaxed);
                    visits.push(Visit { begun, ended: Instant::now(), saw });
                    thread::sleep(PAUSE);
                }
                visits
            })
        };
        let clients = (0..count).map(client).collect();
        Self { state, clients }
    }

    /// Waits until this many more visits were served.
    #[track_caller]
    pub(crate) fn wait_for(&self, visits: usize) {
        let enough = self.state.served.load(Ordering::Relaxed) + visits;
        eventually("visits are served", || self.state.served.load(Ordering::Relaxed) >= enough);
    }

    /// Stops them. Returns all visits, in the order in which they began.
    #[track_caller]
    pub(crate) fn leave(mut self) -> Vec<Visit<T>> {
        self.state.over.store(true, Ordering::Relaxed);
        let clients = std::mem::take(&mut self.clients).into_iter();
        let mut visits: Vec<_> =
            clients.flat_map(|client| client.join().expect("a client does not panic")).collect();
        visits.sort_by_key(|visit| visit.begun);
        visits
    }
}

impl<T> Drop for Visitors<T> {
    /// A test that fails leaves no client for the next one.
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
    }
}

/// The visits that began from this time on.
pub(crate) fn since<T>(visits: &[Visit<T>], begin: Instant) -> &[Visit<T>] {
    &visits[visits.partition_point(|visit| visit.begun < begin)..]
}

/// The visits that began from one time on and ended by another.
pub(crate) fn within<T>(visits: &[Visit<T>], begin: Instant, end: Instant) -> Vec<&Visit<T>> {
    since(visits, begin).iter().filter(|visit| visit.ended <= end).collect()
}

/// The errors of failed visits.
pub(crate) fn failures<T>(visits: &[Visit<T>]) -> Vec<&str> {
    visits.iter().filter_map(|visit| visit.saw.as_ref().err()).map(String::as_str).collect()
}

/// Asserts that all visits were served, and that there were some.
#[track_caller]
pub(crate) fn all_served<T>(visits: &[Visit<T>]) {
    assert_eq!(failures(visits), Vec::<&str>::new(), "of {} visits", visits.len());
    assert!(!visits.is_empty());
}

/// When the first visit was served, from this time on.
#[track_caller]
pub(crate) fn first_served<T>(visits: &[Visit<T>], begin: Instant) -> Instant {
    let served = visits.iter().filter(|visit| visit.saw.is_ok() && visit.ended >= begin);
    served.map(|visit| visit.ended).min().expect("no visit was served")
}

/// How long the slowest visit took.
pub(crate) fn longest<T>(visits: &[Visit<T>]) -> Duration {
    visits.iter().map(|visit| visit.ended - visit.begun).max().unwrap_or_default()
}

/// How many visits each server got.
pub(crate) fn shares<'a>(visits: impl IntoIterator<Item = &'a Visit<String>>) -> BTreeMap<&'a str, usize> {
    let mut shares = BTreeMap::new();
    for server in visits.into_iter().filter_map(|visit| visit.saw.as_ref().ok()) {
        *shares.entry(server.as_str()).or_default() += 1;
    }
    shares
}

/// The pause between two visits of a client, which leaves the servers CPU time.
const PAUSE: Duration = Duration::from_millis(2);
