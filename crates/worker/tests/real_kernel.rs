//! A worker on the real ring, with backends and clients in this process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use connection::CloseReason;
use table::{Gate, Phase, Published, Sockets, Table};
use uring::{ListenOptions, SocketKeepalive, Waker, listen};
use worker::{Settings, WorkerError, spawn};

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
fn a_connection_that_nobody_takes_is_reset_and_counted() {
    let nobody = TcpListener::bind(LOCAL).unwrap().local_addr().unwrap();
    let balancer = Balancer::start(&[nobody]);
    let error = balancer.connect().read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let table = balancer.published.load_full();
    let counters = table.listeners[0].counters.of(0);
    assert_eq!(counters.closed(CloseReason::ConnectRefused).get(), 1);
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
        let keepalive =
            SocketKeepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 };
        let options =
            ListenOptions { address: LOCAL.into(), backlog: 64, freebind: false, v6only: false, keepalive };
        let socket = TcpListener::from(listen(options).unwrap());
        let address = socket.local_addr().unwrap();
        let config = config::Config::forward(address, backends);
        let sockets = Arc::new(Sockets::new(vec![socket.into()]));
        let published = Arc::new(Published::new(Table::build(&config, vec![sockets], 1, None)));
        let wakers: Arc<[Waker]> = Arc::new([Waker::new().unwrap()]);
        let (report, ended) = channel();
        let settings = Settings {
            index: 0,
            cpu: None,
            connections_max: 100,
            gate: Arc::new(Gate::new(1)),
            pipes_max: 4,
            wakers: Arc::clone(&wakers),
            published: Arc::clone(&published),
        };
        spawn(settings, move |result| report.send(result).unwrap()).unwrap();
        Self { address, published, wakers, ended }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client
    }

    fn end(self) {
        self.published.publish(self.published.load_full().in_phase(Phase::Draining));
        self.wakers[0].wake();
        self.ended.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
    }
}
