//! The cost of probes: the CPU time of a thread that probes 500 backends, each once per second.
//!
//! `cargo bench --package benches --bench probes`. The backends are in another thread, on loopback. The kernel's
//! work for the prober is counted, including both ends of the loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use config::Probe;
use config::probe::{Damping, Http, Kind, Method, Question, Rhythm, Thresholds};
use health::{Prober, ServerId, Target, Verdict};
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

const BACKENDS: usize = 500;
const MEASURED: Duration = Duration::from_secs(10);

fn main() {
    let backends = serve();
    println!(
        "{BACKENDS} backends, each probed once a second; CPU of the probing thread, in percent of a core"
    );
    for (name, kind) in [("tcp", Kind::Tcp), ("http", Kind::Http(page()))] {
        let targets: Vec<Target> = backends.iter().map(|address| target(*address, &kind)).collect();
        let (probes, share) = runtime().block_on(measure(targets));
        println!(
            "{name:5} {:6.2} %   {probes} probes, {:.1} us each",
            100.0 * share,
            share * cost_unit(probes)
        );
    }
}

/// Microseconds per probe, for a share of 1.
fn cost_unit(probes: u32) -> f64 {
    MEASURED.as_secs_f64() * 1e6 / f64::from(probes)
}

/// The number of probes that ended, and the share of the time this thread was on a CPU.
async fn measure(targets: Vec<Target>) -> (u32, f64) {
    let mut prober = Prober::new(1);
    let pool: Arc<str> = "backends".into();
    let server = |target: Target| (ServerId { pool: Arc::clone(&pool), address: target.address }, target);
    prober.set_targets(targets.into_iter().map(server));
    prober.first_round(MEASURED).await;
    let begun = cpu();
    let mut ended = 0;
    let count = async {
        loop {
            prober.next().await;
            ended += 1;
        }
    };
    assert!(timeout(MEASURED, count).await.is_err(), "it probes without end");
    let share = cpu().saturating_sub(begun).as_secs_f64() / MEASURED.as_secs_f64();
    assert!(prober.statuses().all(|(_, status)| status.verdict == Verdict::Up));
    (ended, share)
}

/// The CPU time of this thread.
fn cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("it runs forward")
}

fn page() -> Http {
    let question = Question::Health { path: "/".into(), statuses: vec![200..=299], body: String::new() };
    Http { method: Method::Get, host: "backend".into(), question, tls: None }
}

fn target(address: SocketAddr, kind: &Kind) -> Target {
    let rhythm = Rhythm {
        interval: Duration::from_secs(1),
        interval_in_transition: Duration::from_millis(500),
        timeout: Duration::from_secs(1),
        jitter_percent: 10,
    };
    let probe = Probe {
        kind: kind.clone(),
        port: None,
        source: None,
        send_proxy: None,
        rhythm,
        thresholds: Thresholds { rise: 2, fall: 3 },
        damping: Damping { downs_free: 3, window: Duration::from_secs(300) },
    };
    Target { address, probe: Arc::new(probe) }
}

/// Backends with an address each, on another thread.
fn serve() -> Vec<SocketAddr> {
    let listeners: Vec<TcpListener> = (0..BACKENDS).map(listen).collect();
    let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    thread::spawn(move || {
        runtime().block_on(async {
            for listener in listeners {
                tokio::spawn(backend(tokio::net::TcpListener::from_std(listener).unwrap()));
            }
            std::future::pending::<()>().await;
        });
    });
    addresses
}

fn listen(number: usize) -> TcpListener {
    let number = u16::try_from(number).unwrap().to_be_bytes();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 77, number[0], number[1]), 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

async fn backend(listener: tokio::net::TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut request = [0; 1024];
            while matches!(stream.read(&mut request).await, Ok(1..)) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell").await;
            }
        });
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
