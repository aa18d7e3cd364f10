//! The access log: one line for each connection that ended, with any target and any failure of it.

mod reasons;
mod udp;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::lb::{Lb, Said, rondel, run_with};
use crate::peers::{Backend, refusing};
use crate::place::{Folder, PATIENCE, eventually};
use crate::servers::run;
use crate::setup::Setup;

/// The access log and the admin socket of a test.
pub(crate) struct AccessLog(Folder);

impl AccessLog {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        // Some balancers run as another user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.file("access.log")
    }

    /// The setting that writes JSON to it.
    pub(crate) fn json(&self) -> String {
        format!("{{ to: {}, format: json }}", self.path().display())
    }

    /// The complete lines. What one write(2) appends may be visible to another process in parts.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
    }

    /// Waits for this many lines.
    #[track_caller]
    fn wait_for_lines(&self, number: usize) -> Vec<String> {
        eventually("the lines are written", || self.lines().len() >= number);
        let lines = self.lines();
        assert_eq!(lines.len(), number, "{lines:#?}");
        lines
    }

    /// `setup` with a JSON access log and its own admin socket.
    pub(crate) fn with_all(&self, setup: Setup) -> Setup {
        self.admin(setup).access_log(&self.json())
    }

    /// `setup` with its own admin socket.
    pub(crate) fn admin(&self, setup: Setup) -> Setup {
        setup.admin(&format!("socket: {}", self.0.file("admin.sock").display()))
    }

    /// Runs `rondel` with these arguments and its admin socket.
    #[track_caller]
    fn command(&self, line: &str) -> Said {
        let socket = self.0.file("admin.sock");
        rondel(line.split(' ').chain(["--socket", socket.to_str().unwrap()]))
    }

    /// The response of the admin socket for this path.
    #[track_caller]
    fn ask(&self, path: &str) -> String {
        let socket = self.0.file("admin.sock");
        let url = format!("http://rondel{path}");
        run(Command::new("curl").args(["--silent", "--fail", "--unix-socket"]).arg(socket).arg(url))
    }

    /// The output of this command, run for the balancer of that socket.
    #[track_caller]
    pub(crate) fn rondel<const N: usize>(&self, words: [&str; N]) -> String {
        self.rondel_with(&words)
    }

    /// The same for any number of words.
    #[track_caller]
    pub(crate) fn rondel_with(&self, words: &[&str]) -> String {
        let socket = self.0.file("admin.sock");
        let said = rondel(words.iter().copied().chain(["--socket", socket.to_str().unwrap()]));
        assert_eq!(said.code, 0, "{words:?}: {}", said.text);
        said.text
    }

    /// The number of lines `written` or `lost`.
    #[track_caller]
    fn counted(&self, result: &str) -> u64 {
        self.metric(&format!("rondel_access_log_lines_total{{result=\"{result}\"}}"))
    }

    /// The value of this series.
    #[track_caller]
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let metrics = self.ask("/metrics");
        let number = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        number.unwrap_or_else(|| panic!("{series} is not in\n{metrics}")).parse().unwrap()
    }
}

#[track_caller]
fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Sends `size` bytes, receives them back, and waits until the connection has ended.
#[track_caller]
fn visit(lb: &Lb, size: usize) {
    let mut client = lb.connect();
    client.echoes(&vec![b'x'; size]);
    client.finish();
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_line_has_the_client_the_backend_and_the_result() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let setup = Setup::to(&[refusing("dead", 9003), backend.target().named("a")]);
    let lb = Lb::start(&setup.access_log(&log.path().display().to_string()));
    let mut client = lb.connect();
    let from = client.0.local_addr().unwrap();
    client.echoes(b"0123456789");
    client.finish();
    assert_eq!(client.rest(), b"");
    let line = log.wait_for_lines(1).remove(0);
    // The client, time, listener, pool and backend, milliseconds, bytes, the code, connections, queues.
    let words: Vec<&str> = line.split(' ').collect();
    let [client, date, listener, backend, times, bytes, code, connections, queues] = words[..] else {
        panic!("{line}")
    };
    assert_eq!(client, from.to_string());
    assert!(date.starts_with('[') && date.ends_with(']') && date.len() == "[25/Nov/2026:20:15:00.123]".len());
    assert_eq!((listener, backend, bytes, code), ("web", "web/a", "10", "--"));
    assert_eq!(times.split('/').filter_map(|time| time.parse::<u64>().ok()).count(), 3, "{line}");
    assert_eq!((connections, queues), ("0/0/0/0/+1", "0/0"));
    let mode = fs::metadata(log.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640 & !umask());
    drop(lb);
    assert_eq!(log.lines().len(), 1);
}

