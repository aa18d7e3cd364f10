//! The PROXY protocol: headers of this test, of HAProxy and of nginx, received at every cut and sent to both.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::access_log::AccessLog;
use crate::lb::{Lb, all_closes, rondel};
use crate::peers::{Backend, End, Peer};
use crate::place::{Folder, PATIENCE, address, eventually};
use crate::programs::{Nginx, try_get};
use crate::servers::{Program, run};
use crate::setup::{PORT, Setup, Target, target};

const FROM_LOOPBACK: &str = "proxy_protocol: { from: [\"127.0.0.0/8\"] }";

/// A listener with these settings, and a pool with those.
fn setup(listener: &str, pool: &str, backends: &[Target]) -> Setup {
    Setup::to_with(pool, backends).without_listeners().listen("web", address(PORT), "web", listener)
}

/// Version 2 with the addresses 192.0.2.1:56324 and 198.51.100.2:443, and these fields.
fn v2(command: u8, tlvs: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb];
    let length = u16::try_from(addresses.len() + tlvs.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11], &length, &addresses, tlvs].concat()
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";

fn lines(log: &AccessLog, number: usize) -> Vec<Value> {
    eventually("the lines are written", || log.lines().len() >= number);
    log.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_header_names_the_client_wherever_it_is_cut() {
    let echo = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.with_all(setup(FROM_LOOPBACK, "", &[echo.target()])));
    let headers = [V1.to_vec(), v2(0x21, b""), v2(0x21, b"\x05\0\x02id\xe0\0\0")];
    let mut visits = Vec::new();
    for header in &headers {
        for cut in 0..=header.len() {
            let mut client = lb.connect();
            client.send(&header[..cut]).send(&[&header[cut..], b"hello"].concat());
            assert_eq!(client.receive(5), b"hello");
            visits.push(client.local_address());
            client.finish();
            assert_eq!(client.rest(), b"");
        }
        // One byte at a time, and all at once with the end behind it.
        let mut client = lb.connect();
        for byte in header {
            client.send(&[*byte]);
        }
        client.echoes(b"slow");
        visits.push(client.local_address());
        client.finish();
        assert_eq!(client.rest(), b"");
        let mut client = lb.connect();
        client.send(&[header, &b"all"[..]].concat()).finish();
        visits.push(client.local_address());
        assert_eq!(client.rest(), b"all");
    }
    for line in lines(&log, visits.len()) {
        assert_eq!(line["client"], "192.0.2.1:56324", "{line}");
        assert_eq!(line["termination"]["code"], "--", "{line}");
        let via: SocketAddr = line["via"].as_str().unwrap().parse().unwrap();
        assert!(visits.contains(&via), "{line}");
        assert!(line["opening_ms"].as_f64().unwrap() <= line["duration_ms"].as_f64().unwrap(), "{line}");
        assert!(line["bytes_to_backend"].as_u64().unwrap() <= 5, "{line}");
    }
    assert_eq!(
        log.metric("rondel_proxy_headers_total{listener=\"web\",version=\"v1\"}"),
        V1.len() as u64 + 3
    );
    assert_eq!(log.metric("rondel_listener_openings_active{listener=\"web\"}"), 0);
    lb.end();
}

#[test]
fn what_a_header_does_not_say_is_taken_from_the_socket() {
    let echo = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.with_all(setup(FROM_LOOPBACK, "", &[echo.target()])));
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0x20, b"")] {
        let mut client = lb.connect();
        client.send(&header).echoes(b"x");
        let own = client.local_address().to_string();
        client.finish();
        client.rest();
        eventually("it is logged", || log.lines().iter().any(|line| line.contains(&own)));
    }
    for line in lines(&log, 2) {
        assert!(line.get("via").is_none(), "{line}");
    }
    lb.end();
}

