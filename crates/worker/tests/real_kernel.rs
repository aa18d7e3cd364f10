//! A worker on the real ring, with backends and clients in this process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use connection::CloseReason;
use driver::{ListenGroup, Owner};
use driver::{ListenOptions, SocketKeepalive, Uring, Waker, listen};
use table::{PerWorker, Phase, Published, Semaphore, Table};
use worker::{QuerySender, Recorder, Settings, WorkerError, spawn};

#[test]
fn relays_both_ways_and_ends_when_drained() {
    let backend = TcpListener::bind(LOCAL).unwrap();
    let balancer = Balancer::start(&[backend.local_addr().unwrap()]);
    let echo = std::thread::spawn(move || {
        let (mut socket, _) = backend.accept().unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        socket.write_all(&bytes).unwrap();
    });
    // More than a queue holds, so that the halves stop, splice and go on.
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number / 7 % 251) as u8).collect();
    let mut client = balancer.connect();
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    echo.join().unwrap();
    assert!(received == sent, "{} bytes came back of {}", received.len(), sent.len());
    balancer.end();
}

#[test]
fn a_connection_that_no_backend_takes_is_reset_and_counted() {
    let refusing = TcpListener::bind(LOCAL).unwrap().local_addr().unwrap();
    let balancer = Balancer::start(&[refusing]);
    let error = balancer.connect().read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let table = balancer.published.load_full();
    let counters = table.listeners[0].counters.of(0);
    assert_eq!(counters.closed(CloseReason::ConnectRefused).get(), 1);
    balancer.end();
}

/// The kernel's hash alone would leave one of the two without any, now and then.
#[test]
fn few_long_connections_are_spread_evenly_over_workers() {
    let backend = TcpListener::bind(LOCAL).unwrap();
    let balancer = Balancer::start_with(2, &[backend.local_addr().unwrap()]);
    let mut connections = Vec::new();
    for _ in 0..8 {
        let client = balancer.connect();
        let (mut backend, _) = backend.accept().unwrap();
        // A byte has come through: the connection has its worker.
        backend.write_all(b"x").unwrap();
        (&client).read_exact(&mut [0; 1]).unwrap();
        connections.push((client, backend));
    }
    let table = balancer.published.load_full();
    let counters = &table.listeners[0].counters;
    assert_eq!([0, 1].map(|worker| counters.of(worker).active.get()), [4, 4]);
    drop(connections);
    balancer.end();
}

const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

struct Balancer {
    address: SocketAddr,
    published: Arc<Published>,
    wakers: Arc<[Waker]>,
    ended: Receiver<Result<(), WorkerError>>,
}

impl Balancer {
    fn start(backends: &[SocketAddr]) -> Self {
        Self::start_with(1, backends)
    }

    fn start_with(workers: usize, backends: &[SocketAddr]) -> Self {
        let keepalive =
            SocketKeepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 };
        let mut options =
            ListenOptions { address: LOCAL.into(), backlog: 64, freebind: false, v6only: false, keepalive };
        let mut sockets = Vec::new();
        for _ in 0..workers {
            let socket = TcpListener::from(listen(options).unwrap());
            options.address = socket.local_addr().unwrap();
            sockets.push(socket.into());
        }
        let config = config::Config::forward(options.address, backends);
        let table = Table::build(
            &config,
            vec![Arc::new(ListenGroup::new(sockets, Owner::Process))],
            workers,
            None,
            None,
        );
        let published = Arc::new(Published::new(table));
        let wakers: Arc<[Waker]> = (0..workers).map(|_| Waker::new().unwrap()).collect();
        let semaphore = Arc::new(Semaphore::new(workers));
        let control = Arc::new(Waker::new().unwrap());
        let counters = Arc::new(PerWorker::new(workers));
        let (report, ended) = channel();
        let ends = worker::Balancer::new(workers).into_iter().zip(QuerySender::new(workers).1);
        for (index, (balancer, queries)) in ends.enumerate() {
            let settings = Settings {
                index,
                cpu: None,
                connections_max: 100,
                buffers_max: driver::BUFFERS_MAX,
                semaphore: Arc::clone(&semaphore),
                balancer,
                queries,
                pipes_max: 4,
                counters: Arc::clone(&counters),
                recorder: Recorder::new(std::thread::current()).0,
                wakers: Arc::clone(&wakers),
                control: Arc::clone(&control),
                published: Arc::clone(&published),
            };
            let report = report.clone();
            spawn(settings, Uring::new, move |result| report.send(result).unwrap()).unwrap();
        }
        Self { address: options.address, published, wakers, ended }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client
    }

    fn end(self) {
        self.published.publish(self.published.load_full().in_phase(Phase::Draining));
        self.wakers.iter().for_each(Waker::wake);
        for _ in 0..self.wakers.len() {
            self.ended.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
        }
    }
}
