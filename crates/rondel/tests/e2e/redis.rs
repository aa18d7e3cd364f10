//! redis as backend: many small requests in flight, and one big value.

use std::fs::{self, File};
use std::process::Command;

use crate::keyed;
use crate::lb::Lb;
use crate::place::Folder;
use crate::servers::{Redis, run, run_for_bytes};
use crate::setup::{Setup, target};

#[test]
fn one_request_at_a_time() {
    benchmark(1, 20_000);
}

#[test]
fn sixteen_requests_at_a_time() {
    benchmark(16, 200_000);
}

#[test]
fn a_value_of_ten_megabytes_comes_back_unchanged() {
    let _redis = Redis::start(9001, &[]);
    let lb = Lb::start(&Setup::to(&[target("redis", 9001)]));
    let folder = Folder::new();
    let value = keyed::bytes(6, 10_000_000);
    fs::write(folder.file("value"), &value).unwrap();

    let client = || client("redis-cli", &lb);
    let set = run(client().args(["-x", "SET", "big"]).stdin(File::open(folder.file("value")).unwrap()));
    assert_eq!(set, "OK\n");
    // Raw output ends with an extra line end.
    let mut got = run_for_bytes(client().args(["--raw", "GET", "big"])).stdout;
    assert_eq!(got.pop(), Some(b'\n'));
    assert_eq!(got.len(), value.len());
    keyed::check(6, 0, &got);
}

#[track_caller]
fn benchmark(pipelined: u32, requests: u32) {
    let _redis = Redis::start(9001, &[]);
    let lb = Lb::start(&Setup::to(&[target("redis", 9001)]));

    let report = run(client("redis-benchmark", &lb)
        .args(["-c", "50", "-P", &pipelined.to_string(), "-n", &requests.to_string()])
        .args(["-t", "set,get,incr,lpush,mset", "-q"]));
    println!("{report}");
    for test in ["SET:", "GET:", "INCR:", "LPUSH:", "MSET"] {
        let done =
            report.split(['\r', '\n']).any(|line| line.starts_with(test) && line.contains("per second"));
        assert!(done, "{test} is missing in {report}");
    }
    assert!(!report.contains("rror"), "{report}");
}

fn client(program: &str, lb: &Lb) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", &lb.address().ip().to_string(), "-p", &lb.address().port().to_string()]);
    command
}
