//! Real programs behind one port: a browser, whose hello is longer than a segment, and PostgreSQL beside TLS.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::setup;
use super::tls::{Server, handshake};
use crate::access_log::AccessLog;
use crate::lb::Lb;
use crate::place::{Folder, eventually};
use crate::servers::{Postgres, run};
use crate::setup::target;

/// The hello of Chromium has a post-quantum share, fields in a random order, and values that mean nothing (GREASE, RFC
/// 8701).
#[test]
fn a_browser_reaches_the_server_of_its_name() {
    let servers = [("one", 9001), ("web", 9002)].map(|(name, port)| Server::openssl(name, port));
    let log = AccessLog::new();
    let by_name = "{ sni: [one.example], alpn: [h2], pool: one }";
    let lb = Lb::start(&log.with_all(setup(by_name, "", &servers.each_ref().map(Server::target))));
    let profile = Folder::new();
    let at = lb.address();
    let mut browser = Command::new("chromium");
    browser
        .args(["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
        .args(["--ignore-certificate-errors", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--host-resolver-rules=MAP one.example {}", at.ip()))
        .arg(format!("https://one.example:{}/", at.port()))
        .stderr(Stdio::null());
    let page = run(&mut browser);
    assert!(page.contains("s_server"), "{page}");
    let routed = || {
        let lines = log.lines();
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["sni"] == "one.example").collect::<Vec<_>>()
    };
    eventually("it is logged", || !routed().is_empty());
    for line in routed() {
        assert_eq!((&line["backend"], &line["alpn"]), (&"one".into(), &"h2,http/1.1".into()), "{line}");
    }
    lb.end();
}

/// A client of PostgreSQL asks in the clear whether TLS is spoken, so it is not taken for one of TLS.
#[test]
fn one_port_serves_tls_and_postgres() {
    let _database = Postgres::primary(9001, "");
    let tls = Server::openssl("web", 9002);
    let lb = Lb::start(&setup("{ tls: none, pool: db }", "", &[target("db", 9001), tls.target()]));
    let mut asks = Postgres::client("psql", lb.address());
    asks.env("PGSSLMODE", "prefer");
    asks.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", "SELECT 6 * 7"]);
    assert_eq!(run(&mut asks).trim(), "42");
    assert!(handshake(lb.address(), "any.example", "").contains("CN = web"));
    lb.end();
}
