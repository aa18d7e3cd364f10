//! A wait ends.

use std::time::Duration;

use driver::Driver;

use crate::{Side, nothing_completes};

scripts! {
    a_waker_ends_a_wait
    a_deadline_ends_a_wait
}

fn a_waker_ends_a_wait(side: &mut impl Side) {
    side.wake();
    let mut done = Vec::new();
    side.kernel().wait(None, &mut done).unwrap();
    assert_eq!(done, []);
    // It ends one wait.
    nothing_completes(side);
}

fn a_deadline_ends_a_wait(side: &mut impl Side) {
    let deadline = side.kernel().now() + Duration::from_millis(20);
    let mut done = Vec::new();
    side.kernel().wait(Some(deadline), &mut done).unwrap();
    assert_eq!(done, []);
    assert!(side.kernel().now() >= deadline);
}
