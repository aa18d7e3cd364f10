//! The dashboard and its event stream: they are accurate soon after each change, and viewers do not delay
//! connections.

mod telephone;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use connection::CloseReason;
use rustix::process::Signal;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::admin::{Admin, curl};
use crate::browser::{ARROW_DOWN, Browser, ENTER};
use crate::lb::Lb;
use crate::peers::Backend;
use crate::place::{PATIENCE, address, eventually};
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
    let uneven = "const width = (row) => [...row.cells].reduce((sum, cell) => sum + cell.colSpan, 0); \
        return [...document.querySelectorAll('tr')].filter((row) => \
        width(row) !== width(row.closest('table').tHead.lastElementChild)).map((row) => row.innerText)";
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
    browser.wait_for("#problems", "warning pool web: backend alpha, 1 of 2, is down since ");
    println!("the page shows the backend down {:?} after the balancer does", known.elapsed());
    browser.wait_for("#pools", "DOWN");
    browser.wait_for("#events", "backend alpha: is down");
    admin.done("drain web/beta");
    browser.wait_for("#problems", "ERROR pool web: no backend is available: 1 down and 1 drained");
    browser.wait_for("#problems", "note pool web: backend beta, 1 of 2, is drained: it has 0 connections");
    // A note is no problem, and the words are those of the status.
    browser.wait_for("#health-title", "2 problems");
    let said: Value = serde_json::from_str(&curl("/status.json", &[]).1).unwrap();
    let texts = said["problems"].as_array().unwrap().iter().map(|problem| problem["text"].as_str().unwrap());
    let page = browser.text("#problems");
    assert_eq!(page.lines().count(), texts.clone().count(), "{page}");
    for (line, text) in page.lines().zip(texts) {
        assert!(line.split_once(' ').unwrap().1.starts_with(text), "{line} instead of {text}");
    }
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

/// Of the backends of [`many_pools`], ten for each pool.
const FIRST_PORT: u16 = 10_001;

/// So many pools. Of one, `sick`, the first of three backends is down; those of the others have no probe.
fn many_pools(pools: u16, sick: u16) -> Setup {
    let mut setup = Setup::empty();
    for number in 0..pools {
        let name = format!("svc-{number}");
        let (backends, settings) = if number == sick { (3, PROBE) } else { (10, "") };
        let first = FIRST_PORT + number * 10;
        let targets: Vec<_> =
            (first..first + backends).map(|port| target(&format!("b{port}"), port)).collect();
        setup = setup.listen(&name, address(20_000 + number), &name, "").pool(&name, settings, &targets);
    }
    setup
}

/// The lines of the errors and warnings. The tests run with a log level that is worth a note.
#[track_caller]
fn wrong(browser: &Browser) -> Vec<String> {
    let page = browser.text("#problems");
    page.lines().filter(|line| !line.starts_with("note ")).map(str::to_owned).collect()
}

/// The names of the pools that the page lists, in their order.
#[track_caller]
fn listed(browser: &Browser) -> Vec<String> {
    let names = "return [...document.querySelectorAll('#pools tr.line a')].map((link) => link.textContent)";
    serde_json::from_value(browser.run(names, &json!([]))).unwrap()
}

