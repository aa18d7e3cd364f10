//! What a request over TCP needs to be answered: the token, if there is one. Requests without it are counted and
//! logged.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::AdminToken;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use tokio::sync::watch;
use tokio::time::Instant;

/// The token in force, and the requests that were refused for lack of it.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    token: watch::Receiver<Option<AdminToken>>,
    refusals: Arc<Refusals>,
    /// The client.
    peer: IpAddr,
}

/// Requests without a valid token: all of them are counted, and one line a minute is logged.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    total: AtomicU64,
    pace: Mutex<Pace>,
}

#[derive(Debug, Default)]
struct Pace {
    logged_at: Option<Instant>,
    /// Refused since then.
    unlogged: u64,
}

impl Gate {
    /// The gate of a new connection of `peer`.
    pub(crate) fn new(
        token: &watch::Receiver<Option<AdminToken>>,
        refusals: &Arc<Refusals>,
        peer: IpAddr,
    ) -> Self {
        let mut token = token.clone();
        // Of changes, those that come are of interest.
        token.mark_unchanged();
        Self { token, refusals: Arc::clone(refusals), peer }
    }

    /// Whether clients need a token.
    pub(crate) fn is_locked(&self) -> bool {
        self.token.borrow().is_some()
    }

    /// Whether a request with these headers may be answered. One that may not is counted.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let admits = self.token.borrow().as_ref().is_none_or(|token| {
            let mut sent = headers.get_all(AUTHORIZATION).iter();
            // Of several, it would not be certain which one is meant.
            let (Some(sent), None) = (sent.next(), sent.next()) else { return false };
            bearer(sent.as_bytes()).is_some_and(|sent| token.is(sent))
        });
        if !admits {
            self.refusals.note(self.peer);
        }
        admits
    }

    /// Waits until there is another token.
    pub(crate) async fn changed(&mut self) {
        if self.token.changed().await.is_err() {
            // The process ends, and closes every connection.
            std::future::pending::<()>().await;
        }
    }
}

/// The token of a header `Authorization: Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME) && token.starts_with(b" ");
    is_bearer.then(|| token.trim_ascii())
}

impl Refusals {
    /// How many there were.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn note(&self, peer: IpAddr) {
        self.total.fetch_add(1, Ordering::Relaxed);
        // The critical section leaves it consistent.
        let due = self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        match due {
            None => {}
            Some(1) => log::warn!("admin: a request of {peer} over TCP had no valid token"),
            Some(number) => {
                log::warn!("admin: {number} requests over TCP had no valid token, the last one of {peer}");
            }
        }
    }
}

impl Pace {
    /// Counts one. Returns how many a line is due for.
    fn take(&mut self, now: Instant) -> Option<u64> {
        self.unlogged += 1;
        if self.logged_at.is_some_and(|at| now - at < LOG_INTERVAL) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

const SCHEME: &[u8] = b"bearer";

/// The least time between two lines about requests without a token.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{LOG_INTERVAL, Pace, bearer};

    #[test]
    fn a_bearer_token_is_behind_its_scheme() {
        check("Bearer abc", Some("abc"));
        check("bearer abc", Some("abc"));
        check("BEARER   abc ", Some("abc"));
        check("Bearer ", Some(""));
        check("Bearer", None);
        check("Bearerabc", None);
        check("Basic abc", None);
        check("abc", None);
        check("", None);
    }

    #[track_caller]
    fn check(header: &str, token: Option<&str>) {
        assert_eq!(bearer(header.as_bytes()), token.map(str::as_bytes), "{header}");
    }

    #[test]
    fn a_line_is_due_at_once_and_then_for_all_of_a_minute() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.take(start), Some(1));
        for second in 0..100_u64 {
            let now = start + Duration::from_millis(second * 500);
            assert_eq!(pace.take(now), None);
        }
        assert_eq!(pace.take(start + LOG_INTERVAL), Some(101));
        assert_eq!(pace.take(start + LOG_INTERVAL * 3), Some(1));
    }
}
