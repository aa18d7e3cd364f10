//! Clients that access lists and limits let in, refuse, or would refuse.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use config::{
    AccessIndex, Action, Config, HeaderVersions, LimitsIndex, Others, Period, Proxies, ProxyProtocol, Rate,
    Refusal,
};
use connection::{CloseReason, Stage};
use preface::{Ends, Written};
use sim::Read;
use table::Refused;

use crate::balancer::Balancer;

/// The lists and limits of a file, for the listener.
fn guard(config: &mut Config, access: &str, limits: &str) {
    let text = format!(
        "access_log: stderr\naccess: [{access}]\nlimits: [{limits}]\n\
         listeners: [{{ address: '127.0.0.1:80', pool: web }}]\n\
         pools: [{{ name: web, backends: ['10.0.0.1:80'] }}]\n"
    );
    let parsed = Config::parse("rondel.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    config.listeners[0].access = parsed.access.first().map(|_| AccessIndex(0));
    config.listeners[0].limits = parsed.limits.first().map(|_| LimitsIndex(0));
    (config.access, config.limits) = (parsed.access, parsed.limits);
    config.access_log = parsed.access_log;
}

/// Every client of a story.
const DENIED: &str = "{ name: list, rules: [{ deny: 10.8.0.0/16 }] }";

#[test]
fn a_client_that_is_denied_gets_no_slot_and_no_backend() {
    let mut balancer = Balancer::new(|config| guard(config, DENIED, ""));
    let mut client = balancer.client();
    assert_eq!(balancer.read(&mut client), Read::Reset);
    assert_eq!(balancer.ended(), [(CloseReason::Denied, 1)]);
    assert!(balancer.stage.accepted().is_none());
    assert!(balancer.worker.inspect().connections.is_empty());
    assert_eq!((balancer.gate.active(), balancer.listener().semaphore.active()), (0, 0));
    let record = balancer.records.take().unwrap();
    assert_eq!((record.stage, record.backend.is_none()), (Stage::Accepted, true));
    assert!(record.client.is_some());
}

#[test]
fn in_a_trial_a_client_is_counted_and_served() {
    let mut balancer = Balancer::new(|config| {
        guard(config, DENIED, "{ name: few, connections: 1, source: { v4: 24 } }");
        config.access[0].refusal = Refusal { dry_run: true, ..Refusal::default() };
        config.limits[0].refusal = Refusal { dry_run: true, ..Refusal::default() };
    });
    let _first = balancer.relay();
    let _second = balancer.relay();
    let listener = balancer.listener();
    let counters = listener.counters.of(0);
    let would = Refused::ALL.map(|refused| counters.would_refuse(refused).get());
    assert_eq!(would, [2, 1, 0]);
    assert_eq!(balancer.ended(), []);
    let table = balancer.published.load_full();
    assert_eq!(table.sources.connections(), 1, "what would be refused is not counted");
}

#[test]
fn a_source_has_as_many_connections_as_it_may_and_again_when_one_has_ended() {
    let mut balancer =
        Balancer::new(|config| guard(config, "", "{ name: few, connections: 2, source: { v4: 24 } }"));
    let (mut first, mut backend) = balancer.relay();
    let _second = balancer.relay();
    let mut third = balancer.client();
    assert_eq!(balancer.read(&mut third), Read::Reset);
    assert_eq!(balancer.ended(), [(CloseReason::SourceLimit, 1)]);
    first.finish();
    balancer.turn_while_there_is_something();
    backend.finish();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.published.load_full().sources.connections(), 1);
    let _fourth = balancer.relay();
    assert_eq!(balancer.published.load_full().sources.connections(), 2);
}