/// Of this process; the balancer inherits it.
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    u32::from_str_radix(mask.trim(), 8).unwrap()
}

#[test]
fn no_line_is_lost_by_reloads_and_shutdown() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let setup = Setup::to(&[backend.target()]);
    let lb = Lb::start(&setup);
    visit(&lb, 1);
    // A process without a file ignores SIGUSR1.
    lb.signal(Signal::USR1);
    let mark = lb.reload(&setup.clone().access_log(&log.json()));
    lb.wait_for("~ access_log: off -> ", mark);
    (0..10).for_each(|_| visit(&lb, 1));
    lb.reload(&setup);
    visit(&lb, 1);
    log.wait_for_lines(10);
    lb.reload(&setup.clone().access_log(&log.json()));
    (0..10).for_each(|_| visit(&lb, 1));
    lb.end();
    assert_eq!(log.reasons("web"), [("done".to_owned(), 20)].into());
}

#[test]
fn ended_connections_can_be_listed_and_filtered() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let setup = log.admin(Setup::to(&[backend.target().named("a")]));
    let lb = Lb::start(&setup);
    assert!(log.rondel(["connections", "--ended"]).contains("is recorded: `access_log` is off"));
    lb.reload(&setup.access_log(&log.json()));
    (0..120).for_each(|_| visit(&lb, 1));
    log.wait_for_lines(120);
    let listed = |words: &str| {
        let said = log.rondel(["connections", "--ended", words]);
        said.lines().filter(|line| line.contains(" web/a ") && line.ends_with("-- done")).count()
    };
    eventually("a hundred are remembered", || listed("--limit=1000") == 100);
    assert_eq!(listed("--backend=web/a"), 100);
    assert_eq!(listed("--limit=7"), 7);
    assert_eq!(listed("--client=192.0.2.1"), 0);
}

/// Within the time that lines may take to be written.
#[test]
fn a_connection_that_has_ended_is_listed_at_once() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.with_all(Setup::to(&[backend.target()])));
    for visits in 1..=5_usize {
        visit(&lb, 1);
        eventually("it has ended", || {
            let status = parse(&log.ask("/status.json"));
            status["listeners"][0]["accepted"] == visits && status["connections"]["active"] == 0
        });
        let listed: Vec<Value> = serde_json::from_str(&log.ask("/ended.json")).unwrap();
        assert_eq!(listed.len(), visits);
    }
}

#[test]
fn fields_are_selected_in_their_order() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let setup = log.admin(Setup::to(&[backend.target()]));
    let to = |more: &str| format!("{{ to: {}, {more} }}", log.path().display());
    let lb = Lb::start(
        &setup.clone().access_log(&to("fields: [ended_at, listener, sni, bytes_to_client, reason]")),
    );
    visit(&lb, 5);
    let lines = log.wait_for_lines(1);
    let (ended_at, rest) = lines[0].split_once(' ').unwrap();
    assert!(ended_at.starts_with("20") && ended_at.ends_with('Z'), "{ended_at}");
    assert_eq!(rest, "web - 5 done");
    lb.reload(&setup.access_log(&to("format: json, fields: [code, sni, bytes_to_client]")));
    visit(&lb, 6);
    let lines = log.wait_for_lines(2);
    assert_eq!(lines[1], r#"{"code":"--","sni":null,"bytes_to_client":6}"#);
    // What is kept of them is whole.
    let ended: Vec<Value> = serde_json::from_str(&log.command("connections --ended --json").text).unwrap();
    assert_eq!((&ended[0]["listener"], &ended[0]["bytes_to_client"]), (&"web".into(), &6.into()));
}

