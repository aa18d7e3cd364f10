//! What a seed stands for: how large things are, which peers there are, what goes wrong, and what control does when.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use config::{
    AccessLog, Backend, Backups, Balance, Config, Facility, Failback, Fallback, HeaderField, HeaderVersion,
    HeaderVersions, Listener, LogFormat, LogTarget, OnAllDown, OnDemotion, OnLoss, OnRemove, Opening, Others,
    Pool, PoolIndex, Proxies, ProxyProtocol, SendProxy, TargetRole, Tier, Tiers, Waiting,
};

use crate::addresses::{
    BACKENDS_MAX, LISTENERS_MAX, backend_address, listener_address, listener_addresses, pool_name,
};
use crate::agenda::{MILLISECOND, SECOND};
use crate::draws::{files_max, manners, network};
use crate::faults::Faults;
use crate::guards;
use crate::peers::Manners;
use crate::random::Random;
use crate::ring::Limits;
use crate::routings;
use crate::world::{Host, Network};

/// What is decided before a run begins. What the peers do is drawn while it goes on.
pub(crate) struct Scenario {
    pub(crate) workers: usize,
    pub(crate) connections_max: u32,
    pub(crate) pipes_max: u32,
    pub(crate) buffers: u16,
    pub(crate) buffers_posted: usize,
    pub(crate) limits: Limits,
    pub(crate) files_max: usize,
    /// Whether descriptors' numbers are used again.
    pub(crate) files_reused: bool,
    pub(crate) network: Network,
    pub(crate) faults: Faults,
    pub(crate) manners: Manners,
    pub(crate) variety: Variety,
    pub(crate) config: Config,
    pub(crate) hosts: Vec<(SocketAddr, Host)>,
    /// When each client knocks, and where.
    pub(crate) clients: Vec<(u64, SocketAddr)>,
    /// When the configuration or the states of backends change.
    pub(crate) changes: Vec<(u64, Change)>,
    pub(crate) drain: Drain,
    pub(crate) drain_timeout: u64,
}

/// What control does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Another configuration.
    Reload,
    /// Another state of a backend.
    Health,
    /// An order to fail back.
    Failback,
    /// An operator's override of a backend, or the end of one.
    Override,
    /// What an operator says about addresses of clients.
    Access,
    /// A query: a worker lists its connections, or closes some.
    ConnectionQuery,
}

/// What there is in a run besides round robin among backends of which nothing is known.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each may be there or not, whichever others are")]
pub(crate) struct Variety {
    /// Other policies.
    pub(crate) policies: bool,
    /// Bounds of backends, and queues.
    pub(crate) bounds: bool,
    /// Verdicts, tiers and roles, and listeners with a target role.
    pub(crate) health: bool,
    /// Clients behind proxies, which send headers, and headers for backends.
    pub(crate) headers: bool,
    /// Access lists, limits and rates.
    pub(crate) guards: bool,
    /// Listeners with routes, and clients that say what they ask for.
    pub(crate) routes: bool,
    /// Overrides of backends, and an end to connections of what reloads remove.
    pub(crate) leaving: bool,
}

impl Variety {
    fn some(random: &mut Random) -> Self {
        // In the others, round robin can be followed pick by pick.
        let leaving = random.chance(400);
        if random.chance(500) {
            return Self { leaving, ..Self::default() };
        }
        Self {
            policies: random.chance(500),
            bounds: random.chance(500),
            health: random.chance(600),
            headers: false,
            guards: false,
            routes: false,
            leaving,
        }
    }
}

/// When the process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    At(u64),
    /// Once nothing moves any more.
    WhenQuiet,
}

