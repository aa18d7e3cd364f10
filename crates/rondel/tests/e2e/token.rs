//! The token of `admin.http`: without it nothing is read over TCP, and each client that has it can send it.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::json;

use crate::admin::{Admin, curl};
use crate::browser::{Browser, ENTER};
use crate::lb::{Lb, run_with};
use crate::peers::Backend;
use crate::place::{Folder, PATIENCE, eventually};
use crate::setup::Setup;

const TOKEN: &str = "kv1dJ0~b-Xq9.t2_A/+4s==";
const NEXT: &str = "another-token-of-32-characters--";

/// The file of a token, and the admin interface that needs it.
pub(crate) struct Token {
    folder: Folder,
    pub(crate) admin: Admin,
}

impl Token {
    pub(crate) fn new() -> Self {
        let token = Self { folder: Folder::new(), admin: Admin::new() };
        token.write(&format!("{TOKEN}\n"));
        token
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.file("token")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
        fs::set_permissions(self.path(), Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn of(&self, setup: Setup) -> Setup {
        setup.admin(&format!(
            "socket: {}, http: {{ address: \"{}\", token_file: {} }}",
            self.admin.socket().display(),
            Admin::http(),
            self.path().display()
        ))
    }
}

/// The status of the answer to a request with this header.
#[track_caller]
fn status(path: &str, authorization: &str) -> String {
    curl(path, &["--header", &format!("Authorization: {authorization}")]).0
}

#[test]
fn without_the_token_nothing_is_read_over_tcp() {
    let backend = Backend::named("a", 9001);
    let token = Token::new();
    let lb = Lb::start(&token.of(Setup::to(&[backend.target()])));
    let mut refused = 0;
    for path in
        ["/metrics", "/status.json", "/history.json", "/events", "/ended.json", "/command", "/nothing"]
    {
        let (status, answer) = curl(path, &["--include"]);
        assert_eq!(status, "401", "{path}");
        assert!(answer.to_lowercase().contains("www-authenticate: bearer realm=\"rondel\""), "{answer}");
        assert!(!answer.contains("web"), "{answer}");
        refused += 1;
    }
    let other = format!("Bearer {TOKEN}=");
    let basic = format!("Basic {TOKEN}");
    for wrong in ["Bearer", "Bearer x", &other, &basic, TOKEN, "Bearer 0"] {
        assert_eq!(status("/metrics", wrong), "401", "{wrong}");
        refused += 1;
    }
    let right = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(curl("/metrics", &["--header", &right, "--header", &right]).0, "401", "two are not one");
    // In an address it would be in logs.
    assert_eq!(curl(&format!("/metrics?token={TOKEN}"), &[]).0, "401");
    refused += 2;
    for path in ["/metrics", "/status.json", "/history.json"] {
        assert_eq!(status(path, &format!("Bearer {TOKEN}")), "200", "{path}");
        assert_eq!(status(path, &format!("bearer  {TOKEN}")), "200", "{path}");
    }
    // With it, what is for the socket alone is still not for TCP.
    assert_eq!(status("/ended.json", &format!("Bearer {TOKEN}")), "403");

    for path in ["/", "/healthz", "/readyz", "/assets/dashboard.js"] {
        assert_eq!(curl(path, &[]).0, "200", "{path}");
    }
    assert!(token.admin.done("status").contains("serving"), "the socket needs none");
    let (_, metrics) = curl("/metrics", &["--header", &right]);
    let line = format!("rondel_admin_requests_refused_total {refused}");
    assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    let log = lb.end();
    assert_eq!(log.matches("had no valid token").count(), 1, "one line a minute: {log}");
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn a_reload_changes_the_token_and_disconnects_the_viewers_of_the_last_one() {
    let backend = Backend::named("a", 9001);
    let token = Token::new();
    let setup = token.of(Setup::to(&[backend.target()]));
    let lb = Lb::start(&setup);
    let mut viewer = Viewer::watch(TOKEN);
    lb.reload(&setup);
    viewer.next_status();

    // What is no token changes nothing.
    token.write("short\n");
    let refused = token.admin.refused("reload");
    assert!(refused.contains("it has less than 16 characters"), "{refused}");
    viewer.next_status();
    assert_eq!(status("/metrics", &format!("Bearer {TOKEN}")), "200");

    token.write(NEXT);
    let changes = token.admin.done("reload");
    assert!(changes.contains("~ admin: another token in the same file"), "{changes}");
    viewer.ends();
    assert_eq!(status("/metrics", &format!("Bearer {TOKEN}")), "401");
    assert_eq!(status("/metrics", &format!("Bearer {NEXT}")), "200");
    // A file that others may read is used, with a warning.
    let mark = lb.mark();
    fs::set_permissions(token.path(), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(token.admin.done("reload").trim(), "nothing changed");
    lb.wait_for("every user of this host may read", mark);

    // Without a token file, the address is open again; and the other way round.
    lb.reload(&token.admin.of(Setup::to(&[backend.target()])));
    assert_eq!(curl("/metrics", &[]).0, "200");
    lb.reload(&setup);
    assert_eq!(curl("/metrics", &[]).0, "401");
}

#[test]
fn a_start_needs_a_token_that_can_be_read() {
    let backend = Backend::named("a", 9001);
    let token = Token::new();
    let setup = token.of(Setup::to(&[backend.target()]));
    for (text, found) in [("", "it is empty"), ("0123456789 abcdef", "its character 11 is none of a token")] {
        token.write(text);
        let said = run_with(&[], &setup);
        assert_eq!(said.code, 3, "{}", said.text);
        assert!(said.text.contains(found) && said.text.contains("openssl rand -hex 32"), "{}", said.text);
    }
    fs::remove_file(token.path()).unwrap();
    let said = run_with(&[], &setup);
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("No such file"), "{}", said.text);
}

#[test]
fn the_dashboard_asks_for_the_token_once() {
    let backend = Backend::named("alpha", 9001);
    let token = Token::new();
    let setup = token.of(Setup::to(&[backend.target()]));
    let mut lb = Lb::start(&setup);
    let browser = Browser::start(1000, 700);
    browser.go(&format!("http://{}/", Admin::http()));
    browser.wait_for("#connection", "Token needed");
    let shown =
        "return [...document.querySelectorAll('#token, #main, footer a.data')].map((one) => !one.hidden)";
    assert_eq!(browser.run(shown, &json!([])), json!([true, false, false, false, false]));
    browser.keep_picture("dashboard-token");
    // It asks before it is refused.
    assert_eq!(browser.complaints(), [""; 0]);
    browser.press(&format!("not a token{ENTER}"));
    browser.wait_for("#token-note", "A token is letters");
    browser.run("document.querySelector('#token-text').value = ''", &json!([]));
    browser.press(&format!("wrong-token-of-some-length{ENTER}"));
    browser.wait_for("#token-note", "This token is not valid");
    browser.press(&format!("{TOKEN}{ENTER}"));
    browser.wait_for("#connection", "Live");
    browser.wait_for("#pools", "alpha");
    // A link cannot send it.
    assert_eq!(browser.run(shown, &json!([])), json!([false, true, false, false, false]));
    let kept = "return [location.href.includes(arguments[0]), document.cookie]";
    assert_eq!(browser.run(kept, &json!([TOKEN])), json!([false, ""]));
    assert!(!browser.complaints().is_empty(), "Chromium logs the 401");

    // The tab keeps it, over a load of the page and a restart of the process.
    browser.go("about:blank");
    browser.go(&format!("http://{}/", Admin::http()));
    browser.wait_for("#connection", "Live");
    browser.wait_for("#pools", "alpha");
    let charts = "return series.get('pool/web')?.times.length ?? 0";
    eventually("the history is loaded", || browser.run(charts, &json!([])).as_u64().unwrap() >= 1);
    assert_eq!(browser.complaints(), [""; 0]);
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
    browser.wait_for("#connection", "Disconnected since ");
    let mut lb = Lb::start(&setup);
    browser.wait_for("#connection", "Live");

    token.write(NEXT);
    lb.reload(&setup);
    browser.wait_for("#token-note", "This token is not valid, or not any more.");
    browser.press(&format!("{NEXT}{ENTER}"));
    browser.wait_for("#connection", "Live");
    drop(browser);
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

/// A connection to `/events`.
struct Viewer(BufReader<TcpStream>);

impl Viewer {
    #[track_caller]
    fn watch(token: &str) -> Self {
        let mut stream = TcpStream::connect(Admin::http()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /events HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
        let mut viewer = Self(BufReader::new(stream));
        viewer.next_status();
        viewer
    }

    #[track_caller]
    fn next_status(&mut self) {
        let mut line = String::new();
        while line != "event: status\n" {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream has ended");
        }
    }

    /// The stream ends.
    #[track_caller]
    fn ends(&mut self) {
        self.0.read_to_end(&mut Vec::new()).unwrap();
    }
}