#[test]
fn an_unusable_target_is_rejected_at_start() {
    let backend = Backend::echo(9001);
    let setup = Setup::to(&[backend.target()]);
    let nowhere = setup.clone().access_log("/nowhere/access.log");
    let said = run_with(&[], &nowhere);
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains("access_log: /nowhere/access.log: No such file"), "{}", said.text);

    let log = AccessLog::new();
    let lb = Lb::start(&setup.access_log(&log.json()));
    let mark = lb.reload_refused(&nowhere);
    assert!(lb.log_from(mark).contains("/nowhere/access.log"));
    visit(&lb, 1);
    log.wait_for_lines(1);
}

#[test]
fn empty_connections_and_listeners_can_be_excluded() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let to = format!("{{ to: {}, skip_empty: true }}", log.path().display());
    let setup = Setup::to(&[backend.target()]).access_log(&to);
    let lb = Lb::start(&setup);
    lb.connect().reset();
    visit(&lb, 0);
    visit(&lb, 7);
    let lines = log.wait_for_lines(1);
    assert!(lines[0].contains(" 7 -- "), "{lines:?}");
    lb.reload(&setup.without_listeners().listen("web", lb.address(), "web", "access_log: false"));
    visit(&lb, 8);
    lb.end();
    assert_eq!(log.lines().len(), 1);
}

#[test]
fn a_file_that_is_renamed_under_load_loses_no_line() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&Setup::to(&[backend.target()]).access_log(&log.json()));
    let over = AtomicBool::new(false);
    let mut files = vec![log.path()];
    let visits: usize = thread::scope(|scope| {
        let visit_on = || {
            let mut visits = 0;
            while !over.load(Ordering::Relaxed) {
                visit(&lb, 1);
                visits += 1;
            }
            visits
        };
        let visitors = [scope.spawn(visit_on), scope.spawn(visit_on)];
        for number in 0..10 {
            let renamed = log.0.file(&format!("access.log.{number}"));
            eventually("lines are written", || !log.lines().is_empty());
            fs::rename(log.path(), &renamed).unwrap();
            lb.signal(Signal::USR1);
            eventually("there is a file again", || log.path().exists());
            files.push(renamed);
        }
        over.store(true, Ordering::Relaxed);
        visitors.into_iter().map(|visitor| visitor.join().unwrap()).sum()
    });
    lb.end();
    let of_file = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().map(parse).count();
    assert_eq!(files.iter().map(of_file).sum::<usize>(), visits);
}

#[test]
fn a_command_reopens_a_renamed_file() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let setup = log.admin(Setup::to(&[backend.target()]));
    let lb = Lb::start(&setup.clone().access_log(&log.json()));
    visit(&lb, 1);
    log.wait_for_lines(1);
    let renamed = log.0.file("access.log.1");
    fs::rename(log.path(), &renamed).unwrap();
    let said = log.command("reopen");
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("access.log was opened again"), "{}", said.text);
    visit(&lb, 1);
    log.wait_for_lines(1);

    // A failure to open is reported, and lines continue to go to the old file.
    let moved = log.0.file("access.log.2");
    fs::rename(log.path(), &moved).unwrap();
    fs::create_dir(log.path()).unwrap();
    let said = log.command("reopen");
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("lines still go to the old file"), "{}", said.text);
    visit(&lb, 1);
    eventually("both lines are there", || fs::read_to_string(&moved).unwrap().lines().count() == 2);
    lb.reload(&setup);
    assert!(log.command("reopen").text.contains("there is no access log"));
    fs::remove_dir(log.path()).unwrap();
}

#[test]
fn ended_connections_are_listed_with_the_latest_end_first() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.admin(Setup::to(&[backend.target()])).access_log(&log.json()));
    // Over both workers, and not in the order in which they began.
    let mut clients: Vec<_> = (0..40).map(|_| lb.connect()).collect();
    for client in &mut clients {
        client.echoes(b"x");
    }
    while !clients.is_empty() {
        clients.swap_remove(clients.len() / 2);
    }
    log.wait_for_lines(40);
    let ended: Vec<Value> = serde_json::from_str(&log.command("connections --ended --json").text).unwrap();
    assert_eq!(ended.len(), 40);
    let workers: BTreeSet<u64> = ended.iter().map(|one| one["worker"].as_u64().unwrap()).collect();
    assert_eq!(workers.len(), 2);
    let ends: Vec<&str> = ended.iter().map(|one| one["ended_at"].as_str().unwrap()).collect();
    assert!(ends.is_sorted_by(|one, next| one >= next), "{ends:#?}");
    let table = log.command("connections --ended --limit 3").text;
    let shown: Vec<&str> = table.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(shown, ends[..3]);
}

