//! Clients that show themselves by a header, and backends to which they are named.

use std::time::Duration;

use config::{
    Config, HeaderField, HeaderVersion, HeaderVersions, Opening, Others, Prefix, Proxies, ProxyProtocol,
    SendProxy,
};
use connection::CloseReason;
use preface::{Ends, Item, Step, Versions, Written, read};
use sim::Read;
use worker::{Introduction, StateView};

use crate::balancer::Balancer;

const OPENING: Opening = Opening { timeout: Duration::from_secs(5), connections_max: 2 };

fn behind_a_proxy(config: &mut Config) {
    let versions = HeaderVersions { v1: true, v2: true };
    let proxy_protocol = ProxyProtocol { from: Proxies::Any, others: Others::Refuse, versions };
    config.listeners[0].proxy_protocol = Some(proxy_protocol);
    config.listeners[0].opening = OPENING;
}

fn sends(version: HeaderVersion, fields: &[HeaderField]) -> SendProxy {
    SendProxy { version, fields: fields.to_vec() }
}

fn ends() -> Ends {
    Ends::new("192.0.2.1:56324".parse().unwrap(), "198.51.100.2:443".parse().unwrap())
}

/// Every kind of header that names the client.
fn headers() -> [Written; 3] {
    [Written::v1(&ends()), Written::v2(&ends(), &[]), Written::v2(&ends(), &[Item::Crc32c])]
}

#[test]
fn no_backend_is_contacted_before_the_header_is_whole() {
    for header in headers() {
        let bytes = header.as_bytes();
        for cut in 0..bytes.len() {
            let mut balancer = Balancer::new(behind_a_proxy);
            let mut client = balancer.client();
            if cut > 0 {
                balancer.hears(&mut client, &bytes[..cut]);
            }
            let view = balancer.worker.inspect().connections[0];
            assert_eq!(view.state, StateView::Opening, "after {cut} bytes");
            assert!(balancer.stage.accepted().is_none());
            balancer.hears(&mut client, &bytes[cut..]);
            // A single byte arrives, so no mark is left that more must reach.
            client.send(1);
            let mut backend = balancer.next_backend();
            assert_eq!(balancer.read(&mut backend), Read::Bytes(1), "after {cut} bytes");
            backend.send(1);
            balancer.turn_while_there_is_something();
            assert_eq!(balancer.read(&mut client), Read::Bytes(1));
        }
    }
}

#[test]
fn what_follows_the_header_is_relayed_with_the_end() {
    for header in headers() {
        let mut balancer = Balancer::new(behind_a_proxy);
        let mut client = balancer.stage.connect(balancer.listener().address());
        client.say(header.as_bytes());
        client.send(100);
        client.finish();
        balancer.turn_while_there_is_something();
        let mut backend = balancer.next_backend();
        assert_eq!(balancer.read(&mut backend), Read::Bytes(100));
        assert_eq!(balancer.read(&mut backend), Read::Fin);
    }
}

#[test]
fn a_byte_does_not_move_the_deadline() {
    let mut balancer = Balancer::new(behind_a_proxy);
    let mut client = balancer.client();
    for byte in &headers()[0].as_bytes()[..4] {
        balancer.stage.pass(Duration::from_secs(1));
        balancer.hears(&mut client, &[*byte]);
    }
    assert_eq!(balancer.ended(), []);
    balancer.stage.pass(Duration::from_millis(1_020));
    balancer.turn();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), [(CloseReason::OpeningTimedOut, 1)]);
    assert_eq!(balancer.read(&mut client), Read::Reset);
}

#[test]
fn the_oldest_goes_for_a_newcomer() {
    let mut balancer = Balancer::new(behind_a_proxy);
    let mut clients: Vec<_> = (0..3).map(|_| balancer.client()).collect();
    assert_eq!(balancer.ended(), [(CloseReason::OpeningFull, 1)]);
    assert_eq!(balancer.read(&mut clients[0]), Read::Reset);
    for client in &mut clients[1..] {
        balancer.hears(client, headers()[1].as_bytes());
        balancer.next_backend();
    }
    assert_eq!(balancer.listener().opening_semaphore.active(), 0);
}

#[test]
fn a_header_that_is_none_ends_the_connection() {
    let crc = headers()[2];
    let mut wrong = crc.as_bytes().to_owned();
    *wrong.last_mut().unwrap() ^= 1;
    for (bytes, finishes) in
        [(&b"GET / HTTP/1.1\r\n"[..], false), (&wrong, false), (b"PROXY TCP4 ", true), (b"", true)]
    {
        let mut balancer = Balancer::new(behind_a_proxy);
        let mut client = balancer.client();
        if !bytes.is_empty() {
            balancer.hears(&mut client, bytes);
        }
        if finishes {
            client.finish();
            balancer.turn_while_there_is_something();
        }
        assert_eq!(balancer.ended(), [(CloseReason::ProxyInvalid, 1)], "{}", bytes.escape_ascii());
        assert!(balancer.stage.accepted().is_none());
        assert_eq!(balancer.listener().opening_semaphore.active(), 0);
    }
}

