//! One worker on a simulated kernel, with one listener, and backends controlled by the test.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Config;
use connection::CloseReason;
use driver::Driver;
use driver::ListenGroup;
use sim::{Kernel, Peer, Read, Stage};
use table::{
    Availability, BackendState, Inputs, PerWorker, Phase, PoolInputs, Published, Role, Semaphore, Table,
};
use worker::{QuerySender, Recorder, Records, Settings, Worker};

/// The state of a backend that is down, of the primary, and of a replica.
pub(crate) const DOWN: BackendState =
    BackendState { availability: Availability::Down, role: None, weight_permille: 1000 };
pub(crate) const PRIMARY: BackendState =
    BackendState { availability: Availability::Up, role: Some(Role::Primary), weight_permille: 1000 };
pub(crate) const REPLICA: BackendState = BackendState {
    availability: Availability::Up,
    role: Some(Role::Replica { lags: false }),
    weight_permille: 1000,
};

pub(crate) struct Balancer {
    pub(crate) stage: Stage,
    pub(crate) worker: Worker<Kernel>,
    pub(crate) published: Arc<Published>,
    pub(crate) config: Config,
    /// Of ended connections, if the config has an access log.
    pub(crate) records: Records,
    /// Of each address of the listener.
    sockets: Vec<Arc<ListenGroup>>,
    /// Permits for two workers, the second of which is absent.
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) query_sender: QuerySender,
}

impl Balancer {
    pub(crate) fn new(set: impl FnOnce(&mut Config)) -> Self {
        Self::with(0, 64, 100_000, set)
    }

    /// One worker, one listener, one backend.
    pub(crate) fn with(seed: u64, buffers: u16, places: u32, set: impl FnOnce(&mut Config)) -> Self {
        let mut stage = Stage::new(seed, buffers);
        let (address, sockets) = stage.listen();
        let mut config = Config::forward(address, &[stage.serving()]);
        set(&mut config);
        let table = Table::build(&config, vec![Arc::clone(&sockets)], 1, None, None);
        let published = Arc::new(Published::new(table));
        let gate = Arc::new(Semaphore::new(2));
        let (query_sender, mut queries) = QuerySender::new(1);
        let (recorder, records) = Recorder::new(std::thread::current());
        let settings = Settings {
            index: 0,
            cpu: None,
            connections_max: places,
            buffers_max: driver::BUFFERS_MAX,
            semaphore: Arc::clone(&gate),
            balancer: worker::Balancer::new(1).remove(0),
            queries: queries.remove(0),
            pipes_max: 128,
            counters: Arc::new(PerWorker::new(1)),
            recorder,
            wakers: stage.wakers(),
            control: stage.control(),
            published: Arc::clone(&published),
        };
        let worker = Worker::new(stage.kernel(), settings, buffers.into());
        Self { stage, worker, published, config, records, sockets: vec![sockets], gate, query_sender }
    }

    pub(crate) fn listener(&self) -> Arc<table::Listener> {
        Arc::clone(&self.published.load_full().listeners[0])
    }

    /// Control builds another table from the config and the state of backends.
    pub(crate) fn reload(&mut self, known: &[(SocketAddr, BackendState)]) {
        let backends: HashMap<_, _> = known.iter().copied().collect();
        let pool = PoolInputs { backends, ..PoolInputs::default() };
        let name = self.config.pools[0].name.clone();
        let health = Inputs { now: self.now(), pools: [(name, pool)].into(), access: Arc::default() };
        let before = self.published.load_full();
        self.published.publish(Table::build(
            &self.config,
            self.sockets.clone(),
            1,
            Some(&health),
            Some(&before),
        ));
        self.stage.wakers()[0].wake();
    }

    /// Gives the config's listener another address, so that the next reload removes the current one.
    pub(crate) fn move_listener(&mut self) {
        let (address, sockets) = self.stage.listen();
        self.config.listeners[0].addresses = vec![address.into()];
        self.sockets = vec![sockets];
    }

    /// Gives the config's listener one address more, from the next reload on.
    pub(crate) fn add_address(&mut self) -> SocketAddr {
        let (address, sockets) = self.stage.listen();
        self.config.listeners[0].addresses.push(address.into());
        self.sockets.push(sockets);
        address
    }

    /// Takes the first of its addresses from the config's listener, from the next reload on.
    pub(crate) fn remove_address(&mut self) {
        self.config.listeners[0].addresses.remove(0);
        self.sockets.remove(0);
    }

    pub(crate) fn publish(&mut self, phase: Phase) {
        self.published.publish(self.published.load_full().in_phase(phase));
    }

    pub(crate) fn turn(&mut self) -> bool {
        self.worker.turn().unwrap()
    }

    pub(crate) fn turn_while_there_is_something(&mut self) {
        while self.stage.is_ready() {
            self.turn();
        }
    }

    /// A client and a backend with a relay between them.
    pub(crate) fn relay(&mut self) -> (Peer, Peer) {
        let client = self.client();
        (client, self.next_backend())
    }

    /// The backend's side of the next connection of the worker, or of the one it has just made.
    pub(crate) fn next_backend(&mut self) -> Peer {
        let backend = loop {
            if let Some(backend) = self.stage.accepted() {
                break backend;
            }
            // The connect, and the ACK that waits for the client's first bytes.
            self.turn();
        };
        self.turn_while_there_is_something();
        backend
    }

    pub(crate) fn now(&self) -> Instant {
        self.stage.kernel().now()
    }

    /// A client that is accepted, and the turns that follow.
    pub(crate) fn client(&mut self) -> Peer {
        let client = self.stage.connect(self.listener().address());
        self.turn_while_there_is_something();
        client
    }

    /// A client sends these bytes, and the turns that follow.
    pub(crate) fn hears(&mut self, client: &mut Peer, bytes: &[u8]) {
        assert_eq!(client.say(bytes) as usize, bytes.len());
        self.turn_while_there_is_something();
    }

    /// Advances the clock, and lets the worker see it.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.stage.pass(time);
        self.turn();
        self.turn_while_there_is_something();
    }

    pub(crate) fn read(&mut self, peer: &mut Peer) -> Read {
        self.stage.pass(Duration::ZERO);
        peer.read(1000)
    }

    /// The reasons of ended connections, with their counts.
    pub(crate) fn ended(&self) -> Vec<(CloseReason, u64)> {
        let listener = self.listener();
        let closed = CloseReason::ALL.map(|reason| (reason, listener.counters.of(0).closed(reason).get()));
        closed.into_iter().filter(|(_, times)| *times > 0).collect()
    }
}