#[test]
fn of_many_pools_the_sick_one_is_on_the_first_screen() {
    for (pools, sick, height_max) in [(15, 10, 1600), (100, 70, 4500)] {
        let first = FIRST_PORT + sick * 10;
        let _alive = [first + 1, first + 2].map(|port| Backend::named("alive", port));
        let admin = Admin::new();
        let mut lb = Lb::start(&admin.of(many_pools(pools, sick)));
        for (width, height) in [(1440, 900), (390, 844)] {
            let browser = Browser::start(width, height);
            browser.go(&format!("http://{}/", Admin::http()));
            browser.wait_for("#health-title", "1 problem");
            let problem = wrong(&browser).remove(0);
            assert!(
                problem.starts_with(&format!(
                    "warning pool svc-{sick}: backend b{first}, 1 of 3, is down since "
                )),
                "{problem}"
            );
            assert!(problem.ends_with(": connection refused"), "{problem}");
            assert_eq!(listed(&browser)[0], format!("svc-{sick}"), "it is the first of all");
            assert_eq!(listed(&browser).len(), usize::from(pools));
            let rows = "return [...document.querySelectorAll('#problems a, #pools tr.line, #pools .detail tbody tr')].slice(0, 3)\
                .map((row) => row.getBoundingClientRect()).every(({ top, bottom }) => top >= 0 && bottom <= innerHeight)";
            assert_eq!(
                browser.run(rows, &json!([])),
                true,
                "its line and its first backend are on the screen"
            );
            if width > 1000 {
                let page = browser.run("return document.documentElement.scrollHeight", &json!([]));
                assert!(page.as_u64().unwrap() <= height_max, "{pools} pools take {page} pixels");
            }
            assert_eq!(browser.complaints(), [""; 0]);
        }
        lb.signal(Signal::TERM);
        assert_eq!(lb.ended(), 0);
    }
}

#[test]
fn the_filter_works_by_keys_and_is_in_the_address() {
    let admin = Admin::new();
    let mut lb = Lb::start(&admin.of(many_pools(15, 10)));
    let browser = Browser::start(1440, 900);
    let page = |fragment: &str| {
        // Another page in between, because a browser does not load a page again for another fragment.
        browser.go("about:blank");
        browser.go(&format!("http://{}/{fragment}", Admin::http()));
        browser.wait_for("#health-title", "1 problem");
    };
    page("#state=problem");
    assert_eq!(listed(&browser), ["svc-10"]);
    page("#q=svc-1&state=good");
    assert_eq!(listed(&browser), ["svc-1", "svc-11", "svc-12", "svc-13", "svc-14"]);
    page("#sort=name&q=svc-1");
    assert_eq!(listed(&browser), ["svc-1", "svc-10", "svc-11", "svc-12", "svc-13", "svc-14"]);
    // A backend finds its pool, in which it is alone.
    page("#q=b10055");
    assert_eq!(listed(&browser), ["svc-5"]);
    page("#pool=svc-14");
    browser.wait_for("#pools .target .detail", "b10141");
    let focused = "return document.activeElement.ariaLabel ?? document.activeElement.id";
    assert_eq!(browser.run(focused, &json!([])), "details of svc-14");

    page("");
    browser.press("/svc-4");
    assert_eq!(listed(&browser), ["svc-4"]);
    assert_eq!(browser.run("return location.hash", &json!([])), "#q=svc-4");
    browser.press(&format!("{ARROW_DOWN}{ENTER}"));
    browser.wait_for("#pools .detail", "b10041");
    assert_eq!(browser.run(focused, &json!([])), "details of svc-4");
    let outlined = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.run(outlined, &json!([])), "solid", "the focus is visible");
    assert_eq!(browser.run("return location.hash", &json!([])), "#q=svc-4&pool=svc-4");
    browser.press(ENTER);
    assert_eq!(browser.text("#pools .detail"), "");
    browser.press("/zzz");
    browser.wait_for("#nothing", "No pool matches the filter");
    browser.run("document.querySelector('#clear').click()", &json!([]));
    assert_eq!(listed(&browser).len(), 15);
    assert_eq!(browser.complaints(), [""; 0]);
    drop(browser);
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

