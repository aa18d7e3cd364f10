//! Waiting by polling, with a limit.

use std::thread;
use std::time::{Duration, Instant};

/// Polls until `happened`; false if it does not within `limit`.
#[expect(
    clippy::disallowed_methods,
    reason = "a port that starts to listen, or a socket in /proc, sends no event"
)]
pub(crate) fn until(limit: Duration, mut happened: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !happened() {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

/// Polls until the value has not changed for `still`; false if that does not happen within `limit`.
#[expect(clippy::disallowed_methods, reason = "what does nothing sends no event")]
pub(crate) fn until_same<T: PartialEq>(still: Duration, limit: Duration, mut ask: impl FnMut() -> T) -> bool {
    let (mut answer, mut since) = (ask(), Instant::now());
    until(limit, || {
        let now = ask();
        if now != answer {
            (answer, since) = (now, Instant::now());
        }
        since.elapsed() >= still
    })
}

/// Short compared with what is awaited, long compared with the cost of polling.
const PAUSE: Duration = Duration::from_millis(5);
