//! The admin interface: each command, its permissions, and that its clients never delay connections.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::Signal;

use crate::lb::{Lb, Said, binary, rondel, run_with};
use crate::peers::Backend;
use crate::place::{Folder, PATIENCE, address, eventually};
use crate::programs::{Nginx, Reuse, wrk};
use crate::servers::{run, run_for_bytes};
use crate::setup::Setup;

/// The admin interface of a test's balancer.
pub(crate) struct Admin(Folder);

impl Admin {
    pub(crate) fn new() -> Self {
        Self(Folder::new())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.file("admin.sock")
    }

    pub(crate) fn http() -> SocketAddr {
        address(9907)
    }

    /// `setup` with this interface, on the socket and over TCP.
    pub(crate) fn of(&self, setup: Setup) -> Setup {
        setup.admin(&format!("socket: {}, http: \"{}\"", self.socket().display(), Self::http()))
    }

    /// Runs `rondel` with these arguments and this socket.
    #[track_caller]
    pub(crate) fn rondel(&self, line: &str) -> Said {
        let socket = self.socket();
        let words: Vec<&str> = line.split(' ').chain(["--socket", socket.to_str().unwrap()]).collect();
        rondel(words)
    }

    /// The same, and it succeeds.
    #[track_caller]
    pub(crate) fn done(&self, line: &str) -> String {
        let said = self.rondel(line);
        assert_eq!(said.code, 0, "rondel {line}: {}", said.text);
        said.text
    }

    /// The same, and it is rejected.
    #[track_caller]
    pub(crate) fn refused(&self, line: &str) -> String {
        let said = self.rondel(line);
        assert_eq!(said.code, 3, "rondel {line}: {}", said.text);
        said.text
    }
}

/// The status and the body that curl gets for a path over TCP.
#[track_caller]
pub(crate) fn curl(path: &str, more: &[&str]) -> (String, String) {
    let url = format!("http://{}{path}", Admin::http());
    let mut command = Command::new("curl");
    let said = run(command
        .args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}"])
        .args(more)
        .arg(url));
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn status_and_backends_show_the_current_state() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target(), b.target()])));
    let mut client = lb.connect();
    assert_eq!(client.line(), "a");

    let status = admin.done("status");
    assert!(status.contains("serving"), "{status}");
    assert!(status.contains("1 of 10000 connections, 1 accepted"), "{status}");
    assert!(status.contains("2 of 2 backends take connections"), "{status}");

    let backends = admin.done("backends");
    let line = backends.lines().find(|line| line.starts_with("web/a ")).unwrap();
    let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    let address = a.target().address.to_string();
    let expected =
        ["web/a", &address, "active", "no probe", "-", "-", "1", "1", "1", "1", "0", "-", "-", "-"];
    assert_eq!(words, expected, "{backends}");

    let json = admin.done("status --json");
    assert!(json.contains(r#""phase":"serving""#), "{json}");
    let (status, body) = curl("/status.json", &[]);
    assert_eq!(status, "200");
    assert!(body.contains(r#""name":"web""#), "{body}");
    drop(client);
}

#[test]
fn a_reload_reports_changes_and_a_broken_file_its_problem() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[a.target()]));
    let lb = Lb::start(&setup);
    assert_eq!(admin.done("reload").trim(), "nothing changed");

    lb.write_config(&admin.of(Setup::to(&[a.target(), b.target()])));
    assert!(admin.done("reload").contains("+ backend b"));
    // In force when the command returns: round robin continues with the other backend.
    let names = [lb.connect().line(), lb.connect().line()];
    assert!(names.contains(&"a".to_owned()) && names.contains(&"b".to_owned()), "{names:?}");

    lb.write_config(&admin.of(Setup::to_with("idle_timeoot: 1s", &[a.target()])));
    let refused = admin.refused("reload");
    assert!(refused.contains("rondel.yaml:7") && refused.contains("idle_timeoot"), "{refused}");
    let refused = admin.refused("reload --json");
    assert!(refused.contains(r#"{"refused":{"lines":["#), "{refused}");
    lb.write_config(&setup.clone().admin("socket: off"));
    assert!(admin.refused("reload").contains("admin.socket"));

    assert!(admin.done("status").contains("reloads: 2 applied, 3 refused"));
    let (_, metrics) = curl("/metrics", &[]);
    for line in
        ["rondel_config_reloads_total{result=\"applied\"} 2", "rondel_config_last_reload_successful 0"]
    {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn a_plan_changes_nothing() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let folder = Folder::new();
    let next = folder.file("next.yaml");
    let plan = format!("plan {}", next.display());

    fs::write(&next, admin.of(Setup::to(&[b.target()])).to_string()).unwrap();
    let planned = admin.done(&plan);
    assert!(planned.contains("+ backend b") && planned.contains("- backend a"), "{planned}");
    assert_eq!(lb.connect().line(), "a");
    assert!(admin.done("status").contains("reloads: 0 applied, 0 refused"));

    fs::write(&next, admin.of(Setup::to(&[a.target()])).runtime("workers: 1").to_string()).unwrap();
    assert!(admin.refused(&plan).contains("runtime.workers"));
    fs::write(&next, "nonsense").unwrap();
    assert!(admin.refused(&plan).contains("next.yaml"));
}

#[test]
fn a_drained_backend_gets_no_new_connections_and_keeps_the_old() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[a.target(), b.target()]));
    let lb = Lb::start(&setup);
    let mut client = lb.connect();
    assert_eq!(client.line(), "a");

    assert!(admin.done("drain web/a").contains("it has 1 connection"));
    let picks: String = (0..4).map(|_| lb.connect().line()).collect();
    assert_eq!(picks, "bbbb");
    client.echoes(b"as before");
    // It survives a reload, and is shown.
    lb.reload(&setup);
    assert_eq!(lb.connect().line(), "b");
    assert!(
        admin.done("backends").lines().any(|line| line.starts_with("web/a ") && line.contains("drained"))
    );

    let said = admin.rondel("drain web/a --wait 1");
    assert_eq!(said.code, 6, "{}", said.text);
    drop(client);
    assert!(admin.done("drain web/a --wait 20").contains("no connection is left"));
    admin.done("undrain web/a");
    let picks = [lb.connect().line(), lb.connect().line()].concat();
    assert!(picks == "ab" || picks == "ba", "{picks}");
    drop(lb);
}

