//! All of it together: targets in their rhythm, verdicts, reports.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use config::LagMax;
use config::probe::{Http, Kind, Question, Rhythm};
use health::Target;
use health::roles::Roles;
use health::{Change, Prober, RUNNING_MAX, Report, Verdict};
use log::Level;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;

use crate::asking::{RHYTHM, page, target, with_rhythm};
use crate::place::PATIENCE;

/// A server that answers each request with the status that the test has set last; 0 is no answer at all.
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
            if report.target == *target {
                return report;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("it is probed again and again")
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
    prober.set_targets(targets.iter().copied().cloned());
    prober
}

#[tokio::test]
async fn verdicts_follow_the_answers() {
    let server = Server::start(200).await;
    let target = server.target();
    let mut prober = prober(&[&target]);
    assert_eq!(prober.status(&target).unwrap().verdict, Verdict::Unknown);

    let (after, up) = changes(&mut prober, &target).await;
    assert_eq!(after, 1);
    assert_eq!(up, [Change::Verdict { before: Verdict::Unknown, after: Verdict::Up, error: None }]);

    server.set(503);
    let (_, first) = changes(&mut prober, &target).await;
    assert!(matches!(&first[..], [Change::Error(error)] if error.name() == "unexpected_answer"), "{first:?}");
    assert_eq!(prober.status(&target).unwrap().verdict, Verdict::Up);
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

    let status = prober.status(&target).unwrap();
    assert!(status.passed >= 3 && status.failed >= 3 && status.inconclusive == 0, "{status:?}");
    assert!(status.latency.is_some() && status.error.is_none());
}