/// The peer decides, not what it sends.
#[test]
fn a_header_of_a_stranger_is_not_believed() {
    for (others, reason) in [(Others::Refuse, Some(CloseReason::UntrustedProxy)), (Others::Plain, None)] {
        let mut balancer = Balancer::new(|config| {
            behind_a_proxy(config);
            let listener = &mut config.listeners[0];
            let proxy_protocol = listener.proxy_protocol.as_mut().unwrap();
            let prefix = Prefix::around("192.0.2.0".parse().unwrap(), 24);
            proxy_protocol.from = Proxies::Of([prefix].into());
            proxy_protocol.others = others;
        });
        let mut client = balancer.client();
        if let Some(reason) = reason {
            assert_eq!(balancer.ended(), [(reason, 1)]);
            continue;
        }
        let header = headers()[0];
        balancer.hears(&mut client, header.as_bytes());
        let mut backend = balancer.next_backend();
        let length = u32::try_from(header.as_bytes().len()).unwrap();
        assert_eq!(balancer.read(&mut backend), Read::Bytes(length), "its bytes are its own");
    }
}

#[test]
fn a_backend_gets_the_header_before_all_else() {
    let fields = [HeaderField::UniqueId, HeaderField::Crc32c];
    for (version, fields) in
        [(HeaderVersion::V1, &[][..]), (HeaderVersion::V2, &[]), (HeaderVersion::V2, &fields)]
    {
        for header in [headers()[1], Written::local()] {
            let mut balancer = Balancer::new(|config| {
                behind_a_proxy(config);
                config.pools[0].send_proxy = Some(sends(version, fields));
            });
            let mut client = balancer.client();
            balancer.hears(&mut client, header.as_bytes());
            let mut backend = balancer.next_backend();
            let heard = backend.heard();
            let Step::Header(passed) = read(&heard, Versions::ALL) else { panic!("{heard:?}") };
            let is_local = header.as_bytes() == Written::local().as_bytes();
            if !is_local {
                assert_eq!(passed.ends, Some(ends()));
                assert_eq!(passed.tlvs.iter().count(), fields.len());
            }
            // Version 1 cannot say that the connection is the proxy's own.
            assert_eq!(passed.ends.is_none(), is_local && version == HeaderVersion::V2);
            let length = u32::try_from(heard.len()).unwrap();
            client.send(7);
            balancer.turn_while_there_is_something();
            assert_eq!(balancer.read(&mut backend), Read::Bytes(length + 7));
        }
    }
}

/// It goes with each attempt. The ACK of the handshake goes with it, so none is held back.
#[test]
fn each_attempt_sends_the_header() {
    let mut balancer =
        Balancer::new(|config| config.pools[0].send_proxy = Some(sends(HeaderVersion::V1, &[])));
    let mut refusing = balancer.config.pools[0].backends[0].clone();
    refusing.address = balancer.stage.refusing();
    balancer.config.pools[0].backends.push(refusing);
    balancer.reload(&[]);
    for _ in 0..4 {
        let client = balancer.client();
        let backend = balancer.next_backend();
        assert!(backend.heard().starts_with(b"PROXY TCP4 10.8.0."));
        client.reset();
        balancer.turn_while_there_is_something();
    }
}

#[test]
fn the_record_has_the_client_and_the_proxy() {
    let mut balancer = Balancer::new(|config| {
        behind_a_proxy(config);
        config.access_log = Some(config::AccessLog {
            to: config::LogTarget::Stderr,
            facility: config::Facility::Local0,
            fields: None,
            format: config::LogFormat::Json,
            skip_empty: false,
        });
    });
    let mut client = balancer.client();
    balancer.pass(Duration::from_millis(300));
    balancer.hears(&mut client, headers()[0].as_bytes());
    balancer.next_backend();
    client.reset();
    balancer.turn_while_there_is_something();
    let record = balancer.records.take().unwrap();
    assert_eq!(record.client, Some(ends().client));
    let Introduction { via, opening, .. } = *record.introduction.unwrap();
    assert!(via.is_some_and(|via| via.ip().to_string().starts_with("10.8.0.")));
    assert!(Duration::from(opening.unwrap()) >= Duration::from_millis(300));
}