/// Commands find a connection by the address of its client, not of its proxy.
#[test]
fn commands_know_the_client_and_the_proxy() {
    let echo = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.with_all(setup(FROM_LOOPBACK, "", &[echo.target()])));
    let mut client = lb.connect();
    client.send(V1).echoes(b"x");
    let silent = lb.connect();
    let listed = log.rondel(["connections"]);
    assert!(listed.contains("VIA") && listed.contains("192.0.2.1:56324"), "{listed}");
    assert!(listed.contains(&client.local_address().to_string()), "{listed}");
    eventually("the other one opens", || log.rondel(["connections"]).contains("opening"));
    let own = client.local_address().ip().to_string();
    log.rondel(["close", "--client", "192.0.2.1"]);
    assert_eq!(client.end(), End::Reset);
    assert!(!silent.heard());
    // One that has yet to show itself is known by its own address.
    log.rondel(["close", "--client", &own]);
    let mut silent = silent;
    assert_eq!(silent.end(), End::Reset);
    let codes: Vec<_> =
        lines(&log, 2).iter().map(|line| line["termination"]["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes, ["KD", "KR"]);
    lb.end();
}

#[test]
fn maglev_follows_the_client() {
    let backends: Vec<_> =
        (0..8).map(|number| Backend::named(&format!("b{number}"), 9001 + number)).collect();
    let targets: Vec<_> = backends.iter().map(Backend::target).collect();
    let lb = Lb::start(&setup(FROM_LOOPBACK, "balance: maglev", &targets));
    let mut seen = std::collections::BTreeSet::new();
    for host in 1..=32 {
        let names: Vec<_> = (0..2)
            .map(|_| {
                let mut client = lb.connect();
                client.send(format!("PROXY TCP4 192.0.2.{host} 198.51.100.2 56324 443\r\n").as_bytes()).line()
            })
            .collect();
        assert_eq!(names[0], names[1], "one client is sent to two backends");
        seen.insert(names[0].clone());
    }
    assert!(seen.len() > 3, "all clients of one proxy go to {seen:?}");
    lb.end();
}

/// A deadline that a byte moved would never be over.
#[test]
fn slow_clients_are_gone_at_the_deadline() {
    let echo = Backend::echo(9001);
    let lb = Lb::start(&setup(
        &format!("{FROM_LOOPBACK}, opening: {{ timeout: 1s, connections: 1000 }}"),
        "",
        &[echo.target()],
    ));
    let begun = Instant::now();
    let mut clients: Vec<_> = (0..300).map(|_| lb.connect()).collect();
    // A byte now and then, of a header that would be right.
    for byte in &V1[..8] {
        for client in clients.iter_mut().step_by(2) {
            client.send(&[*byte]);
        }
        let mut honest = lb.connect();
        honest.send(V1).echoes(b"served meanwhile");
    }
    for client in &mut clients {
        assert_eq!(client.end(), End::Reset);
    }
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(echo.accepted(), 8, "a backend saw a client that did not show itself");
    assert_eq!(all_closes(&lb.end()).get("opening_timed_out"), Some(&300));
}

#[test]
fn curl_sends_a_header() {
    let nginx = Nginx::start("a", 9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.with_all(setup(FROM_LOOPBACK, "", &[nginx.target()])));
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--haproxy-protocol", "--interface", "127.0.0.9"]);
    run(curl.arg(format!("http://{}/", lb.address())));
    let line = &lines(&log, 1)[0];
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.9:"), "{line}");
    // Without one it is refused.
    let mut curl = Command::new("curl");
    let status =
        curl.args(["--silent", "--max-time", "20"]).arg(format!("http://{}/", lb.address())).status();
    assert!(!status.unwrap().success());
    lb.end();
}

#[test]
fn a_peer_that_is_no_proxy_may_be_a_client() {
    let echo = Backend::echo(9001);
    let lb = Lb::start(&setup(
        "proxy_protocol: { from: [\"192.0.2.0/24\"], others: plain }",
        "",
        &[echo.target()],
    ));
    // Its bytes are its own, whatever they look like.
    lb.connect().echoes(V1);
    lb.end();
}

/// Says the first bytes that it was sent, in hexadecimal.
fn hearing(port: u16, length: usize) -> Backend {
    Backend::scripted("hearing", port, move |mut peer| {
        let header = peer.receive(length);
        let hex: Vec<_> = header.iter().map(|byte| format!("{byte:02x}")).collect();
        peer.send(format!("{}\n", hex.concat()).as_bytes());
        drop(peer.echo());
    })
}

#[test]
fn a_header_is_sent_before_all_else() {
    let ends = |client: &Peer| (client.local_address(), address(PORT));
    let text = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let line = Backend::scripted("line", 9001, |mut peer| {
        let line = peer.line();
        peer.send(format!("{line}\n").as_bytes());
        drop(peer.echo());
    });
    let lb = Lb::start(&setup("", "send_proxy: v1", &[line.target()]));
    for early in [false, true] {
        let mut client = lb.connect();
        if early {
            client.send(b"early");
        }
        let (from, to) = ends(&client);
        let expected = format!("PROXY TCP4 {} {} {} {}\r", from.ip(), to.ip(), from.port(), to.port());
        assert_eq!(client.line(), expected);
        if early {
            assert_eq!(client.receive(5), b"early");
        }
        client.echoes(b"and on");
    }
    lb.end();

    let hearing = hearing(9002, 28 + 35);
    let log = AccessLog::new();
    let pool = "send_proxy: { version: v2, tlvs: [unique_id] }";
    let lb = Lb::start(&log.with_all(setup("", pool, &[hearing.target()])));
    let mut client = lb.connect();
    let heard = text(&client.line());
    let (from, to) = ends(&client);
    let (IpAddr::V4(from_ip), IpAddr::V4(to_ip)) = (from.ip(), to.ip()) else { panic!("IPv4") };
    let addresses = [from_ip.octets(), to_ip.octets()].concat();
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    assert_eq!(heard[..12], *b"\r\n\r\n\0\r\nQUIT\n");
    assert_eq!(heard[12..16], [0x21, 0x11, 0, 12 + 35]);
    assert_eq!(heard[16..28], [addresses, ports].concat());
    assert_eq!(heard[28..31], [0x05, 0, 32]);
    client.finish();
    client.rest();
    // The log has the same identifier.
    let id = String::from_utf8(heard[31..].to_vec()).unwrap();
    assert_eq!(lines(&log, 1)[0]["unique_id"], id);
    lb.end();
}

/// What one proxy says, the next is told: the client, and the fields that are to be passed on.
#[test]
fn a_header_is_passed_on() {
    let echo = hearing(9001, 28 + 4);
    let pool = "send_proxy: { version: v2, tlvs: [pass] }";
    let lb = Lb::start(&setup(FROM_LOOPBACK, pool, &[echo.target()]));
    let mut client = lb.connect();
    client.send(&v2(0x21, b"\xe0\0\x01a\x02\0\x01h"));
    let heard = client.line();
    assert_eq!(heard[24..], "2111".to_owned() + "0010" + "c0000201c6336402dc0401bb" + "e0000161");
    drop(client);
    lb.end();
}

/// A header goes with each attempt, and to the backend that took the connection.
#[test]
fn a_second_attempt_has_a_header_of_its_own() {
    let line = Backend::scripted("line", 9002, |mut peer| {
        let line = peer.line();
        peer.send(format!("{line}\n").as_bytes());
    });
    let refusing = crate::peers::refusing("refusing", 9001);
    let lb = Lb::start(&setup("", "send_proxy: v1, eject: off", &[refusing, line.target()]));
    for _ in 0..4 {
        assert!(lb.connect().line().starts_with("PROXY TCP4 "));
    }
    lb.end();
}

/// A program that this configuration file makes.
fn program(name: &str, file: &str, config: &str, at: SocketAddr, arguments: &[&str]) -> Program {
    let folder = Folder::new();
    std::fs::write(folder.file(file), config.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
    let mut command = Command::new(name);
    command.args(arguments).arg(folder.file(file));
    Program::start(folder, command, at)
}

fn haproxy(sections: &str, at: SocketAddr) -> Program {
    let config = format!(
        "global\n  maxconn 1000\ndefaults\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n{sections}"
    );
    program("haproxy", "haproxy.cfg", &config, at, &["-db", "-f"])
}

fn nginx(sections: &str, at: SocketAddr) -> Program {
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
        daemon off; master_process off; pid FOLDER/pid; error_log FOLDER/error.log info; events {{}}
        {sections}"
    );
    program("nginx", "nginx.conf", &config, at, &["-c"])
}

#[test]
fn haproxy_and_nginx_send_headers() {
    let echo = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.with_all(setup(FROM_LOOPBACK, "", &[echo.target()])));
    let (to, [v1, v2, nginx_at]) = (address(PORT), [8101, 8102, 8103].map(address));
    let _haproxy = haproxy(
        &format!(
            "listen v1\n  mode tcp\n  bind {v1}\n  server r {to} send-proxy\n\
             listen v2\n  mode tcp\n  bind {v2}\n  server r {to} send-proxy-v2 proxy-v2-options crc32c,unique-id\n  \
             unique-id-format %ci:%cp\n"
        ),
        v2,
    );
    let _nginx = nginx(
        &format!("stream {{ server {{ listen {nginx_at}; proxy_pass {to}; proxy_protocol on; }} }}"),
        nginx_at,
    );
    for at in [v1, v2, nginx_at] {
        let mut client = Peer::connect(at);
        client.echoes(b"through two proxies");
        let own = format!("\"client\":\"{}\"", client.local_address());
        client.finish();
        assert_eq!(client.rest(), b"");
        eventually("the client is logged", || log.lines().iter().any(|line| line.contains(&own)));
    }
    lb.end();
}