/// `rondel drain web/a --wait 60`, after it has printed how many connections are left.
#[track_caller]
fn waiting(admin: &Admin, says: &str) -> Lb {
    let socket = admin.socket();
    Lb::command(&["drain", "web/a", "--wait", "60", "--socket", socket.to_str().unwrap()], says)
}

#[test]
fn drain_waits_even_if_a_reload_removes_the_backend() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = |backends: &[_]| admin.of(Setup::to_with("on_remove: keep", backends));
    let lb = Lb::start(&setup(&[a.target(), b.target()]));
    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    let mut waiting = waiting(&admin, "1 connection left");
    lb.reload(&setup(&[b.target()]));
    client.echoes(b"as before");
    drop(client);
    assert_eq!(waiting.ended(), 0);
    let said = waiting.log_text();
    assert!(said.contains("no connection is left, and a reload removed the backend"), "{said}");
}

#[test]
fn a_drain_fails_if_it_is_undone_or_the_process_ends() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let mut lb = Lb::start(&admin.of(Setup::to(&[a.target(), b.target()])));
    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    let mut first = waiting(&admin, "1 connection left");
    admin.done("undrain web/a");
    assert_eq!(first.ended(), 1);
    assert!(first.log_text().contains("the backend is no longer drained"), "{}", first.log_text());

    let mut second = waiting(&admin, "1 connection left");
    lb.signal(Signal::TERM);
    lb.wait_for("draining", 0);
    lb.signal(Signal::TERM);
    lb.ended();
    assert_eq!(second.ended(), 1);
    let said = second.log_text();
    assert!(
        said.contains("the number of connections left is not known") && said.contains("admin.sock"),
        "{said}"
    );
}

#[test]
fn drain_with_a_closed_output_ends_silently() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target(), b.target().weighing(0)])));
    let mut clients = [lb.connect(), lb.connect()];
    for client in &mut clients {
        assert_eq!(client.line(), "a");
    }
    let mut drain = Command::new(binary())
        .args(["drain", "web/a", "--wait", "60", "--socket"])
        .arg(admin.socket())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(drain.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "2 connections left"));
    drop(lines);
    let [first, second] = clients;
    drop(first);
    let output = drain.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(1), Vec::new()));
    drop(second);
}