impl Scenario {
    pub(crate) fn new(random: &mut Random) -> Self {
        let workers = random.pick(&[1, 1, 2, 2, 3]);
        let pipes_max = random.pick(&[0, 1, 2, 8, 8]);
        let connections_max = random.pick(&[1, 2, 4, 8, 32, 32, 64]);
        let buffers = random.pick(&[2, 4, 8, 64, 256, 256]);
        let variety = Variety::some(random);
        let config = first_config(random, variety);
        let duration = random.pick(&[MILLISECOND, 20 * MILLISECOND, SECOND, 5 * SECOND]);
        let crowd = random.pick(&[1, 3, 6, 12, 12, 40]);
        let clients = (0..random.between(1, crowd)).map(|_| {
            let number = random.index(usize::from(LISTENERS_MAX));
            let second = if random.chance(250) { usize::from(LISTENERS_MAX) } else { 0 };
            (random.between(0, duration), listener_address(number + second))
        });
        let clients: Vec<_> = clients.collect();
        let reloads_max = random.pick(&[0, 0, 2, 8]);
        let healths_max = if variety.health { random.pick(&[0, 4, 16]) } else { 0 };
        let overrides_max = if variety.leaving { random.pick(&[0, 1, 4, 8]) } else { 0 };
        let queries_max = random.pick(&[0, 0, 3, 20]);
        let failbacks_max = if variety.health { random.pick(&[0, 1, 4]) } else { 0 };
        let mut changes = Vec::new();
        for (change, most) in [
            (Change::Reload, reloads_max),
            (Change::Health, healths_max),
            (Change::Failback, failbacks_max),
            (Change::Override, overrides_max),
            (Change::ConnectionQuery, queries_max),
        ] {
            for _ in 0..random.between(0, most) {
                changes.push((random.between(0, duration * 2), change));
            }
        }
        changes.sort_unstable();
        let drain =
            if random.chance(500) { Drain::WhenQuiet } else { Drain::At(random.between(0, duration * 2)) };
        let manners = manners(random);
        let scenario = Self {
            workers,
            connections_max,
            pipes_max,
            buffers,
            buffers_posted: random.pick(&[1, 4, 128, 128]),
            limits: Limits {
                queued_max: random.pick(&[1, 4, 1024, 1024]),
                completions_max: random.pick(&[1, 3, 16, 8192, 8192]),
                receives_end: random.chance(700),
            },
            files_max: files_max(random, workers, pipes_max),
            files_reused: random.chance(500),
            network: network(random, manners.bytes_max),
            faults: Faults::some(random),
            manners,
            hosts: hosts(random),
            variety,
            config,
            clients,
            changes,
            drain,
            drain_timeout: random.pick(&[0, MILLISECOND, 100 * MILLISECOND, 60 * SECOND]),
        };
        let scenario = match random.index(8) {
            0 | 1 => scenario.with_streams(random),
            2 => scenario.with_a_crowd(random),
            _ => scenario,
        };
        let scenario = match random.index(1000) {
            0..75 => scenario.with_headers(random),
            75..150 => scenario.with_headers(random).with_routes(random),
            150..250 => scenario.with_routes(random),
            _ => scenario,
        };
        if random.chance(200) { guards::guarded(scenario, random) } else { scenario }
    }

    /// With a proxy in front of every listener.
    fn with_headers(mut self, random: &mut Random) -> Self {
        self.variety.headers = true;
        for listener in &mut self.config.listeners {
            listener.proxy_protocol = Some(believes_all());
        }
        for pool in &mut self.config.pools {
            let fields = vec![HeaderField::UniqueId, HeaderField::Pass, HeaderField::Crc32c];
            pool.send_proxy = match random.index(3) {
                0 => None,
                1 => Some(SendProxy { version: HeaderVersion::V1, fields: Vec::new() }),
                _ => Some(SendProxy { version: HeaderVersion::V2, fields }),
            };
        }
        self.with_room()
    }

    /// With routes at every listener, by which its clients go to either pool.
    fn with_routes(mut self, random: &mut Random) -> Self {
        self.variety.routes = true;
        for listener in &mut self.config.listeners {
            listener.routing = routings::routing(random);
        }
        self.with_room()
    }

    /// With room in each socket for the longest header and hello.
    fn with_room(mut self) -> Self {
        let Network { room, window, .. } = self.network;
        self.network =
            Network { room: room.max(HEADERS_MAX), window: window.max(HEADERS_MAX), ..self.network };
        self
    }

    /// With what it takes for halves to splice.
    fn with_streams(self, random: &mut Random) -> Self {
        let room = random.pick(&[100_000, 256 * 1024, 1024 * 1024]);
        Self {
            pipes_max: self.pipes_max.max(1),
            buffers: self.buffers.max(64),
            buffers_posted: self.buffers_posted.max(4),
            files_max: self.files_max + 2 * self.workers,
            network: Network { room, window: random.pick(&[room, room, room / 4]), ..self.network },
            manners: Manners { bytes_max: 3_000_000, part_max: 300_000, ..self.manners },
            ..self
        }
    }
}

impl Scenario {
    /// Nothing goes wrong and nothing is decided: one worker, links without latency, peers that a test moves.
    pub(crate) fn quiet(buffers: u16) -> Self {
        Self {
            workers: 1,
            connections_max: 100,
            pipes_max: 8,
            buffers,
            buffers_posted: 128,
            limits: Limits { queued_max: 1024, completions_max: 8192, receives_end: true },
            files_max: 1000,
            files_reused: true,
            network: Network {
                latency_max: 0,
                room: 256 * 1024,
                window: 64 * 1024,
                pipe_capacity: 256 * 1024,
            },
            faults: Faults::default(),
            manners: Manners::by_hand(),
            variety: Variety::default(),
            config: Config::forward(listener_address(0), &[backend_address(0, 0)]),
            hosts: Vec::new(),
            clients: Vec::new(),
            changes: Vec::new(),
            drain: Drain::WhenQuiet,
            drain_timeout: 0,
        }
    }
}