#[tokio::test]
async fn what_stays_the_same_is_said_once() {
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
async fn a_reload_keeps_what_is_known() {
    let (kept, gone, new) = (Server::start(200).await, Server::start(200).await, Server::start(200).await);
    let (kept, gone, new) = (kept.target(), gone.target(), new.target());
    let mut prober = prober(&[&kept, &gone]);
    report(&mut prober, &kept).await;
    let passed = prober.status(&kept).unwrap().passed;

    prober.set_targets([new.clone(), kept.clone(), kept.clone()]);
    assert_eq!(prober.status(&kept).unwrap().verdict, Verdict::Up);
    assert_eq!(prober.status(&kept).unwrap().passed, passed);
    assert_eq!(prober.status(&new).unwrap().verdict, Verdict::Unknown);
    assert!(prober.status(&gone).is_none());
    assert_eq!(prober.statuses().count(), 2);
    for _ in 0..20 {
        let report = prober.next().await;
        assert!(report.target == kept || report.target == new);
    }

    // The same address, asked in another way, is another target.
    let other = target(kept.address, Kind::Tcp);
    prober.set_targets([other.clone()]);
    assert_eq!(prober.status(&other).unwrap().verdict, Verdict::Unknown);
}

#[tokio::test]
async fn the_first_round_hears_all_but_waits_for_none_too_long() {
    let (well, ill, silent) = (Server::start(200).await, Server::start(500).await, Server::start(0).await);
    let (well, ill, silent) = (well.target(), ill.target(), silent.target());
    let mut prober = prober(&[&silent, &well, &ill]);
    let reports = prober.first_round(Duration::from_secs(2)).await;
    let verdict = |target| prober.status(target).unwrap().verdict;
    assert_eq!(
        (verdict(&well), verdict(&ill), verdict(&silent)),
        (Verdict::Up, Verdict::Down, Verdict::Unknown)
    );
    assert!(reports.iter().any(|report| report.target == well));

    // With nobody silent it does not take its time.
    prober.set_targets([well, ill]);
    timeout(PATIENCE, prober.first_round(100 * PATIENCE)).await.expect("all have been heard");
}

#[tokio::test]
async fn a_silent_server_delays_nobody() {
    let (well, silent) = (Server::start(200).await, Server::start(0).await);
    let slow = Rhythm { timeout: 1000 * PATIENCE, ..RHYTHM };
    let silent = with_rhythm(silent.at, Kind::Http(page("/")), slow);
    let well = well.target();
    let mut prober = prober(&[&silent, &well]);
    for _ in 0..20 {
        report(&mut prober, &well).await;
    }
    assert!(prober.status(&silent).unwrap().latency.is_none());
}

#[tokio::test]
async fn so_many_run_at_once_and_no_more() {
    // The kernel takes the connections in, and nobody ever answers.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(4096).unwrap();
    let at = listener.local_addr().unwrap();
    let well = Server::start(200).await.target();
    let hang = Rhythm { timeout: Duration::from_millis(300), ..RHYTHM };
    let hanging = |number: usize| {
        let question =
            Question::Health { path: format!("/{number}"), statuses: vec![200..=200], body: String::new() };
        with_rhythm(at, Kind::Http(Http { question, ..page("/") }), hang)
    };
    let mut prober = Prober::new(1);
    prober.set_targets((0..2 * RUNNING_MAX).map(hanging).chain([well.clone()]));

    let before = descriptors();
    let mut most = 0;
    let mut heard = BTreeSet::new();
    // Whoever is well comes last in the line, and comes.
    while prober.status(&well).unwrap().passed == 0 || heard.len() < 2 * RUNNING_MAX {
        let report = timeout(PATIENCE, prober.next()).await.expect("those that hang make room");
        most = most.max(descriptors().saturating_sub(before));
        if let Kind::Http(Http { question: Question::Health { path, .. }, .. }) = &report.target.probe.kind {
            heard.insert(path.clone());
        }
    }
    assert!(most >= RUNNING_MAX / 2, "{most}");
    // Besides the probes there are the ends that the server holds, of one target.
    assert!(most <= RUNNING_MAX + 2, "{most}");
    assert!(prober.status(&well).unwrap().late > Duration::ZERO);
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn a_process_that_stood_still_finds_nobody_dead() {
    let server = Server::start(200).await;
    let impatient = Rhythm { timeout: Duration::from_millis(100), ..RHYTHM };
    let target = with_rhythm(server.at, Kind::Http(page("/")), impatient);
    let mut prober = prober(&[&target]);
    for _ in 0..10 {
        // A probe begins, and then the thread gets no CPU for longer than its deadline.
        let begins = timeout(Duration::ZERO, prober.next()).await;
        std::thread::sleep(2 * impatient.timeout);
        drop(begins);
    }
    report(&mut prober, &target).await;
    let status = prober.status(&target).unwrap();
    assert_eq!((status.verdict, status.failed), (Verdict::Up, 0), "{status:?}");
    assert!(status.passed > 0);
}

#[tokio::test]
async fn a_target_that_left_ends_its_probe_in_peace() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(listener.local_addr().unwrap(), Kind::Http(page("/")));
    let mut prober = prober(&[&target]);
    let (mut stream, _) = tokio::select! {
        _ = prober.next() => panic!("nobody has answered"),
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
async fn roles_are_decided_from_what_is_known() {
    let (one, other) = (Server::start(200).await, Server::start(503).await);
    let question = Question::Role { primary: "/primary".into(), replica: "/replica".into() };
    let asks =
        |server: &Server| target(server.at, Kind::Http(Http { question: question.clone(), ..page("/") }));
    let targets = [asks(&one), asks(&other)];
    let mut prober = prober(&[&targets[0], &targets[1]]);
    let mut roles = Roles::new(LagMax::default());
    let mut decide = |prober: &Prober| {
        let members: Vec<_> =
            targets.iter().map(|target| prober.status(target).unwrap().member(target.address)).collect();
        roles.decide(&members)
    };
    assert_eq!(decide(&prober).writer, None);
    prober.first_round(PATIENCE).await;
    assert_eq!(decide(&prober).writer, Some(one.at));

    // The other one claims, too: the one that had it keeps it, and it is an error.
    other.set(200);
    let (_, claims) = changes(&mut prober, &targets[1]).await;
    assert_eq!(claims, [Change::Role { before: Some("neither"), after: Some("primary") }]);
    let decision = decide(&prober);
    assert_eq!(decision.writer, Some(one.at));
    assert_eq!(decision.conflict, [one.at, other.at]);

    // The first answer in which it gives it up takes effect.
    one.set(503);
    let (_, gives_up) = changes(&mut prober, &targets[0]).await;
    assert_eq!(gives_up, [Change::Role { before: Some("primary"), after: Some("neither") }]);
    assert_eq!(decide(&prober).writer, Some(other.at));
}
