//! iperf3 as client and backend: bulk transfer in each direction, without a kernel thread.

use std::process::Command;

use crate::lb::{Lb, assert_no_kernel_workers};
use crate::programs::Iperf;
use crate::servers::run;
use crate::setup::Setup;

#[test]
fn one_stream_to_the_backend() {
    bulk(1, &[]);
}

#[test]
fn one_stream_to_the_client() {
    bulk(1, &["--reverse"]);
}

#[test]
fn eight_streams_to_the_backend() {
    bulk(8, &[]);
}

#[test]
fn eight_streams_to_the_client() {
    bulk(8, &["--reverse"]);
}

#[track_caller]
fn bulk(streams: u32, further: &[&str]) {
    let iperf = Iperf::start("iperf", 9001);
    let lb = Lb::start(&Setup::to(&[iperf.target()]));

    let (report, threads) = lb.threads_during(|| {
        let to = lb.address();
        run(Command::new("iperf3")
            .args(["--client", &to.ip().to_string(), "--port", &to.port().to_string()])
            .args(["--time", "2", "--parallel", &streams.to_string(), "--json"])
            .args(further))
    });
    let received = bytes_received(&report);
    println!("{streams} streams {further:?}: {} MB/s", received / 2_000_000);
    assert!(received > 50_000_000, "{report}");
    assert_no_kernel_workers(&threads);
}

/// The sum over all streams, counted by the receiving side.
fn bytes_received(report: &str) -> u64 {
    let sum = report.split_once("\"sum_received\"").unwrap_or_else(|| panic!("no sum in {report}")).1;
    let bytes = sum.split_once("\"bytes\":").unwrap().1;
    bytes.split_once(',').unwrap().0.trim().parse().unwrap()
}