#[test]
fn enable_removes_the_overrides_of_a_backend() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[a.target(), b.target()]));
    let lb = Lb::start(&setup);
    let picks = |count: usize| -> String { (0..count).map(|_| lb.connect().line()).collect() };

    admin.done(&format!("weight web/{} 3", a.target().address));
    assert_eq!(picks(8).matches('a').count(), 6);
    admin.done("disable web/a");
    assert_eq!(picks(4), "bbbb");
    // It survives a reload.
    lb.reload(&setup);
    assert_eq!(picks(4), "bbbb");
    let backends = admin.done("backends");
    assert!(
        backends.lines().any(|line| line.contains(" down ") && line.contains("disabled,weight=3")),
        "{backends}"
    );
    let last = admin.done("drain web/b");
    assert!(last.contains("no backend of pool web takes new connections now"), "{last}");
    admin.done("enable web/a");
    admin.done("enable web/b");
    assert_eq!(picks(4).matches('a').count(), 2);

    for line in ["drain web/none", "weight db/a 1", "failback none"] {
        admin.refused(line);
    }
    let said = admin.rondel("weight web/a 257");
    assert_eq!(said.code, 2, "{}", said.text);
}

#[test]
fn failback_returns_to_the_active_tier() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let [a_at, b_at] = [&a, &b].map(|backend| backend.target().address);
    let setup = admin.of(Setup::to(&[])).to_string();
    let backends = format!(
        "backends: [{{ name: a, address: \"{a_at}\" }}, {{ name: b, address: \"{b_at}\", tier: backup }}], \
         probe: {{ tcp: {{}} }}, failback: manual"
    );
    let lb = Lb::start(&setup.replace("backends: []", &backends));
    assert_eq!(lb.connect().line(), "a");

    admin.done("disable web/a");
    assert_eq!(lb.connect().line(), "b");
    assert!(admin.done("status").contains("the backup tier serves"));
    assert!(admin.refused("failback web").contains("too few backends"));
    admin.done("enable web/a");
    assert_eq!(lb.connect().line(), "b", "failback is manual");
    admin.done("failback web");
    assert_eq!(lb.connect().line(), "a");
    assert!(admin.done("failback web").contains("serves already: nothing changed"));
}

#[test]
fn a_drain_under_load_loses_no_request() {
    let (a, b) = (Nginx::start("a", 9001), Nginx::start("b", 9002));
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target(), b.target()])));
    thread::scope(|scope| {
        let load = scope.spawn(|| wrk(lb.address(), 16, 3, Reuse::ConnectionPerRequest));
        eventually("both backends have work", || a.accepted() > 10 && b.accepted() > 10);
        for _ in 0..5 {
            admin.done("drain web/a --wait 20");
            admin.done("undrain web/a");
        }
        load.join().unwrap().flawless();
    });
}

