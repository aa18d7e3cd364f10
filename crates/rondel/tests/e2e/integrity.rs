//! No byte is lost, duplicated, moved or sent to the wrong connection, with any sizes and pauses.

use crate::chance::seed;
use crate::lb::{Lb, assert_no_kernel_workers};
use crate::place::long_lane;
use crate::setup::Setup;
use crate::traffic::Traffic;

#[test]
fn every_byte_arrives_at_its_position() {
    let traffic = Traffic::from_seed(seed());
    let backends = [traffic.backend("a", 9001), traffic.backend("b", 9002)];
    let lb = Lb::start(&Setup::to(&backends.each_ref().map(crate::peers::Backend::target)));

    let rounds = if long_lane() { 40 } else { 3 };
    let ((), threads) = lb.threads_during(|| {
        for round in 0..rounds {
            traffic.run(lb.address(), round * 48..(round + 1) * 48);
        }
    });
    assert_no_kernel_workers(&threads);
}

#[test]
fn single_bytes_are_neither_delayed_nor_mixed_up() {
    let backend = crate::peers::Backend::echo(9001);
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    // A round trip within what Nagle's algorithm or a delayed acknowledgement alone would take, 40 ms.
    let mut client = lb.connect();
    let begun = std::time::Instant::now();
    for byte in crate::keyed::bytes(8, 500) {
        client.echoes(&[byte]);
    }
    let each = begun.elapsed() / 500;
    assert!(each < std::time::Duration::from_millis(20), "{each:?} each");
}