#[test]
fn a_pipe_without_a_reader_loses_lines_and_nothing_else() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let pipe = log.path();
    run(Command::new("mkfifo").arg(&pipe));
    let setup = log.admin(Setup::to(&[backend.target()])).access_log(&log.json());
    let said = run_with(&[], &setup);
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains("the FIFO has no reader"), "{}", said.text);

    // Open for both, so that it stays open regardless of the other side.
    let reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let lb = Lb::start(&setup);
    // A page holds about ten lines, so a pipe is full long before a queue is.
    let (mut visits, mut lost) = (0, 0);
    while lost == 0 {
        (0..500).for_each(|_| lb.connect().reset());
        visits += 500;
        lost = log.counted("lost");
        assert!(visits < 100_000, "the pipe takes everything");
    }
    lb.wait_for("access log: the target accepts no data", 0);
    lb.connect().echoes(b"still served");

    // A reader gets what was queued, and what follows.
    let mut own_end = reader.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        lines.take_while(|line| line != LAST).filter(|line| parse(line).is_object()).count() as u64
    });
    lb.wait_for("access log: lines are written again", 0);
    let all = || log.counted("written") + log.counted("lost");
    eventually("each connection is written or lost", || all() == visits + 1);
    let written = log.counted("written");
    lb.end();
    writeln!(own_end, "{LAST}").unwrap();
    assert_eq!(reading.join().unwrap(), written);
}

/// A test's own line in a pipe, which marks the end for a reader.
const LAST: &str = "no more";

#[test]
fn a_full_disk_loses_lines_and_nothing_else() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let lb = Lb::start(&log.admin(Setup::to(&[backend.target()])).access_log("/dev/full"));
    (0..3).for_each(|_| visit(&lb, 1));
    lb.wait_for("access log: No space left on device", 0);
    eventually("all are counted", || log.counted("lost") == 3);
    assert_eq!(log.counted("written"), 0);
    let said = log.rondel(["status"]);
    assert!(
        said.starts_with("1 problem:\n  warning  the access log cannot be written: No space left")
            && said.contains("access log: /dev/full, 0 lines written, 3 lost"),
        "{said}"
    );
}

#[test]
fn shutdown_does_not_wait_for_a_reader() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    run(Command::new("mkfifo").arg(log.path()));
    let _reader = OpenOptions::new().read(true).write(true).open(log.path()).unwrap();
    let lb = Lb::start(&Setup::to(&[backend.target()]).access_log(&log.json()));
    (0..1000).for_each(|_| lb.connect().reset());
    let said = lb.end();
    assert!(said.contains("the last lines were not written"), "{said}");
}

#[test]
fn syslog_gets_a_message_for_each_line_and_can_be_restarted() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let path = log.0.file("syslog");
    let daemon = listen(&path);
    let lb = Lb::start(&Setup::to(&[backend.target()]).access_log(&format!("syslog:{}", path.display())));
    visit(&lb, 5);
    let pid = lb.pid().as_raw_nonzero();
    check_message(&daemon, &format!("<134>rondel[{pid}]: "), " 5 -- ");
    drop(daemon);
    fs::remove_file(&path).unwrap();
    let daemon = listen(&path);
    visit(&lb, 6);
    check_message(&daemon, &format!("<134>rondel[{pid}]: "), " 6 -- ");
}

fn listen(path: &Path) -> UnixDatagram {
    let daemon = UnixDatagram::bind(path).unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    daemon
}

#[track_caller]
fn check_message(daemon: &UnixDatagram, start: &str, contains: &str) {
    let mut message = [0; 1000];
    let length = daemon.recv(&mut message).unwrap();
    let message = String::from_utf8_lossy(&message[..length]);
    assert!(message.starts_with(start) && message.contains(contains), "{message}");
    assert!(!message.ends_with('\n'));
}

#[test]
fn stderr_carries_access_lines_beside_the_log() {
    let backend = Backend::echo(9001);
    let lb = Lb::start(&Setup::to(&[backend.target()]).access_log("{ to: stderr, format: json }"));
    let mark = lb.mark();
    visit(&lb, 3);
    lb.wait_for("\"bytes_to_client\":3,", mark);
}
