//! The statistics of a connection.

use std::net::SocketAddr;
use std::time::Duration;

use config::{AccessLog, Facility, LogFormat, LogTarget, TargetRole, Waiting};
use connection::{CloseReason, Direction, Termination};
use sim::Peer;
use table::Phase;
use worker::ConnectionStats;

use crate::balancer::{Balancer, PRIMARY};

#[test]
fn a_connection_records_its_durations_and_bytes() {
    let mut silent = None;
    let mut balancer = Balancer::new(|config| {
        let hold = Waiting { connections_max: 2, timeout: Duration::from_secs(60) };
        config.listeners[0].target_role = TargetRole::Primary(hold);
        config.pools[0].connect_timeout = CONNECT_TIMEOUT;
        silent = Some(config.pools[0].backends[0].clone());
    });
    let serving = balancer.config.pools[0].backends[0].address;
    let mut second = silent.expect("the config was set");
    second.address = balancer.stage.silent();
    let silent = second.address;
    balancer.config.pools[0].backends.push(second);
    balancer.reload(&[]);

    let accepted_at = balancer.now();
    let mut client = balancer.client();
    balancer.stage.pass(HELD);
    // The primary is known, and silent; then another server is the primary.
    balancer.reload(&[(silent, PRIMARY)]);
    balancer.turn_while_there_is_something();
    balancer.reload(&[(serving, PRIMARY)]);
    balancer.pass(CONNECT_TIMEOUT);
    let mut backend = balancer.next_backend();
    say(&mut balancer, &mut client, 10);
    assert_eq!(stats(&balancer).last, Direction::ToBackend);
    say(&mut balancer, &mut backend, 30);
    balancer.stage.pass(Duration::from_secs(5));

    let stats = stats(&balancer);
    assert!(near(stats.accepted_at - accepted_at, Duration::ZERO), "{stats:?}");
    assert!(near(stats.waited.into(), HELD), "{stats:?}");
    assert!(near(stats.connecting.into(), CONNECT_TIMEOUT), "{stats:?}");
    assert_eq!((stats.attempts, stats.ahead), (2, 0));
    assert_eq!((stats.bytes, stats.last), ([10, 30], Direction::ToClient));
}

#[test]
fn each_end_has_a_record_with_the_state_it_reached() {
    let mut balancer = Balancer::new(|config| {
        config.access_log = Some(LOG);
        config.pools[0].idle_timeout = IDLE;
    });
    let (mut client, mut backend) = balancer.relay();
    say(&mut balancer, &mut client, 10);
    say(&mut balancer, &mut backend, 20);
    backend.finish();
    balancer.turn_while_there_is_something();
    client.reset();
    balancer.turn_while_there_is_something();
    check_record(&mut balancer, CloseReason::ClientReset, "CL", [10, 20]);

    // Neither side has sent anything, then the client has.
    let _silent = balancer.relay();
    balancer.pass(2 * IDLE);
    check_record(&mut balancer, CloseReason::Idle, "cD", [0, 0]);
    let (mut client, _backend) = balancer.relay();
    say(&mut balancer, &mut client, 5);
    balancer.pass(2 * IDLE);
    check_record(&mut balancer, CloseReason::Idle, "sD", [5, 0]);

    let _client = balancer.relay();
    balancer.publish(Phase::Ending);
    balancer.turn();
    while balancer.turn() {}
    check_record(&mut balancer, CloseReason::Drained, "KD", [0, 0]);
    assert!(balancer.records.take().is_none());
}

/// The log may come and go while clients wait, and with it whether their addresses are asked for.
#[test]
fn a_tenant_is_not_taken_for_the_one_before_it() {
    let mut balancer = Balancer::new(|config| {
        let hold = Waiting { connections_max: 2, timeout: Duration::from_secs(60) };
        config.listeners[0].target_role = TargetRole::Primary(hold);
        config.access_log = Some(LOG);
    });
    let first = balancer.client();
    balancer.config.access_log = None;
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    first.reset();
    balancer.turn_while_there_is_something();
    assert!(balancer.records.take().is_none());
    let second = balancer.client();
    balancer.config.access_log = Some(LOG);
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    second.reset();
    balancer.turn_while_there_is_something();
    let record = balancer.records.take().expect("it is logged when it ends");
    assert_eq!(record.client, Some(SocketAddr::from(([10, 8, 0, 1], 1025))), "the kernel's second client");
}

const LOG: AccessLog = AccessLog {
    to: LogTarget::Stderr,
    facility: Facility::Local0,
    format: LogFormat::Text,
    fields: None,
    skip_empty: false,
};

#[track_caller]
fn check_record(balancer: &mut Balancer, reason: CloseReason, code: &str, bytes: [u64; 2]) {
    let record = balancer.records.take().expect("it has ended");
    assert_eq!((record.reason, Termination::of(record.reason, record.stage).code), (reason, code));
    assert_eq!(record.stats.bytes, bytes);
    assert!(record.client.is_some() && record.backend.is_some());
}

const IDLE: Duration = Duration::from_secs(30);

const HELD: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);

/// Timers tick, and a turn takes its time.
fn near(time: Duration, expected: Duration) -> bool {
    time >= expected && time < expected + Duration::from_millis(50)
}

fn say(balancer: &mut Balancer, peer: &mut Peer, bytes: u32) {
    assert_eq!(peer.send(bytes), bytes);
    balancer.turn_while_there_is_something();
}

/// Those of the only connection.
fn stats(balancer: &Balancer) -> ConnectionStats {
    let [only] = balancer.worker.inspect().connections[..] else { panic!("there is one") };
    only.stats
}