#[test]
fn haproxy_and_nginx_read_headers() {
    let [haproxy_at, nginx_at] = [9001, 9002].map(address);
    let _haproxy = haproxy(
        &format!(
            "frontend f\n  mode http\n  bind {haproxy_at} accept-proxy\n  \
             http-request return status 200 content-type text/plain lf-string \"%[src]:%[src_port]\"\n"
        ),
        haproxy_at,
    );
    let nginx = nginx(
        &format!(
            "http {{ access_log off; client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy;
            fastcgi_temp_path FOLDER/fastcgi; uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
            server {{ listen {nginx_at} proxy_protocol;
            location / {{ return 200 $proxy_protocol_addr:$proxy_protocol_port; }} }} }}"
        ),
        nginx_at,
    );
    for (name, port) in [("haproxy", 9001), ("nginx", 9002)] {
        for version in ["v1", "{ version: v2, tlvs: [unique_id, crc32c] }"] {
            let log = AccessLog::new();
            let pool = format!("send_proxy: {version}, probe: {{ http: /, interval: 100ms }}");
            let lb = Lb::start(&log.with_all(setup("", &pool, &[target(name, port)])));
            let mut client = lb.connect();
            client.send(b"GET / HTTP/1.0\r\n\r\n");
            let page = String::from_utf8(client.rest()).unwrap();
            assert!(
                page.ends_with(&format!("\r\n\r\n{}", client.local_address())),
                "{name} {version}: {page}"
            );
            drop(client);
            eventually("the probe passes", || log.rondel(["backends"]).contains("up"));
            lb.end();
        }
    }
    // Not one of the headers, those of probes among them, was broken.
    assert!(!nginx.output().contains("broken header"), "{}", nginx.output());
    assert!(try_get(nginx_at).is_err(), "without a header nginx answers nothing");
}

#[test]
fn check_warns_of_a_listener_that_believes_every_peer() {
    let folder = Folder::new();
    let file = folder.file("rondel.yaml");
    std::fs::write(&file, setup("proxy_protocol: { from: any }", "", &[target("a", 9001)]).to_string())
        .unwrap();
    let said = rondel(["check", file.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("every client that reaches it may claim any address"), "{}", said.text);
}