impl Scenario {
    /// With many clients for few permits, over all workers, and none that keeps one for long.
    fn with_a_crowd(self, random: &mut Random) -> Self {
        let mut config = self.config;
        for listener in &mut config.listeners {
            listener.connections_max = random.pick(&[1, 2, 100]);
        }
        let knock = |_| (random.between(0, MILLISECOND), listener_address(random.index(2)));
        Self {
            workers: self.workers.max(2),
            connections_max: self.connections_max.min(3),
            clients: (0..60).map(knock).collect(),
            files_max: self.files_max + 4,
            manners: Manners { bytes_max: 100, trouble: 0, slow: 0, pausing: None, ..self.manners },
            config,
            ..self
        }
    }
}

fn first_config(random: &mut Random, variety: Variety) -> Config {
    let mut config = Config::forward(listener_address(0), &[backend_address(0, 0)]);
    config.listeners.clear();
    // Nothing is written, but there are records.
    let access_log = AccessLog {
        to: LogTarget::Stderr,
        facility: Facility::Local0,
        format: LogFormat::Text,
        fields: None,
        skip_empty: false,
    };
    config.access_log = Some(access_log);
    config.runtime.drain_timeout = Duration::from_millis(random.pick(&[1, 500, 30_000]));
    config.pools = (0..2).map(|number| pool(random, variety, &config.pools[0], number)).collect();
    for number in 0..random.between(1, u64::from(LISTENERS_MAX)) {
        let number = usize::try_from(number).expect("a small number");
        let listener = listener(random, variety, number, &config.listeners);
        config.listeners.push(listener);
    }
    config
}

fn listener(random: &mut Random, variety: Variety, number: usize, others: &[Listener]) -> Listener {
    let name = format!("listener {number}");
    let addresses = listener_addresses(random, number, others.iter().filter(|other| other.name != name));
    Listener {
        name,
        addresses,
        pool: PoolIndex(random.index(2)),
        target_role: if variety.health { target_role(random) } else { TargetRole::Any },
        proxy_protocol: variety.headers.then(believes_all),
        opening: OPENING,
        access: None,
        limits: None,
        rate: None,
        routing: if variety.routes { routings::routing(random) } else { routings::none() },
        access_log: true,
        backlog: random.pick(&[1, 2, 8, 64]),
        connections_max: random.pick(&[1, 3, 10, 100, 100]),
        freebind: false,
        v6only: false,
    }
}

/// Few, and not for long, so that both bounds are reached.
const OPENING: Opening = Opening { timeout: Duration::from_secs(2), connections_max: 3 };

fn believes_all() -> ProxyProtocol {
    let versions = HeaderVersions { v1: true, v2: true };
    ProxyProtocol { from: Proxies::Any, others: Others::Refuse, versions }
}

/// More bytes than a header and what follows it at once have.
const HEADERS_MAX: u64 = 16 * 1024;

fn target_role(random: &mut Random) -> TargetRole {
    let hold = waiting(random);
    random.pick(&[
        TargetRole::Any,
        TargetRole::Any,
        TargetRole::Primary(hold),
        TargetRole::Primary(hold),
        TargetRole::Replica(Fallback::None),
        TargetRole::Replica(Fallback::Primary),
    ])
}

fn waiting(random: &mut Random) -> Waiting {
    Waiting {
        connections_max: random.pick(&[0, 1, 3, 1000, 1000]),
        timeout: Duration::from_millis(random.pick(&[1, 100, 2_000, 10_000])),
    }
}

fn pool(random: &mut Random, variety: Variety, like: &Pool, number: u8) -> Pool {
    let mut pool = like.clone();
    pool.name = pool_name(number);
    pool.source = random.chance(300).then_some([10, 0, 0, 1].into());
    if variety.policies {
        pool.balance = random.pick(&[
            Balance::RoundRobin,
            Balance::LeastConnections,
            Balance::LeastConnections,
            Balance::Random,
            Balance::Maglev,
            Balance::First,
        ]);
    }
    settings(random, variety, &mut pool);
    pool.backends = (0..=random.index(usize::from(BACKENDS_MAX)))
        .map(|index| backend(random, variety, number, index))
        .collect();
    pool
}

