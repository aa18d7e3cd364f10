//! Inputs, what operators say and the table together, against a model: three servers that say what they like, reloads
//! of every key of the pool and of its probe, and every command, in whatever order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Config, Fallback, TargetRole, Waiting};
use driver::{ListenGroup, Owner};
use health::roles::Times;
use health::{Answer, Claim, History, Outcome, ProbeError, Progress, Role, ServerId, Text, Verdict};
use proptest::prelude::*;
use table::{Availability, BackendIndex, BackendState, DrainWindow, Inputs, Table};

use super::{HealthMonitor, now};
use crate::event_log::EventLog;
use crate::overrides::{Drain, Override, Overrides};
use crate::reload::plan;

/// What a server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// On this timeline.
    Primary(u32),
    /// So many seconds behind.
    Replica(u64),
    Neither,
    /// Nothing, and that is its fault.
    Refused,
    /// It has no connection left, which is not.
    Overloaded,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// From now on the server says this.
    Change(usize, Says),
    /// It is probed.
    Probe(usize),
    /// Another value of this key.
    Reload(Key, usize),
    Command(usize, Order),
    Failback,
    /// Connects of clients to it fail.
    ConnectsFail(usize),
    Wait(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Kind,
    Port,
    Interval,
    FastInterval,
    Timeout,
    Jitter,
    Rise,
    Fall,
    MaxLag,
    Eject,
    SlowStart,
    OnDown,
    OnRoleLoss,
    IdleTimeout,
    Balance,
    WeightOfA,
    Order,
    HasC,
    /// Another pool, of the same servers.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Disable,
    Enable,
    Drain,
    DrainFor(u64),
    Undrain,
    Weight(u16),
}

/// Which value each key has: an index into those that it may have.
#[derive(Clone, Debug, Default)]
struct File([usize; 19]);

