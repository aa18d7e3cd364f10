//! Waiting for something that nobody announces, with an end.

use std::thread;
use std::time::{Duration, Instant};

/// Asks again and again until `happened`; false if it did not within `limit`.
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

/// Asks again and again until the answer has been the same for as long as `still`; false if it was not within `limit`.
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

/// Short beside what is waited for, long beside what asking costs.
const PAUSE: Duration = Duration::from_millis(5);
