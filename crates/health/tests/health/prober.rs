//! The whole prober: targets with their schedules, verdicts, reports.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use config::probe::{Http, Kind, Question, Rhythm, Thresholds};
use config::{LagMax, Probe};
use health::roles::Roles;
use health::{Change, Prober, RUNNING_MAX, Report, ServerId, Status, Target, Verdict};
use log::Level;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::asking::{RHYTHM, page, target, with_rhythm};
use crate::place::PATIENCE;

/// A server that answers each request with the status that the test set last; 0 is no answer.
struct Server {
    at: SocketAddr,
    status: Arc<AtomicU32>,
}

impl Server {
    async fn start(status: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { at: listener.local_addr().unwrap(), status: Arc::new(AtomicU32::new(status)) };
        let status = Arc::clone(&server.status);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let status = Arc::clone(&status);
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    while matches!(stream.read(&mut request).await, Ok(1..)) {
                        match status.load(Ordering::Relaxed) {
                            0 => {}
                            status => {
                                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                                stream.write_all(answer.as_bytes()).await.unwrap();
                            }
                        }
                    }
                });
            }
        });
        server
    }

    fn set(&self, status: u32) {
        self.status.store(status, Ordering::Relaxed);
    }

    fn target(&self) -> Target {
        target(self.at, Kind::Http(page("/")))
    }
}

/// The next report of `target`.
async fn report(prober: &mut Prober, target: &Target) -> Report {
    let next = async {
        loop {
            let report = prober.next().await;
            if report.server == id(target) {
                return report;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("it is probed again and again")
}

/// The server of this target, in the only pool.
fn id(target: &Target) -> ServerId {
    ServerId { pool: "pool".into(), address: target.address }
}

fn with_id(target: &Target) -> (ServerId, Target) {
    (id(target), target.clone())
}

#[track_caller]
fn status<'a>(prober: &'a Prober, target: &Target) -> &'a Status {
    prober.status(&id(target)).expect("it is probed")
}

#[tokio::test]
async fn probes_that_have_ended_are_reported_at_once_and_each_server_one_time() {
    let mut targets = Vec::new();
    for _ in 0..20 {
        targets.push(Server::start(200).await.target());
    }
    let mut prober = Prober::new(1);
    prober.set_targets(targets.iter().map(with_id));
    assert!(prober.try_next().is_none(), "no probe has begun");
    let mut reported = vec![timeout(PATIENCE, prober.next()).await.unwrap().server];
    let rest = async {
        while reported.len() < targets.len() {
            match prober.try_next() {
                Some(report) => reported.push(report.server),
                None => tokio::task::yield_now().await,
            }
        }
    };
    timeout(PATIENCE, rest).await.expect("all probes began with the first");
    let servers: BTreeSet<SocketAddr> = reported.iter().map(|server| server.address).collect();
    assert_eq!(servers.len(), targets.len(), "{reported:?}");
}

/// The next changes of `target`, and after how many probes.
async fn changes(prober: &mut Prober, target: &Target) -> (u32, Vec<Change>) {
    for probes in 1.. {
        let report = report(prober, target).await;
        if !report.changes.is_empty() {
            return (probes, report.changes);
        }
    }
    unreachable!()
}

fn prober(targets: &[&Target]) -> Prober {
    let mut prober = Prober::new(1);
    prober.set_targets(targets.iter().copied().map(with_id));
    prober
}

#[tokio::test]
async fn verdicts_follow_the_answers() {
    let server = Server::start(200).await;
    let target = server.target();
    let mut prober = prober(&[&target]);
    assert_eq!(status(&prober, &target).verdict, Verdict::Unknown);

    let (after, up) = changes(&mut prober, &target).await;
    assert_eq!(after, 1);
    assert_eq!(up, [Change::Verdict { before: Verdict::Unknown, after: Verdict::Up, error: None }]);

    server.set(503);
    let (_, first) = changes(&mut prober, &target).await;
    assert!(matches!(&first[..], [Change::Error(error)] if error.name() == "unexpected_answer"), "{first:?}");
    assert_eq!(status(&prober, &target).verdict, Verdict::Up);
    let (after, down) = changes(&mut prober, &target).await;
    assert_eq!(after, 2, "the third in a row");
    assert!(matches!(&down[..], [Change::Verdict { after: Verdict::Down, error: Some(_), .. }]), "{down:?}");
    assert_eq!(down[0].level(), Level::Warn);
    assert_eq!(down[0].to_string(), "is down: unexpected answer: status 503");

    server.set(200);
    let (_, first) = changes(&mut prober, &target).await;
    assert_eq!(first, [Change::Recovered]);
    let (after, up) = changes(&mut prober, &target).await;
    assert_eq!(after, 1, "the second in a row");
    assert_eq!(up, [Change::Verdict { before: Verdict::Down, after: Verdict::Up, error: None }]);

    let status = status(&prober, &target);
    assert!(status.passed >= 3 && status.failed >= 3 && status.inconclusive == 0, "{status:?}");
    assert!(status.latency.is_some() && status.error.is_none());
}

#[tokio::test]
async fn an_unchanged_state_is_reported_once() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let target = target(gone, Kind::Tcp);
    let mut prober = prober(&[&target]);
    let (_, down) = changes(&mut prober, &target).await;
    assert!(matches!(&down[..], [Change::Verdict { after: Verdict::Down, .. }]), "{down:?}");
    for _ in 0..10 {
        assert_eq!(report(&mut prober, &target).await.changes, []);
    }
}

