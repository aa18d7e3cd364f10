//! The rate of a listener, by times that a test makes up.

use std::time::{Duration, Instant};

use super::Rate;

/// Those that may come within `time`, if one tries as soon as it may.
fn come(interval: Duration, time: Duration) -> usize {
    let epoch = now();
    let rate = Rate::default();
    let mut at = epoch + Duration::from_secs(5);
    let end = at + time;
    let mut come = 0;
    while at < end {
        match rate.take(interval, at) {
            Ok(()) => come += 1,
            Err(until) => {
                assert!(until > at, "it is to wait for some time");
                at = until;
            }
        }
    }
    come
}

#[test]
fn no_more_come_than_may_and_no_fewer() {
    let second = Duration::from_secs(1);
    assert_eq!(come(Duration::from_micros(200), 10 * second), 50_000 + 499);
    assert_eq!(come(Duration::from_millis(100), 10 * second), 100);
    assert_eq!(come(Duration::from_secs(6), 60 * second), 10);
}

#[test]
fn what_did_not_come_is_given_back() {
    let epoch = now();
    let (rate, interval) = (Rate::default(), Duration::from_secs(1));
    for _ in 0..100 {
        assert_eq!(rate.take(interval, epoch), Ok(()));
        rate.give_back(interval);
    }
    assert_eq!(rate.take(interval, epoch), Ok(()));
    assert_eq!(rate.take(interval, epoch), Err(epoch + interval));
}

#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
fn now() -> Instant {
    Instant::now()
}
