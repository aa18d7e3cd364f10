//! Thousands of backends that go down together, as when the network behind the balancer fails.

use std::net::TcpListener;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use crate::admin::{Admin, curl};
use crate::lb::Lb;
use crate::peers::listen;
use crate::place::{address, eventually};
use crate::setup::{Setup, target};

const POOLS: u16 = 20;
const BACKENDS: u16 = 100; // Of each pool.
const PROBE: &str = "probe: { tcp: {}, interval: 1s, timeout: 1s, fast_interval: 200ms }";

#[test]
fn thousands_of_backends_that_go_down_together_delay_no_answer() {
    // A socket for each backend, whose kernel accepts its probes.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let ports = |pool: u16| (0..BACKENDS).map(move |backend| 10_000 + pool * BACKENDS + backend);
    let sockets: Vec<TcpListener> = (0..POOLS).flat_map(ports).map(|port| listen(address(port))).collect();
    let setup = (0..POOLS).fold(Setup::empty(), |setup, pool| {
        let name = format!("svc-{pool}");
        let targets: Vec<_> = ports(pool).map(|port| target(&format!("b{port}"), port)).collect();
        setup.listen(&name, address(20_000 + pool), &name, "").pool(&name, PROBE, &targets)
    });
    let admin = Admin::new();
    let _lb = Lb::start(&admin.of(setup));
    let all = usize::from(POOLS * BACKENDS);
    eventually("all are up", || backends("up") == all);

    drop(sockets);
    let since = Instant::now();
    // Each status comes before curl gives up.
    eventually("all are down", || backends("down") == all);
    println!("{all} backends are down after {:?}", since.elapsed());
}

/// How many backends have this state.
#[track_caller]
fn backends(state: &str) -> usize {
    let (code, body) = curl("/status.json", &[]);
    assert_eq!(code, "200");
    let status: Value = serde_json::from_str(&body).unwrap();
    let pools = status["pools"].as_array().unwrap().iter();
    let backends = pools.flat_map(|pool| pool["backends"].as_array().unwrap());
    backends.filter(|backend| backend["state"] == state).count()
}