impl File {
    fn of<'a>(&self, key: Key, values: &[&'a str]) -> &'a str {
        values[self.0[key as usize] % values.len()]
    }

    fn tells_roles(&self) -> bool {
        self.of(Key::Kind, KINDS) != "tcp: {}"
    }

    fn fall(&self) -> u32 {
        self.of(Key::Fall, &["2", "3", "5"]).parse().unwrap()
    }

    fn rise(&self) -> u32 {
        self.of(Key::Rise, &["2", "1", "4"]).parse().unwrap()
    }

    fn lag_max(&self) -> Option<u64> {
        let tells_lag = self.of(Key::Kind, KINDS).starts_with("postgres");
        [None, Some(4), Some(10)][self.0[Key::MaxLag as usize] % 3].filter(|_| tells_lag)
    }

    fn has(&self, server: usize) -> bool {
        server != 2 || self.of(Key::HasC, &["yes", "no"]) == "yes"
    }

    fn weight(&self, server: usize) -> &'static str {
        if server == 0 { self.of(Key::WeightOfA, &["1", "5", "0"]) } else { "1" }
    }

    fn config(&self) -> Config {
        let mut backends: Vec<String> = (0..3)
            .filter(|server| self.has(*server))
            .map(|server| {
                let (name, weight) = (NAMES[server], self.weight(server));
                format!("{{ name: {name}, address: \"{}\", weight: {weight} }}", address(server))
            })
            .collect();
        if self.of(Key::Order, &["as it is", "reversed"]) == "reversed" {
            backends.reverse();
        }
        let role = |role: &str| if self.tells_roles() { format!(", role: {role}") } else { String::new() };
        let other = match self.of(Key::Other, &["none", "same", "tcp"]) {
            "none" => String::new(),
            "same" => {
                format!("- {{ name: other, backends: [{}], probe: {{ {} }} }}", backends.join(", "), KINDS[0])
            }
            _ => format!(
                "- {{ name: other, backends: [{}], probe: {{ tcp: {{}}, fall: 1 }} }}",
                backends.join(", ")
            ),
        };
        let text = format!(
            "version: 1\n\
             listeners:\n  \
             - {{ name: writers, address: \"127.0.0.1:1\", pool: db{} }}\n  \
             - {{ name: readers, address: \"127.0.0.1:2\", pool: db{} }}\n\
             pools:\n  {other}\n  \
             - name: db\n    \
               backends: [{}]\n    \
               probe: {{ {}, port: {}, interval: {}, fast_interval: {}, timeout: {}, jitter: {}, rise: {}, fall: {} }}\n    \
               max_lag: {}\n    eject: {}\n    slow_start: {}\n    on_down: {}\n    on_role_loss: {}\n    \
               idle_timeout: {}\n    balance: {}\n",
            role("primary"),
            role("replica"),
            backends.join(", "),
            self.of(Key::Kind, KINDS),
            self.of(Key::Port, &["null", "5433"]),
            self.of(Key::Interval, &["2s", "200ms"]),
            self.of(Key::FastInterval, &["200ms", "100ms"]),
            self.of(Key::Timeout, &["1s", "500ms"]),
            self.of(Key::Jitter, &["10%", "0%"]),
            self.rise(),
            self.fall(),
            self.lag_max().map_or("null".to_owned(), |seconds| format!("{seconds}s")),
            self.of(
                Key::Eject,
                &["{ failures: 3, for: 10s, max: 300s }", "{ failures: 2, for: 5s, max: 9s }", "off"]
            ),
            self.of(Key::SlowStart, &["0s", "10s"]),
            self.of(Key::OnDown, &["keep", "close"]),
            self.of(Key::OnRoleLoss, &["close", "keep"]),
            self.of(Key::IdleTimeout, &["60s", "90s"]),
            self.of(Key::Balance, &["round_robin", "least_connections", "random"]),
        );
        Config::parse("model", text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

/// What the model knows of a server, by what it heard.
#[derive(Clone, Copy, Debug, Default)]
struct Server {
    says: Option<Says>,
    /// Whether any probe of it has ended.
    probed: bool,
    /// The role that counts: it said so last, and is not down since.
    told: Option<Says>,
    fails: u32,
    passes: u32,
    unanswered: u32,
    /// Whether so many were unanswered, when it was probed last, that its role may be another.
    stale: bool,
    said: Override,
}

impl Server {
    fn is_primary(&self) -> bool {
        matches!(self.told, Some(Says::Primary(_)))
    }

    fn has_a_say(&self, now: Instant) -> bool {
        let out = matches!(self.said.drain, Some(Drain::Until(notice)) if notice.until <= now);
        !self.said.disabled && !out
    }
}

/// What came of it, of each server.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    verdict: Option<Verdict>,
    standing: BackendState,
}

/// How it was before a step.
struct Was {
    seen: [Seen; 3],
    servers: [Server; 3],
    told_roles: bool,
}

/// What may be another after a step.
enum May {
    All,
    /// All but the verdict.
    Roles,
    Nothing,
}

struct Model {
    file: File,
    config: Config,
    overrides: Overrides,
    watch: HealthMonitor,
    chronicle: EventLog,
    now: Instant,
    table: Table,
    servers: [Server; 3],
}

impl Model {
    fn new() -> Self {
        let file = File::default();
        let config = file.config();
        let watch = HealthMonitor::new(&config);
        let table = Table::build(&config, sockets(), 1, None, None);
        let servers = [Says::Primary(1), Says::Replica(0), Says::Replica(0)]
            .map(|says| Server { says: Some(says), ..Server::default() });
        let (overrides, chronicle) = (Overrides::default(), EventLog::default());
        Self { file, config, overrides, watch, chronicle, now: now(), table, servers }
    }

    /// Does it, as control does, and checks what came of it.
    fn step(&mut self, step: Step) {
        let was = Was { seen: self.seen(), servers: self.servers, told_roles: self.file.tells_roles() };
        match step {
            Step::Change(server, says) => self.servers[server].says = Some(says),
            Step::Probe(server) => self.probe(server),
            Step::Reload(key, value) => self.reload(key, value),
            Step::Command(server, order) => self.command(server, order),
            Step::Failback => {}
            Step::ConnectsFail(server) => self.fail_connects(server),
            Step::Wait(millis) => self.now += Duration::from_millis(millis),
        }
        self.rebuild(matches!(step, Step::Failback));
        let after = self.seen();
        self.check_what_changed(step, &was, &after);
        self.check_writer(&was.seen, &after);
        self.check_readers(&after);
        self.check_sessions(step, &was.seen);
    }

    fn probe(&mut self, index: usize) {
        let id = ServerId { pool: "db".into(), address: address(index).parse().unwrap() };
        let asked = self.now;
        self.now += Duration::from_millis(2);
        let says = self.servers[index].says.unwrap();
        let outcome =
            Outcome { answer: answer(says, self.file.tells_roles()), latency: Duration::from_millis(2) };
        let times = Times { asked, answered: self.now };
        let Some(report) = self.watch.prober.on_outcome(&id, times, outcome) else { return };
        self.watch.on_report(&report, self.now, &mut self.chronicle);

        let verdict = self.watch.prober.status(&id).unwrap().verdict;
        let (fall, rise) = (self.file.fall(), self.file.rise());
        let is_replaceable = (0..3).any(|other| {
            let other_server = &self.servers[other];
            other != index && other_server.is_primary() && other_server.has_a_say(self.now)
        });
        let tells_roles = self.file.tells_roles();
        let server = &mut self.servers[index];
        server.probed = true;
        match says {
            Says::Refused => (server.fails, server.passes) = (server.fails + 1, 0),
            Says::Overloaded => {}
            _ => (server.fails, server.passes) = (0, server.passes + 1),
        }
        let answers = !matches!(says, Says::Refused | Says::Overloaded);
        server.unanswered = if answers { 0 } else { server.unanswered + 1 };
        server.stale = server.unanswered >= fall;
        if answers {
            server.told = Some(says).filter(|_| tells_roles);
        }
        if verdict == Verdict::Down {
            server.told = None;
        }
        if verdict == Verdict::Down && says != Says::Overloaded {
            let may_be_damped = is_replaceable || !server.has_a_say(self.now) || !tells_roles;
            let is_sole_primary = matches!(says, Says::Primary(_)) && !may_be_damped;
            assert!(!is_sole_primary || server.passes < rise, "it is held back, and nothing replaces it");
        }
        if says == Says::Refused && server.fails >= fall {
            assert_eq!(verdict, Verdict::Down);
        }
    }

    fn reload(&mut self, key: Key, value: usize) {
        let told_roles = self.file.tells_roles();
        self.file.0[key as usize] = value;
        let config = self.file.config();
        plan(&self.config, &config).expect("nothing of it needs a restart");
        self.overrides.follow(&config);
        self.config = config;
        self.follow();
        for (index, server) in self.servers.iter_mut().enumerate() {
            if !self.file.has(index) {
                *server = Server { says: server.says, ..Server::default() };
            }
            if !self.file.tells_roles() {
                server.told = None;
            } else if !told_roles {
                server.probed = false;
            }
        }
    }

    fn command(&mut self, index: usize, order: Order) {
        let now = self.now;
        let change = |said: &mut Override| match order {
            Order::Disable => said.disabled = true,
            Order::Enable => *said = Override::default(),
            Order::Drain => said.drain = Some(Drain::Open),
            Order::DrainFor(millis) => {
                said.drain = Some(Drain::Until(DrainWindow::drained(now, Duration::from_millis(millis))));
            }
            Order::Undrain => said.drain = None,
            Order::Weight(weight) => said.weight = Some(weight),
        };
        let name = format!("db/{}", NAMES[index]).parse().unwrap();
        if self.overrides.change(&self.config, &name, change).is_ok() {
            change(&mut self.servers[index].said);
        }
        self.follow();
    }

    fn follow(&mut self) {
        let effective = self.overrides.applied_to(&self.config);
        self.watch.follow(&effective, &self.overrides, &mut self.chronicle);
    }

    fn fail_connects(&mut self, index: usize) {
        let address = address(index).parse().unwrap();
        let pool = self.table.pool("db").unwrap();
        if let Some(backend) = pool.backends.iter().find(|backend| backend.address == address) {
            for _ in 0..3 {
                backend.on_connect_failed();
            }
        }
        self.watch.on_failures(&self.table, self.now, &mut self.chronicle);
    }

    fn health(&mut self) -> Inputs {
        self.overrides.with_drains(self.watch.health(self.now, &mut self.chronicle))
    }

    fn rebuild(&mut self, failback: bool) {
        let mut health = self.health();
        health.pools.get_mut("db").unwrap().failback = failback;
        let effective = self.overrides.applied_to(&self.config);
        self.table = Table::build(&effective, sockets(), 1, Some(&health), Some(&self.table));
    }

    fn seen(&mut self) -> [Seen; 3] {
        let health = self.health();
        [0, 1, 2].map(|index| {
            let address = address(index).parse().unwrap();
            let id = ServerId { pool: "db".into(), address };
            let standing = health.pools["db"].backends.get(&address).copied().unwrap_or_default();
            Seen { verdict: self.watch.prober.status(&id).map(|status| status.verdict), standing }
        })
    }

    /// Only what a step is about may be another after it.
    fn check_what_changed(&self, step: Step, was: &Was, after: &[Seen; 3]) {
        for (index, (before, after)) in was.seen.iter().zip(after).enumerate() {
            let shown = |seen: &Seen| (seen.verdict, seen.standing.availability, seen.standing.role);
            match self.may(step, was, index) {
                May::All => {}
                May::Roles => assert_eq!(before.verdict, after.verdict, "{step:?} of {}", NAMES[index]),
                May::Nothing => assert_eq!(shown(before), shown(after), "{step:?} of {}", NAMES[index]),
            }
        }
    }

    /// What a step may change of this server.
    fn may(&self, step: Step, was: &Was, index: usize) -> May {
        let is_own = match step {
            Step::Probe(probed) => probed == index,
            Step::Reload(Key::HasC, _) => index == 2,
            _ => false,
        };
        if is_own {
            return May::All;
        }
        let server = |named: usize| &was.servers[named];
        let moves_roles = match step {
            Step::Change(..) | Step::Failback => false,
            Step::Probe(_) | Step::Wait(_) | Step::ConnectsFail(_) => true,
            Step::Reload(key, _) => match key {
                // The limit of the lag goes with the kind.
                Key::Kind => {
                    was.told_roles != self.file.tells_roles() || self.file.0[Key::MaxLag as usize] > 0
                }
                Key::Eject => self.file.of(Key::Eject, &["on", "on", "off"]) == "off",
                Key::HasC | Key::MaxLag => true,
                _ => false,
            },
            Step::Command(named, order) => match order {
                Order::Weight(_) => false,
                Order::Disable | Order::Enable => {
                    named == index || server(named).is_primary() || !server(named).probed
                }
                Order::DrainFor(0) => true,
                // What was drained for a time that is over may hold a role again.
                Order::Drain | Order::DrainFor(_) | Order::Undrain => !server(named).has_a_say(self.now),
            },
        };
        if moves_roles { May::Roles } else { May::Nothing }
    }

    /// There is one that is written to at most, it said so, and it keeps the role as long as it says so.
    fn check_writer(&self, before: &[Seen; 3], after: &[Seen; 3]) {
        let primary = |seen: &[Seen; 3]| {
            let is_primary = |seen: &&Seen| seen.standing.role == Some(table::Role::Primary);
            assert!(seen.iter().filter(is_primary).count() <= 1, "{seen:?}");
            seen.iter().position(|seen| is_primary(&seen))
        };
        let claims = |index: usize| {
            let server = &self.servers[index];
            server.is_primary() && server.has_a_say(self.now)
        };
        let (held, writer) = (primary(before), primary(after));
        if let Some(writer) = writer {
            assert!(claims(writer), "{} is written to: {:?}", NAMES[writer], self.servers);
        }
        if let Some(held) = held.filter(|held| claims(*held) && writer != Some(*held)) {
            let newer = writer.is_some_and(|writer| {
                let (new, old) = (self.servers[writer], self.servers[held]);
                let timelines = (new.told, old.told);
                let is_newer =
                    matches!(timelines, (Some(Says::Primary(new)), Some(Says::Primary(old))) if new > old);
                is_newer && old.stale && new.unanswered == 0
            });
            assert!(newer, "{} loses the role to {writer:?}: {:?}", NAMES[held], self.servers);
        }
        let all_probed =
            (0..3).all(|index| self.servers[index].probed || !self.file.has(index) || !self.has_a_say(index));
        let claiming: Vec<usize> = (0..3).filter(|index| claims(*index)).collect();
        if let ([only], true) = (&claiming[..], all_probed) {
            assert_eq!(writer, Some(*only), "{:?}", self.servers);
        }
        // And by the table.
        let pool = self.table.pool("db").unwrap();
        let demand = TargetRole::Primary(Waiting { connections_max: 0, timeout: Duration::ZERO });
        for (index, backend) in (0..).map(BackendIndex).zip(&pool.backends) {
            if pool.share(demand, index) > 0 {
                let is_it = writer.is_some_and(|writer| address(writer) == backend.address.to_string());
                assert!(is_it, "{} is picked for writers", backend.name);
            }
        }
    }

    /// A reload cuts no session with the one that is written to, whatever key it changes.
    fn check_sessions(&self, step: Step, before: &[Seen; 3]) {
        let Step::Reload(..) = step else { return };
        let held = before.iter().position(|seen| seen.standing.role == Some(table::Role::Primary));
        let pool = self.table.pool("db").unwrap();
        let Some(place) = held.and_then(|held| pool.index_of(address(held).parse().unwrap())) else { return };
        let demand = TargetRole::Primary(Waiting { connections_max: 0, timeout: Duration::ZERO });
        assert_eq!(self.table.eviction(demand, pool.backend(place)), None, "{step:?}: {:?}", self.servers);
    }

    fn has_a_say(&self, index: usize) -> bool {
        self.servers[index].has_a_say(self.now)
    }

    /// There is one to read from as long as a replica is known that may be.
    fn check_readers(&self, after: &[Seen; 3]) {
        let pool = self.table.pool("db").unwrap();
        for (index, backend) in self.servers.iter().zip(after).enumerate() {
            let (server, seen) = backend;
            let address = address(index).parse().unwrap();
            let Some(place) = pool.index_of(address) else { continue };
            let Some(Says::Replica(lag)) = server.told else { continue };
            let is_near = self.file.lag_max().is_none_or(|max| lag <= max / 2);
            let takes = pool.backend(place).weight > 0 && server.has_a_say(self.now);
            if takes && is_near && seen.standing.availability != Availability::Ejected {
                assert!(
                    pool.share(TargetRole::Replica(Fallback::None), place) > 0,
                    "{}: {seen:?}",
                    NAMES[index]
                );
            }
        }
    }
}

fn answer(says: Says, tells_roles: bool) -> Result<Answer, ProbeError> {
    let role = match says {
        Says::Primary(timeline) => {
            Role::Primary(Claim { history: Some(History::Timeline { system: 7, timeline }), position: None })
        }
        Says::Replica(lag) => Role::Replica(Progress { position: None, lag: Some(Duration::from_secs(lag)) }),
        Says::Neither => Role::Neither,
        Says::Refused => return Err(ProbeError::Refused),
        Says::Overloaded => return Err(ProbeError::Overloaded(Text::new("too many connections"))),
    };
    Ok(Answer { role: Some(role).filter(|_| tells_roles) })
}

fn address(server: usize) -> &'static str {
    ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"][server]
}

