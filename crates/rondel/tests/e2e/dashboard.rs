//! The dashboard and its event stream: they are accurate soon after each change, and viewers do not delay
//! connections.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use connection::CloseReason;
use rustix::process::Signal;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::admin::{Admin, curl};
use crate::browser::Browser;
use crate::lb::Lb;
use crate::peers::Backend;
use crate::place::{PATIENCE, eventually};
use crate::programs::{Nginx, Reuse, wrk};
use crate::setup::{Setup, target};

const PROBE: &str = "probe: { tcp: {}, interval: 200ms, timeout: 200ms, fast_interval: 100ms }";

#[test]
fn a_browser_shows_a_backend_that_goes_down_and_a_lost_connection() {
    let (mut a, b) = (Nginx::start("alpha", 9001), Nginx::start("beta", 9002));
    let admin = Admin::new();
    let setup = admin.of(Setup::to_with(PROBE, &[a.target(), b.target()]));
    let mut lb = Lb::start(&setup);
    let browser = Browser::start(1400, 900);
    browser.go(&format!("http://{}/", Admin::http()));
    browser.wait_for("#health-title", "No problems");
    for word in ["alpha", "beta", "UP", "2 of 2 take connections"] {
        browser.wait_for("#pools", word);
    }
    browser.wait_for("#connection", "Live");
    // Each number is below its name.
    let uneven = "return [...document.querySelectorAll('tr')].filter((row) => row.closest('table').querySelectorAll(\
        'thead tr:last-child th').length !== row.cells.length && !row.matches('thead tr:first-child')).map((row) => row.innerText)";
    assert_eq!(browser.run(uneven, &json!([])), json!([]));
    wrk(lb.address(), 8, 1, Reuse::ConnectionPerRequest).flawless();
    browser.wait_for("#closes", "done");
    // Some of wrk's may have been reset at its end, and are listed as well.
    let meaning = "return [...document.querySelectorAll('#closes [title]')].find((item) => item.innerText.startsWith('done')).title";
    assert_eq!(browser.run(meaning, &json!([])), CloseReason::Done.meaning());

    let mark = lb.mark();
    a.kill();
    lb.wait_for("backend alpha: is down", mark);
    let known = Instant::now();
    browser.wait_for("#problems", "backend alpha: down");
    println!("the page shows the backend down {:?} after the balancer does", known.elapsed());
    browser.wait_for("#pools", "DOWN");
    browser.wait_for("#events", "backend alpha: is down");
    admin.done("drain web/beta");
    browser.wait_for("#problems", "no backend takes connections");
    browser.keep_picture("dashboard");
    browser.prefer("prefers-color-scheme", "dark");
    let ground = "return getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.run(ground, &json!([])), "rgb(18, 22, 27)");
    assert_eq!(browser.complaints(), [""; 0]);

    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
    browser.wait_for("#connection", "Disconnected since ");
    // Another process: the page finds it, and discards the state of the one before.
    let mut lb = Lb::start(&setup);
    browser.wait_for("#connection", "Live");
    browser.wait_for("#pools", "1 of 2 take connections");
    drop(browser);
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

#[test]
fn text_is_never_interpreted_as_html() {
    let backend = Backend::named("a", 9001);
    let admin = Admin::new();
    let mut lb = Lb::start(&admin.of(Setup::to(&[backend.target()])));
    // Names cannot contain such characters, but the message about a wrong file can.
    let image = "<img src=x onerror=alert(1)>";
    lb.reload_refused(&admin.of(Setup::to_with(&format!("{image:?}: 1"), &[backend.target()])));
    let browser = Browser::start(390, 844);
    browser.go(&format!("http://{}/", Admin::http()));
    browser.wait_for("#problems", image);
    browser.wait_for("#events", image);
    assert_eq!(browser.run("return document.images.length", &json!([])), 0);
    // A telephone scrolls the tables, not the page.
    let wider = "return document.documentElement.scrollWidth - innerWidth";
    assert_eq!(browser.run(wider, &json!([])), 0);
    let titles = "return [...document.querySelectorAll('table')].every(t => t.caption?.textContent && t.querySelector('th[scope=col]'))";
    assert_eq!(browser.run(titles, &json!([])), true);
    browser.keep_picture("dashboard-telephone");
    assert_eq!(browser.complaints(), [""; 0]);
    drop(browser);
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

#[test]
fn a_browser_gets_a_page_with_a_strict_policy_and_others_get_text() {
    let backend = Backend::named("a", 9001);
    let admin = Admin::new();
    let _lb = Lb::start(&admin.of(Setup::to(&[backend.target()])));
    let html = ["--header", "accept: text/html,application/xhtml+xml,*/*;q=0.8", "--include"];
    let (status, page) = curl("/", &html);
    assert_eq!(status, "200");
    let page = page.to_lowercase();
    for line in [
        "content-type: text/html",
        "content-security-policy: default-src 'none'; script-src 'self';",
        "x-content-type-options: nosniff",
        "<!doctype html>",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    let (_, text) = curl("/", &[]);
    assert!(text.contains("/status.json  the status"), "{text}");
    for path in ["/assets/dashboard.js", "/assets/reasons.js", "/assets/uplot.js", "/assets/dashboard.css"] {
        assert_eq!(curl(path, &[]).0, "200", "{path}");
        assert_eq!(curl(path, &["--data", ""]).0, "405", "{path}");
    }
    assert_eq!(curl("/assets/../dashboard.js", &["--path-as-is"]).0, "404");
}

#[test]
fn viewers_get_events_and_one_too_many_is_rejected() {
    let mut a = Nginx::start("a", 9001);
    let admin = Admin::new();
    let mut lb = Lb::start(&admin.of(Setup::to_with(PROBE, &[a.target()])));
    let mut viewers: Vec<Viewer> = (0..VIEWERS_MAX).map(|_| Viewer::watch(Admin::http())).collect();
    for viewer in &mut viewers {
        assert_eq!(viewer.next("status")["phase"], "serving");
    }
    let mut refused = Viewer::watch(Admin::http());
    assert_eq!(refused.status, "503 Service Unavailable");
    assert!(refused.rest().contains("16 viewers are connected"));
    // They do not count towards the limit of other requests.
    for _ in 0..2 * VIEWERS_MAX {
        assert_eq!(curl("/healthz", &[]).0, "200");
    }

    a.kill();
    for viewer in &mut viewers {
        let is_told = |records: &Value| records.to_string().contains("backend a: is down");
        while !is_told(&viewer.next("events")) {}
    }
    // One leaves, another one connects, and gets the past events.
    viewers.pop();
    let mut late = Viewer::watch(Admin::http());
    eventually("a slot is free", || {
        let is_told = late.status == "200 OK";
        if !is_told {
            late = Viewer::watch(Admin::http());
        }
        is_told
    });
    assert!(late.next("events").to_string().contains("backend a: is down"));

    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
    for viewer in &mut viewers {
        viewer.rest();
    }
}

#[test]
fn a_viewer_that_does_not_read_is_disconnected_and_others_are_not() {
    // With so many backends, an update exceeds the buffers of the kernel.
    let targets: Vec<_> =
        (0..400).map(|number| target(&format!("backend-{number}"), 10_000 + number)).collect();
    let admin = Admin::new();
    let mut lb = Lb::start(&admin.of(Setup::to(&targets)));
    let mut reads = Viewer::watch(Admin::http());
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&Admin::http().into()).unwrap();
    let mut idle: TcpStream = socket.into();
    idle.write_all(b"GET /events HTTP/1.0\r\n\r\n").unwrap();
    reads.next("status");
    eventually("both watch", || lb.sockets() == 2);

    eventually("the one that reads is left", || {
        reads.next("status");
        lb.sockets() == 1
    });
    reads.next("status");
    drop((reads, idle));
    // Without viewers nothing is computed.
    lb.does_not_spin();
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

#[test]
fn a_flood_of_slow_clients_delays_neither_traffic_nor_requests() {
    let (a, b) = (Nginx::start("a", 9001), Nginx::start("b", 9002));
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to_with(PROBE, &[a.target(), b.target()])));
    thread::scope(|scope| {
        let load = scope.spawn(|| wrk(lb.address(), 16, 4, Reuse::ConnectionPerRequest));
        let mut slow = Vec::new();
        for word in ["", "GET /st", "GET /metrics HTTP/1.1\r\nhost: ", "GET /events HTTP/1.0\r\n\r\n"] {
            for _ in 0..100 {
                let mut stream = TcpStream::connect(Admin::http()).unwrap();
                // The limit may have closed it by now.
                let _ = stream.write_all(word.as_bytes());
                slow.push(stream);
            }
            assert_eq!(curl("/healthz", &[]).0, "200");
            admin.done("status");
        }
        load.join().unwrap().flawless();
    });
    assert!(!lb.log_text().contains("is down: no answer"), "probes were in time: {}", lb.log_text());
}

/// The bound in docs/admin.md.
const VIEWERS_MAX: usize = 16;

/// A connection to `/events`.
struct Viewer {
    status: String,
    stream: BufReader<TcpStream>,
}

impl Viewer {
    #[track_caller]
    fn watch(at: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /events HTTP/1.0\r\n\r\n").unwrap();
        let mut viewer = Self { status: String::new(), stream: BufReader::new(stream) };
        let first = viewer.line();
        first.split_once(' ').expect("HTTP has a status").1.clone_into(&mut viewer.status);
        while !viewer.line().is_empty() {}
        viewer
    }

    /// The next event of this kind.
    #[track_caller]
    fn next(&mut self, kind: &str) -> Value {
        let wanted = format!("event: {kind}");
        while self.line() != wanted {}
        serde_json::from_str(self.line().strip_prefix("data: ").expect("an event has data")).unwrap()
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).unwrap() > 0, "the stream goes on");
        line.trim_end().to_owned()
    }

    /// Everything up to the end.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        while self.stream.read_line(&mut rest).is_ok_and(|length| length > 0) {}
        rest
    }
}