#[test]
fn a_source_that_comes_too_fast_waits_for_its_rate_and_not_for_those_that_were_refused() {
    let mut balancer = Balancer::new(|config| {
        guard(config, "", "{ name: slow, rate: 1/s, burst: 1, source: { v4: 24 } }");
    });
    let _first = balancer.relay();
    for _ in 0..5 {
        let mut next = balancer.client();
        assert_eq!(balancer.read(&mut next), Read::Reset);
    }
    assert_eq!(balancer.ended(), [(CloseReason::SourceRate, 5)]);
    balancer.pass(Duration::from_millis(1001));
    let _second = balancer.relay();
}

#[test]
fn behind_a_proxy_the_address_in_the_header_decides() {
    let mut balancer = Balancer::new(|config| {
        guard(config, "{ name: list, rules: [{ deny: 192.0.2.0/24 }] }", "{ name: few, connections: 1 }");
        let versions = HeaderVersions { v1: true, v2: true };
        config.listeners[0].proxy_protocol =
            Some(ProxyProtocol { from: Proxies::Any, others: Others::Refuse, versions });
    });
    let visit = |balancer: &mut Balancer, address: &str| {
        let ends = Ends::new(address.parse().unwrap(), "198.51.100.2:443".parse().unwrap());
        let mut client = balancer.client();
        client.say(Written::v1(&ends).as_bytes());
        balancer.turn_while_there_is_something();
        client
    };
    let mut denied = visit(&mut balancer, "192.0.2.1:1000");
    assert_eq!(balancer.read(&mut denied), Read::Reset);
    let _first = visit(&mut balancer, "203.0.113.1:1000");
    balancer.next_backend();
    let _other = visit(&mut balancer, "203.0.113.2:1000");
    balancer.next_backend();
    let mut again = visit(&mut balancer, "203.0.113.1:1001");
    assert_eq!(balancer.read(&mut again), Read::Reset);
    assert_eq!(balancer.ended(), [(CloseReason::Denied, 1), (CloseReason::SourceLimit, 1)]);
}

/// What an operator says while a client opens holds for it.
#[test]
fn a_client_is_judged_by_the_table_that_is_in_force_when_its_header_is_whole() {
    let mut balancer = Balancer::new(|config| {
        guard(config, "{ name: list, rules: [{ allow: 192.0.2.0/24 }] }", "");
        let versions = HeaderVersions { v1: true, v2: true };
        config.listeners[0].proxy_protocol =
            Some(ProxyProtocol { from: Proxies::Any, others: Others::Refuse, versions });
    });
    let mut client = balancer.client();
    Arc::make_mut(&mut balancer.config.access[0].rules)[0].action = Action::Deny;
    balancer.reload(&[]);
    balancer.turn();
    let ends = Ends::new("192.0.2.1:1000".parse().unwrap(), "198.51.100.2:443".parse().unwrap());
    client.say(Written::v1(&ends).as_bytes());
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.read(&mut client), Read::Reset);
    assert_eq!(balancer.ended(), [(CloseReason::Denied, 1)]);
}

/// Looking for a client where there is none takes nothing of the rate.
#[test]
fn a_client_that_comes_after_the_interval_of_the_rate_is_accepted_at_once() {
    let rate = |config: &mut Config| {
        let number = NonZeroU32::new(1).unwrap();
        config.listeners[0].rate = Some(Rate { number, period: Period::Second });
    };
    let mut balancer = Balancer::new(rate);
    // In steps, as ACKs of backends are held back for a part of it.
    let pass_interval = |balancer: &mut Balancer| {
        for _ in 0..51 {
            balancer.stage.pass(Duration::from_millis(20));
            if balancer.worker.next_deadline().is_some_and(|due| due <= balancer.now()) {
                balancer.turn();
            }
            balancer.turn_while_there_is_something();
        }
    };
    let _first = balancer.relay();
    let _second = balancer.client();
    assert_eq!(balancer.worker.inspect().connections.len(), 1, "it waits in the queue of the kernel");
    pass_interval(&mut balancer);
    assert_eq!(balancer.worker.inspect().connections.len(), 2);
    pass_interval(&mut balancer);
    let _third = balancer.client();
    assert_eq!(balancer.worker.inspect().connections.len(), 3);
}