#[test]
fn events_report_what_the_log_does() {
    let (mut a, b) = (Nginx::start("a", 9001), Nginx::start("b", 9002));
    let admin = Admin::new();
    let probe = "probe: { tcp: {}, interval: 200ms, timeout: 200ms, fast_interval: 100ms }";
    let setup = admin.of(Setup::to_with(probe, &[a.target(), b.target().with("tier: backup")]));
    let mut lb = Lb::start(&setup);
    a.kill();
    lb.wait_for("pool web: the backup tier serves", 0);
    a.start_again();
    lb.wait_for("pool web: the active tier serves", 0);
    admin.done("drain web/b");
    lb.reload_refused(&"nonsense");
    lb.write_config(&setup);
    admin.done("reload");

    let chronicle = records();
    let happened: Vec<String> =
        chronicle.iter().map(|record| format!("{}: {}", record.0, record.1)).collect();
    let log = lb.log_text();
    let mut left = happened.iter();
    for expected in [
        "verdict: pool web, backend a: is down: ",
        "tier: pool web: the backup tier serves",
        "verdict: pool web, backend a: is up",
        "tier: pool web: the active tier serves",
        "command: admin: uid=0 pid=",
        "reload: reload refused: ",
        "reload: reloaded: nothing changed",
    ] {
        assert!(
            left.any(|line| line.starts_with(expected)),
            "{expected} is missing or out of order: {happened:#?}"
        );
    }
    for (_, text) in &chronicle {
        assert!(log.contains(text.as_str()), "the log does not say {text}");
    }
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

/// The kind and the text of each event.
#[track_caller]
fn records() -> Vec<(String, String)> {
    let status: serde_json::Value = serde_json::from_str(&curl("/status.json", &[]).1).unwrap();
    let word = |record: &serde_json::Value, key| record[key].as_str().unwrap().to_owned();
    let records = status["events"].as_array().unwrap().iter();
    records.map(|record| (word(record, "kind"), word(record, "text"))).collect()
}

#[test]
fn only_its_user_and_group_have_access() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let socket = admin.socket();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let as_nobody = |more: &[&str], path: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "nobody"]).args(more).args(["curl", "--silent", "--max-time", "20"]);
        let output =
            command.arg("--unix-socket").arg(&socket).arg(format!("http://rondel{path}")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let stranger = ["--regid", "nogroup", "--clear-groups"];
    assert_eq!(as_nobody(&stranger, "/status.json"), "");

    // If the socket file is open to every user, the peer is still checked.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    for path in ["/status.json", "/metrics", "/healthz", "/command", "/connections"] {
        let said = as_nobody(&stranger, path);
        assert!(said.starts_with("only the user and the group"), "{said}");
    }
    lb.wait_for("neither the user nor in the group", 0);
    assert!(as_nobody(&["--regid", "root", "--clear-groups"], "/healthz").contains("alive"));
    assert!(as_nobody(&["--regid", "nogroup", "--groups", "root"], "/healthz").contains("alive"));
}

#[test]
fn nothing_is_changed_over_tcp() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let command = r#"{"drain":{"backend":"web/a"}}"#;
    assert_eq!(curl("/command", &["--data", command]).0, "403");
    for path in ["/status.json", "/metrics", "/readyz", "/"] {
        assert_eq!(curl(path, &["--data", command]).0, "405", "{path}");
    }
    assert_eq!(curl("/../etc/passwd", &["--path-as-is"]).0, "404");
    assert_eq!(lb.connect().line(), "a");

    let answer = run(Command::new("curl").args(["--silent", "--unix-socket"]).arg(admin.socket()).args([
        "--data",
        command,
        "http://rondel/command",
    ]));
    assert!(answer.starts_with(r#"{"done":["#), "{answer}");
}

#[test]
fn health_follows_the_drain() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let mut lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    assert_eq!(admin.done("health").trim(), "ready");
    assert_eq!(curl("/readyz", &[]), ("200".to_owned(), "ready\n".to_owned()));

    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    lb.signal(Signal::TERM);
    lb.wait_for("draining", 0);
    assert_eq!(curl("/readyz", &[]), ("503".to_owned(), "draining\n".to_owned()));
    assert_eq!(curl("/healthz", &[]).0, "200");
    assert_eq!(admin.rondel("health").code, 1);
    assert!(admin.refused("drain web/a").contains("draining"));
    drop(client);
    assert_eq!(lb.ended(), 0);
    assert!(!admin.socket().exists());
    let said = admin.rondel("health");
    assert_eq!(said.code, 1);
    assert!(said.text.contains("no rondel listens"), "{}", said.text);
}

#[test]
fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[a.target()]));
    let lb = Lb::start(&setup);
    let other = Setup::to(&[a.target()])
        .without_listeners()
        .listen("other", address(8081), "web", "")
        .admin(&format!("socket: {}", admin.socket().display()));
    let said = run_with(&[], &other);
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains("another process listens on it"), "{}", said.text);

    lb.kill();
    assert!(admin.socket().exists());
    let _lb = Lb::start(&setup);
    admin.done("health");
}

#[test]
fn the_log_level_can_be_changed() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    admin.done("log-level error");
    admin.done("reload");
    assert!(admin.done("status").contains("log: error"));
    let mark = lb.mark();
    admin.done("drain web/a");
    admin.done("log-level info");
    admin.done("undrain web/a");
    lb.wait_for("is no longer drained", mark);
    assert!(!lb.log_from(mark).contains("is drained"), "{}", lb.log_from(mark));
}