#[tokio::test]
async fn a_reload_keeps_the_status() {
    let (kept, gone, new) = (Server::start(200).await, Server::start(200).await, Server::start(200).await);
    let (kept, gone, new) = (kept.target(), gone.target(), new.target());
    let mut prober = prober(&[&kept, &gone]);
    report(&mut prober, &kept).await;
    let passed = status(&prober, &kept).passed;

    prober.set_targets([&new, &kept].map(with_id));
    assert_eq!(status(&prober, &kept).verdict, Verdict::Up);
    assert_eq!(status(&prober, &kept).passed, passed);
    assert_eq!(status(&prober, &new).verdict, Verdict::Unknown);
    assert!(prober.status(&id(&gone)).is_none());
    assert_eq!(prober.statuses().count(), 2);
    for _ in 0..20 {
        let report = prober.next().await;
        assert!(report.server == id(&kept) || report.server == id(&new));
    }
    // A server that returns is a new one.
    prober.set_targets([&new, &kept, &gone].map(with_id));
    assert_eq!(status(&prober, &gone).verdict, Verdict::Unknown);
}

/// With any changed key of the probe, the server is probed soon, and keeps its status until it has answered.
#[tokio::test]
async fn a_reload_that_changes_the_probe_keeps_the_status_until_the_next_answer() {
    let server = Server::start(200).await;
    let hour = Duration::from_secs(3600);
    let slow = Rhythm { interval: hour, interval_in_transition: hour, ..RHYTHM };
    let asked = with_rhythm(server.at, Kind::Http(page("/")), slow);
    let changed = |change: fn(&mut Probe)| {
        let mut probe = (*asked.probe).clone();
        probe.rhythm = RHYTHM;
        change(&mut probe);
        Target { address: asked.address, probe: Arc::new(probe) }
    };
    for other in [
        changed(|_| {}),
        changed(|probe| probe.rhythm.timeout *= 2),
        changed(|probe| probe.rhythm.jitter_percent = 0),
        changed(|probe| probe.thresholds = Thresholds { rise: 5, fall: 5 }),
        changed(|probe| probe.damping.window = Duration::from_secs(1)),
        changed(|probe| probe.kind = Kind::Tcp),
        changed(|probe| probe.kind = Kind::Http(page("/other"))),
        changed(|probe| probe.source = Some("127.0.0.1".parse().unwrap())),
    ] {
        let mut prober = prober(&[&asked]);
        report(&mut prober, &asked).await;
        prober.set_targets([with_id(&other)]);
        let known = status(&prober, &other);
        assert_eq!((known.verdict, known.passed), (Verdict::Up, 1), "{other:?}");
        assert!(report(&mut prober, &other).await.changes.is_empty(), "{other:?}");
        assert_eq!(status(&prober, &other).passed, 2, "{other:?}");
    }
}

