//! The totals in the log: every connection and every byte, once.

use rustix::process::Signal;

use crate::access_log::AccessLog;
use crate::lb::{Lb, total};
use crate::peers::{Backend, refusing};
use crate::place::eventually;
use crate::setup::Setup;

#[test]
fn totals_are_exact() {
    let backends = [Backend::echo(9001), Backend::echo(9002)];
    let [a, b] = backends.each_ref().map(Backend::target);
    let (a, b) = (a.named("a"), b.named("b"));
    let lb = Lb::start(&Setup::to(&[refusing("dead", 9003), a, b]));

    let mut bytes = 0;
    for size in 0..30 {
        let mut client = lb.connect();
        client.echoes(&vec![b'x'; size * 1_000]);
        client.finish();
        assert_eq!(client.rest(), b"");
        bytes += size as u64 * 1_000;
    }
    lb.connect().reset();

    let log = lb.end();
    let web = |key| total(&log, "listener=web", key);
    assert_eq!((web("accepted"), web("active")), (31, 0));
    assert_eq!((web("bytes_to_backend"), web("bytes_to_client")), (bytes, bytes));
    assert_eq!(web("closed_done") + web("closed_client_reset"), 31);

    // The backend after the refusing one takes its turns too: dead a b, dead a b, ...
    let of = |backend, key| total(&log, &format!("backend={backend}"), key);
    assert_eq!(of("dead", "connected"), 0);
    assert_eq!(of("dead", "connect_failed"), of("dead", "picked"));
    assert_eq!(of("a", "connected") + of("b", "connected"), 31);
    assert_eq!(of("a", "bytes_to_backend") + of("b", "bytes_to_backend"), bytes);
    assert_eq!(of("a", "bytes_to_client") + of("b", "bytes_to_client"), bytes);
}

#[test]
fn a_reload_logs_the_totals() {
    let backend = Backend::named("a", 9001);
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    lb.signal(Signal::HUP);
    lb.wait_for("reloaded", 0);
    assert_eq!(total(&lb.log_text(), "listener=web", "active"), 1);
    assert_eq!(total(&lb.log_text(), "backend=a", "active"), 1);
    drop(client);
}

#[test]
fn workers_and_pools_have_counters_too() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.admin(Setup::to(&[backend.target()]).runtime("workers: 1")));
    for _ in 0..5 {
        let mut client = lb.connect();
        client.echoes(b"x");
        client.finish();
        assert_eq!(client.rest(), b"");
    }
    let of_pool =
        |name: &str| log.metric(&format!("rondel_pool_{name}_duration_seconds_count{{pool=\"web\"}}"));
    eventually("their durations are counted", || of_pool("connection") == 5);
    assert_eq!(of_pool("connect"), 5);
    let of_worker = |name: &str| log.metric(&format!("rondel_worker_{name}{{worker=\"0\"}}"));
    assert!(of_worker("turns_total") > 5);
    assert_eq!(of_worker("completion_overflows_total"), 0);
    assert!(of_worker("buffers") >= of_worker("buffers_free") && of_worker("buffers_free") > 0);
}