#[test]
fn silent_clients_do_not_delay_others() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let mut slow: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(Admin::http()).unwrap()).collect();
    for stream in &mut slow {
        // The limit has closed the first of them by now.
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: ");
    }
    let _silent: Vec<UnixStream> = (0..100).map(|_| UnixStream::connect(admin.socket()).unwrap()).collect();

    admin.done("status");
    assert_eq!(curl("/healthz", &[]).0, "200");
    assert_eq!(lb.connect().line(), "a");
    // None of them is kept for long.
    for stream in &mut slow {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ended = stream.read_to_end(&mut Vec::new());
        assert!(ended.is_ok() || ended.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
    }
    lb.does_not_spin();
}

#[test]
fn a_request_without_an_end_is_rejected() {
    let a = Backend::named("a", 9001);
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to(&[a.target()])));
    let long = "x".repeat(20_000);
    assert_eq!(curl("/", &["--header", &format!("long: {long}")]).0, "431");
    let folder = Folder::new();
    let body = folder.file("body");
    fs::write(&body, vec![b' '; 5 << 20]).unwrap();
    let answer = run_for_bytes(
        Command::new("curl")
            .args(["--silent", "--max-time", "20", "--unix-socket"])
            .arg(admin.socket())
            .args(["--header", "expect:", "--data-binary"])
            .arg(format!("@{}", body.display()))
            .args(["--write-out", "%{http_code}", "http://rondel/command"]),
    );
    let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert!(answer.ends_with("400"), "{answer}");
    assert_eq!(lb.connect().line(), "a");
}

#[test]
fn metrics_are_valid_for_prometheus_and_drop_removed_items() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to_with("probe: { tcp: {} }", &[a.target(), b.target()])));
    for _ in 0..4 {
        lb.connect().line();
    }
    eventually("every connection has ended", || {
        let (_, metrics) = curl("/metrics", &[]);
        metrics.contains("rondel_listener_connections_active{listener=\"web\"} 0")
    });
    let (_, metrics) = curl("/metrics", &[]);
    for line in [
        "rondel_listener_connections_total{listener=\"web\"} 4",
        "rondel_backend_picks_total{pool=\"web\",backend=\"b\"} 2",
        "rondel_backend_state{pool=\"web\",backend=\"a\",state=\"up\"} 1",
        "rondel_worker_connections_active{worker=\"1\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    assert!(
        !metrics.contains(&format!("\"{}", lb.address().ip())),
        "a client's address is no label:\n{metrics}"
    );
    check_with_promtool(&metrics);

    lb.reload(&admin.of(Setup::to_with("probe: { tcp: {} }", &[a.target()])));
    let (_, metrics) = curl("/metrics", &[]);
    assert!(!metrics.contains("backend=\"b\""), "{metrics}");
}

/// Over HTTP: the header counts on each endpoint, and the answer says what it is.
#[test]
fn metrics_have_the_format_that_the_client_asks_for() {
    let admin = Admin::new();
    let backend = Backend::named("a", 9001);
    let _lb = Lb::start(&admin.of(Setup::to(&[backend.target()])));
    let check = |accepts: &[&str], media_type: &str, ends_with_mark: bool| {
        let headers = accepts.iter().flat_map(|accept| ["--header".to_owned(), format!("accept: {accept}")]);
        let headers: Vec<String> = headers.collect();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let (status, answer) = curl("/metrics", &[&["--include"], &headers[..]].concat());
        assert_eq!(status, "200", "{answer}");
        assert!(answer.contains(&format!("\r\ncontent-type: {media_type}; charset=utf-8\r\n")), "{answer}");
        assert!(answer.contains("\r\nvary: accept\r\n"), "{answer}");
        assert_eq!(answer.trim_end().ends_with("\n# EOF"), ends_with_mark, "{answer}");
    };
    let [older, newer] = ["text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"];
    check(&[], older, false);
    check(&[older], older, false);
    check(&[newer], newer, true);
    check(&["text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0"], newer, true);
    // Several lines are one list.
    check(&["text/plain;q=0.5", "application/openmetrics-text;q=0.4"], older, false);
}

#[track_caller]
fn check_with_promtool(metrics: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool, of the package prometheus: {error}"));
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
