//! Whether the clients of a pool speak first, learnt from those that came before.
//!
//! The last ACK of a handshake with a backend can wait for the client's first bytes and go in one segment with them.
//! That saves a segment, and the backend a wake-up, wherever clients speak first (HTTP, TLS, PostgreSQL, Redis). Where
//! the backend does (MySQL, SMTP, SSH), it would only be greeted later, so what did not pay is tried ever more rarely.

use std::sync::atomic::{AtomicU32, Ordering};

/// What one worker has learnt of a pool. One thread writes it.
#[derive(Debug, Default)]
pub struct AckHold {
    /// Connections that go without before the next try.
    rest: AtomicU32,
    /// How many went without before the last try.
    gap: AtomicU32,
}

impl AckHold {
    /// Whether the ACK of the connection that begins now is worth holding back.
    pub fn is_due(&self) -> bool {
        let rest = self.rest.load(Ordering::Relaxed);
        if rest > 0 {
            self.rest.store(rest - 1, Ordering::Relaxed);
        }
        rest == 0
    }

    /// The client spoke first.
    pub fn paid(&self) {
        if self.gap.load(Ordering::Relaxed) > 0 {
            self.gap.store(0, Ordering::Relaxed);
            self.rest.store(0, Ordering::Relaxed);
        }
    }

    /// The backend spoke first.
    pub fn failed(&self) {
        let gap = (self.gap.load(Ordering::Relaxed) * 2).clamp(1, GAP_MAX);
        self.gap.store(gap, Ordering::Relaxed);
        self.rest.store(gap, Ordering::Relaxed);
    }
}

/// How many connections go without between two tries, at most: clients may change.
const GAP_MAX: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::{AckHold, GAP_MAX};

    #[test]
    fn what_does_not_pay_is_tried_ever_more_rarely() {
        // One column per connection: `.` the client speaks first, `x` the backend; below, whether its ACK was held.
        check("......", "yyyyyy");
        check("xxxxxxxxxxxxxx", "ynynnynnnnynnn");
        check("xx.xx.......", "ynyynyyyyyyy");
        check("...x........", "yyyynyyyyyyy");
    }

    #[track_caller]
    fn check(clients: &str, expected: &str) {
        let learnt = AckHold::default();
        let held: String = clients.chars().map(|client| connection(&learnt, client)).collect();
        assert_eq!(held, expected);
    }

    fn connection(learnt: &AckHold, client: char) -> char {
        if !learnt.is_due() {
            return 'n';
        }
        if client == '.' {
            learnt.paid();
        } else {
            learnt.failed();
        }
        'y'
    }

    #[test]
    fn it_is_tried_again() {
        let learnt = AckHold::default();
        let held = (0..100 * GAP_MAX).filter(|_| connection(&learnt, 'x') == 'y').count();
        assert!((90..120).contains(&held), "{held}");
    }
}