#[test]
fn many_backends_that_are_down_take_one_line_and_few_rows() {
    let alive = Backend::named("alive", 9060);
    let mut targets: Vec<_> = (9001..9060).map(|port| target(&format!("b{port}"), port)).collect();
    targets.push(alive.target());
    let admin = Admin::new();
    let mut lb = Lb::start(&admin.of(Setup::to_with(PROBE, &targets)));
    let browser = Browser::start(1440, 900);
    browser.go(&format!("http://{}/", Admin::http()));
    browser.wait_for("#problems", "pool web: 59 of 60 backends are down since ");
    assert_eq!(wrong(&browser).len(), 1);
    browser.wait_for("#pools .line", "59 DOWN");
    browser.wait_for("#pools .more", "Show 50 more: 49 DOWN, 1 UP");
    let page = browser.run("return document.documentElement.scrollHeight", &json!([]));
    assert!(page.as_u64().unwrap() <= 1500, "60 backends take {page} pixels");
    browser.run("document.querySelector('#pools .more').click()", &json!([]));
    let rows = "return document.querySelectorAll('#pools .detail tbody tr').length";
    assert_eq!(browser.run(rows, &json!([])), 60);
    assert_eq!(browser.complaints(), [""; 0]);
    drop(browser);

    // If all pools have the same problem, it is one line, too.
    let setup = (0..15).fold(Setup::empty(), |setup, number| {
        let name = format!("svc-{number}");
        let first = 9001 + number * 2;
        let targets = [target("a", first), target("b", first + 1)];
        setup.listen(&name, address(20_000 + number), &name, "").pool(&name, PROBE, &targets)
    });
    lb.reload(&admin.of(setup));
    let browser = Browser::start(1440, 900);
    browser.go(&format!("http://{}/", Admin::http()));
    browser.wait_for(
        "#problems",
        "ERROR pools svc-0, svc-1, svc-2, svc-3, svc-4 and 10 more: all 2 backends are down since ",
    );
    assert_eq!(wrong(&browser).len(), 1);
    browser.wait_for("#health-title", "15 problems");
    drop(browser);
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

#[test]
fn the_charts_are_filled_when_the_page_is_opened() {
    let a = Nginx::start("a", 9001);
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[a.target()]));
    let mut lb = Lb::start(&setup);
    wrk(lb.address(), 8, 1, Reuse::ConnectionPerRequest).flawless();
    let kept = || -> Value { serde_json::from_str(&curl("/history.json", &[]).1).unwrap() };
    let rates = |history: &Value, kind: &str| -> Vec<f64> {
        serde_json::from_value(history[kind][0]["rate"].clone()).unwrap()
    };
    let is_busy = |rates: &[f64]| rates.len() >= 3 && rates.iter().any(|rate| *rate > 1.0);
    eventually("there are three samples", || is_busy(&rates(&kept(), "pools")));
    let before = kept();
    assert_eq!(
        (&before["pools"][0]["name"], &before["listeners"][0]["name"]),
        (&json!("web"), &json!("web"))
    );
    assert!(is_busy(&rates(&before, "listeners")), "{before}");
    let times: Vec<f64> = serde_json::from_value(before["times"].clone()).unwrap();
    assert!(times.is_sorted_by(|one, next| next - one >= 1.49), "{times:?}");

    // By its name, the pool keeps them over a reload that replaces its backend.
    lb.reload(&admin.of(Setup::to(&[target("b", 9002)])));
    let after = kept();
    assert_eq!(rates(&after, "pools")[..times.len()], rates(&before, "pools"));

    let browser = Browser::start(1440, 900);
    browser.go(&format!("http://{}/", Admin::http()));
    browser.wait_for("#connection", "Live");
    let older = "return series.get('pool/web')?.times.filter((time) => time * 1000 < performance.timeOrigin).length ?? 0";
    eventually("the page has samples that are older than itself", || {
        browser.run(older, &json!([])).as_u64().unwrap() >= times.len() as u64
    });
    let line = "return document.querySelector('#pools .spark .line').getAttribute('d')";
    eventually("they are drawn", || {
        browser.run(line, &json!([])).as_str().is_some_and(|path| path.contains('L'))
    });
    // No label of an axis is rounded to another value, or to that of its neighbour.
    let labels = "return [[[0, 0.5, 1], AXES.rate], [[0, 1, 2], AXES.count], [[0, 500, 1000], AXES.count], \
        [[0, 512, 1024], AXES.bytes]].map(([ticks, axis]) => axisLabels(ticks, axis.units).join(' | '))";
    let expected = json!(["0 | 0.5 | 1", "0 | 1 | 2", "0 | 0.5 k | 1 k", "0 | 0.5 KiB | 1 KiB"]);
    assert_eq!(browser.run(labels, &json!([])), expected);
    assert_eq!(browser.run("return AXES.count.steps.every(Number.isInteger)", &json!([])), true);
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
