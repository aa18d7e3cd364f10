//! Two hundred reloads under load: no connection notices.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::chance::seed;
use crate::lb::Lb;
use crate::place::address;
use crate::programs::{Nginx, Reuse, wrk};
use crate::setup::{PORT, Setup};
use crate::traffic::Traffic;

#[test]
fn no_connection_notices_two_hundred_reloads() {
    let traffic = Traffic::from_seed(seed());
    let streams = traffic.backend("streams", 9004);
    let backends = [Nginx::start("a", 9001), Nginx::start("b", 9002), Nginx::start("c", 9003)];
    let [a, b, c] = backends.each_ref().map(Nginx::target);
    let with_streams = |setup: Setup| {
        setup.listen("streams", address(8081), "streams", "").pool("streams", "", &[streams.target()])
    };
    let good = [
        with_streams(Setup::to(&[a.clone(), b.clone()])).to_string(),
        with_streams(Setup::to_with("idle_timeout: 2h", &[b.clone(), c.clone()])).to_string(),
        with_streams(Setup::to(&[c.weighing(3), a.weighing(2), b])).to_string(),
    ];
    let broken = good[0].replace("backends", "backend");
    let lb = Lb::start(&good[0]);

    thread::scope(|scope| {
        let loads = [Reuse::KeepAlive, Reuse::ConnectionPerRequest]
            .map(|reuse| scope.spawn(move || wrk(address(PORT), 20, 6, reuse)));
        scope.spawn(|| traffic.run(address(8081), 0..20));

        // The pace is the subject of the test.
        let begun = Instant::now();
        for number in 1..=200_u32 {
            let due = begun + Duration::from_millis(20) * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match number % 10 {
                9 => lb.write_config(&broken),
                _ => lb.write_config(&good[number as usize % 3]),
            }
            lb.signal(Signal::HUP);
        }
        for load in loads {
            let load = load.join().unwrap();
            println!("{} requests", load.flawless().requests);
        }
    });

    // A broken file at the end: the last valid one still serves.
    lb.reload(&good[1]);
    lb.reload_refused(&broken);
    wrk(lb.address(), 10, 1, Reuse::ConnectionPerRequest).flawless();
    assert!(lb.threads().len() < 10, "{:?}", lb.threads());
}