/// The next connection of a probe, without an answer yet.
async fn accept(prober: &mut Prober, listener: &TcpListener) -> TcpStream {
    tokio::select! {
        _ = prober.next() => panic!("nothing has answered"),
        accepted = listener.accept() => accepted.unwrap().0,
    }
}

/// An answer to the old probe is not an answer to the new one.
#[tokio::test]
async fn an_answer_to_the_old_probe_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (old, new) = (target(at, Kind::Http(page("/old"))), target(at, Kind::Http(page("/new"))));
    let mut prober = prober(&[&old]);
    let mut first = accept(&mut prober, &listener).await;
    prober.set_targets([with_id(&new)]);
    let mut second = accept(&mut prober, &listener).await;
    let answer = async |stream: &mut TcpStream, status: u32| {
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let serve = async {
        answer(&mut first, 503).await;
        // The probe has closed: the answer was received.
        assert_eq!(first.read(&mut [0; 1024]).await.unwrap(), 0);
        answer(&mut second, 200).await;
    };
    let (report, ()) = tokio::join!(report(&mut prober, &new), serve);
    assert!(matches!(&report.changes[..], [Change::Verdict { after: Verdict::Up, .. }]), "{report:?}");
    assert_eq!((status(&prober, &new).passed, status(&prober, &new).failed), (1, 0));
}

#[tokio::test]
async fn the_first_round_waits_for_all_targets_within_its_limit() {
    let (well, ill, silent) = (Server::start(200).await, Server::start(500).await, Server::start(0).await);
    let (well, ill, silent) = (well.target(), ill.target(), silent.target());
    let mut prober = prober(&[&silent, &well, &ill]);
    let reports = prober.first_round(Duration::from_secs(2)).await;
    let verdict = |target: &Target| status(&prober, target).verdict;
    assert_eq!(
        (verdict(&well), verdict(&ill), verdict(&silent)),
        (Verdict::Up, Verdict::Down, Verdict::Unknown)
    );
    assert!(reports.iter().any(|report| report.server == id(&well)));

    // Without silent targets the round ends at once.
    prober.set_targets([&well, &ill].map(with_id));
    timeout(PATIENCE, prober.first_round(100 * PATIENCE)).await.expect("all targets have answered");
}

#[tokio::test]
async fn a_silent_server_delays_no_other() {
    let (well, silent) = (Server::start(200).await, Server::start(0).await);
    let slow = Rhythm { timeout: 1000 * PATIENCE, ..RHYTHM };
    let silent = with_rhythm(silent.at, Kind::Http(page("/")), slow);
    let well = well.target();
    let mut prober = prober(&[&silent, &well]);
    for _ in 0..20 {
        report(&mut prober, &well).await;
    }
    assert!(status(&prober, &silent).latency.is_none());
}