fn settings(random: &mut Random, variety: Variety, pool: &mut Pool) {
    pool.attempts = random.pick(&[1, 2, 3, 16]);
    pool.connect_timeout = Duration::from_millis(random.pick(&[50, 500, 3_000]));
    pool.idle_timeout = Duration::from_secs(random.pick(&[10, 20, 3_600]));
    pool.half_closed_timeout = Duration::from_secs(random.pick(&[4, 4, 60]));
    pool.keepalive.idle = Duration::from_secs(random.pick(&[1, 60]));
    pool.on_all_down = random.pick(&[OnAllDown::Open, OnAllDown::Closed]);
    pool.on_remove = if variety.leaving { on_remove(random) } else { OnRemove::Keep };
    if variety.bounds {
        pool.queue = waiting(random);
    }
    if variety.health {
        pool.on_down = random.pick(&[OnLoss::Keep, OnLoss::Close]);
        pool.on_role_loss = random.pick(&[OnLoss::Keep, OnLoss::Close, OnLoss::Close]);
        let delay = Duration::from_millis(random.pick(&[0, 100, 5_000]));
        pool.tiers = Tiers {
            active_min: random.pick(&[1, 1, 2]),
            backups: random.pick(&[Backups::All, Backups::First]),
            failback: random.pick(&[Failback::Auto(delay), Failback::Manual]),
            on_demotion: random.pick(&[OnDemotion::Keep, OnDemotion::Drain, OnDemotion::Close]),
        };
    }
}

fn on_remove(random: &mut Random) -> OnRemove {
    let timeout = Duration::from_millis(random.pick(&[1, 100, 1_000, 10_000]));
    random.pick(&[OnRemove::Drain(timeout), OnRemove::Drain(timeout), OnRemove::Keep, OnRemove::Close])
}

fn backend(random: &mut Random, variety: Variety, pool: u8, index: usize) -> Backend {
    let weight = random.pick(&[0, 1, 1, 1, 1, 2, 5]);
    let bound = if variety.bounds { random.pick(&[0, 1, 1, 2, 5]) } else { 0 };
    // The first is never one, so that there is one of each pool that is not.
    let is_backup = variety.health && index > 0 && random.chance(300);
    Backend {
        name: format!("backend {index}"),
        address: backend_address(pool, index),
        weight,
        tier: if is_backup { Tier::Backup } else { Tier::Active },
        connections_max: NonZeroU32::new(bound),
    }
}

fn hosts(random: &mut Random) -> Vec<(SocketAddr, Host)> {
    let trouble = random.pick(&[0, 0, 200, 1000]);
    let mut hosts = Vec::new();
    for pool in 0..2 {
        for index in 0..usize::from(BACKENDS_MAX) {
            let sick = random.chance(trouble);
            let host = if sick { Host::Sick(random.pick(&[300, 1000])) } else { Host::Well };
            hosts.push((backend_address(pool, index), host));
        }
    }
    hosts
}

/// Changes one thing of a configuration.
pub(crate) fn change(random: &mut Random, variety: Variety, config: &mut Config) {
    if variety.guards && random.chance(300) {
        return guards::change(random, config);
    }
    let pool = random.index(config.pools.len());
    match random.index(8) {
        0 => {
            // A verdict, as it were: a backend takes no more, or some again.
            let index = random.index(config.pools[pool].backends.len());
            let backend = &mut config.pools[pool].backends[index];
            backend.weight = u16::from(backend.weight == 0);
        }
        1 => {
            let backends = &mut config.pools[pool].backends;
            if backends.len() > 1 {
                backends.remove(random.index(backends.len()));
            }
        }
        2 => {
            let number = u8::try_from(pool).expect("two pools");
            let index = random.index(usize::from(BACKENDS_MAX));
            let new = backend(random, variety, number, index);
            let backends = &mut config.pools[pool].backends;
            if !backends.iter().any(|backend| backend.address == new.address) {
                backends.insert(random.index(backends.len() + 1), new);
            }
        }
        3 => settings(random, variety, &mut config.pools[pool]),
        4 => {
            if !config.listeners.is_empty() {
                config.listeners.remove(random.index(config.listeners.len()));
            }
        }
        _ => {
            let number = random.index(usize::from(LISTENERS_MAX));
            let mut new = listener(random, variety, number, &config.listeners);
            if variety.guards {
                guards::name(random, &mut new);
            }
            match config.listeners.iter_mut().find(|listener| listener.name == new.name) {
                Some(listener) => *listener = new,
                None => config.listeners.push(new),
            }
        }
    }
}