fn sockets() -> Vec<Arc<ListenGroup>> {
    vec![
        Arc::new(ListenGroup::new(Vec::new(), Owner::Process)),
        Arc::new(ListenGroup::new(Vec::new(), Owner::Process)),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "c"];

const KINDS: &[&str] = &["postgres: { user: u }", "postgres: { user: v }", "http: { roles: {} }", "tcp: {}"];

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        4 => (1u32..4).prop_map(Says::Primary),
        3 => prop::sample::select(vec![0, 1, 3, 6, 20]).prop_map(Says::Replica),
        1 => Just(Says::Neither),
        3 => Just(Says::Refused),
        2 => Just(Says::Overloaded),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    use Key::*;
    prop::sample::select(vec![
        Kind,
        Port,
        Interval,
        FastInterval,
        Timeout,
        Jitter,
        Rise,
        Fall,
        MaxLag,
        Eject,
        SlowStart,
        OnDown,
        OnRoleLoss,
        IdleTimeout,
        Balance,
        WeightOfA,
        Order,
        HasC,
        Other,
    ])
}

fn order() -> impl Strategy<Value = Order> {
    prop::sample::select(vec![
        Order::Disable,
        Order::Disable,
        Order::Enable,
        Order::Enable,
        Order::Drain,
        Order::DrainFor(0),
        Order::DrainFor(3000),
        Order::Undrain,
        Order::Weight(0),
        Order::Weight(7),
    ])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3, says()).prop_map(|(server, says)| Step::Change(server, says)),
        12 => (0usize..3).prop_map(Step::Probe),
        4 => (key(), 0usize..12).prop_map(|(key, value)| Step::Reload(key, value)),
        3 => (0usize..3, order()).prop_map(|(server, order)| Step::Command(server, order)),
        1 => Just(Step::Failback),
        1 => (0usize..3).prop_map(Step::ConnectsFail),
        2 => prop::sample::select(vec![1, 100, 2000, 20_000, 400_000]).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_writers_have_one_server_and_readers_have_one_if_there_is_one(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut model = Model::new();
        for step in steps {
            model.step(step);
        }
    }
}

#[test]
fn the_only_primary_is_not_held_back_however_often_it_went_down() {
    let mut model = Model::new();
    for server in 0..3 {
        model.step(Step::Probe(server));
    }
    for _ in 0..8 {
        for says in [Says::Refused, Says::Primary(1)] {
            model.step(Step::Change(0, says));
            model.step(Step::Probe(0));
            model.step(Step::Probe(0));
        }
        assert_eq!(model.seen()[0].standing.role, Some(table::Role::Primary));
    }
}