#[tokio::test]
async fn the_number_of_running_probes_is_bounded() {
    // The kernel accepts the connections, and no answer is ever sent.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(4096).unwrap();
    let at = listener.local_addr().unwrap();
    let well = Server::start(200).await.target();
    let hang = Rhythm { timeout: Duration::from_millis(300), ..RHYTHM };
    let hanging = |number: usize| {
        let server = ServerId { pool: number.to_string().into(), address: at };
        (server, with_rhythm(at, Kind::Http(page("/")), hang))
    };
    let mut prober = Prober::new(1);
    prober.set_targets((0..2 * RUNNING_MAX).map(hanging).chain([with_id(&well)]));

    let before = descriptors();
    let mut most = 0;
    let mut heard = BTreeSet::new();
    // A healthy target is last in the queue, and gets its turn.
    while status(&prober, &well).passed == 0 || heard.len() < 2 * RUNNING_MAX {
        let report = timeout(PATIENCE, prober.next()).await.expect("hanging probes make room");
        most = most.max(descriptors().saturating_sub(before));
        if report.server != id(&well) {
            heard.insert(report.server.pool);
        }
    }
    assert!(most >= RUNNING_MAX / 2, "{most}");
    // Besides the probes, the server holds the other ends for one target.
    assert!(most <= RUNNING_MAX + 2, "{most}");
    assert!(status(&prober, &well).late > Duration::ZERO);
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn a_process_without_cpu_marks_no_server_down() {
    let server = Server::start(200).await;
    let impatient = Rhythm { timeout: Duration::from_millis(100), ..RHYTHM };
    let target = with_rhythm(server.at, Kind::Http(page("/")), impatient);
    let mut prober = prober(&[&target]);
    for _ in 0..10 {
        // A probe begins, and then the thread gets no CPU for longer than the timeout.
        let begins = timeout(Duration::ZERO, prober.next()).await;
        std::thread::sleep(2 * impatient.timeout);
        drop(begins);
    }
    report(&mut prober, &target).await;
    let status = status(&prober, &target);
    assert_eq!((status.verdict, status.failed), (Verdict::Up, 0), "{status:?}");
    assert!(status.passed > 0);
}

#[tokio::test]
async fn the_probe_of_a_removed_target_completes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(listener.local_addr().unwrap(), Kind::Http(page("/")));
    let mut prober = prober(&[&target]);
    let (mut stream, _) = tokio::select! {
        _ = prober.next() => panic!("there was no answer"),
        accepted = listener.accept() => accepted.unwrap(),
    };
    prober.set_targets([]);
    let serve = async {
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        stream.read(&mut request).await
    };
    let ((), end) = tokio::join!(prober.finish(), serve);
    assert_eq!(end.unwrap(), 0, "a FIN, and no reset");
}

#[tokio::test]
async fn roles_are_decided_from_the_status() {
    let (one, other) = (Server::start(200).await, Server::start(503).await);
    let question = Question::Role { primary: "/primary".into(), replica: "/replica".into() };
    let asks =
        |server: &Server| target(server.at, Kind::Http(Http { question: question.clone(), ..page("/") }));
    let targets = [asks(&one), asks(&other)];
    let mut prober = prober(&[&targets[0], &targets[1]]);
    let mut roles = Roles::new(LagMax::default());
    let mut decide = |prober: &Prober| {
        let members: Vec<_> =
            targets.iter().map(|target| status(prober, target).member(target.address)).collect();
        roles.decide(&members)
    };
    assert_eq!(decide(&prober).writer, None);
    prober.first_round(PATIENCE).await;
    assert_eq!(decide(&prober).writer, Some(one.at));

    // The other one claims the role, too: the holder keeps it, and a conflict is reported.
    other.set(200);
    let (_, claims) = changes(&mut prober, &targets[1]).await;
    assert_eq!(claims, [Change::Role { before: Some("neither"), after: Some("primary") }]);
    let decision = decide(&prober);
    assert_eq!(decision.writer, Some(one.at));
    assert_eq!(decision.conflict, [one.at, other.at]);

    // The first answer without the claim takes effect.
    one.set(503);
    let (_, gives_up) = changes(&mut prober, &targets[0]).await;
    assert_eq!(gives_up, [Change::Role { before: Some("primary"), after: Some("neither") }]);
    assert_eq!(decide(&prober).writer, Some(other.at));
}
