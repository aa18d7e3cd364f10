//! The monitor and the writer together, against a model: three servers with any state, reloads of every key of the
//! pool and of its probe, and every command, in any order.

mod file;

use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Fallback, TargetRole, Waiting};
use driver::{ListenGroup, Owner};
use health::roles::Times;
use health::{Answer, Claim, History, Outcome, ProbeError, Progress, Role, ServerId, Text, Verdict};
use proptest::prelude::*;
use table::{
    Availability, BackendIndex, BackendKey, BackendState, Drain, DrainWindow, EffectiveConfig, Override,
    Table, TableWriter,
};

use self::file::{File, Key, key};
use super::{HealthMonitor, now};
use crate::event_log::EventLog;
use crate::reload::refuse_restart;

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
enum Order {
    Disable,
    Enable,
    Drain,
    DrainFor(u64),
    Undrain,
    Weight(u16),
}

/// What the model knows of a server, by its answers.
#[derive(Clone, Copy, Debug, Default)]
struct Server {
    says: Option<Says>,
    /// Whether any probe of it has ended.
    probed: bool,
    /// The role that counts: its last answer, unless it is down since.
    reported: Option<Says>,
    fails: u32,
    passes: u32,
    unanswered: u32,
    /// Whether so many were unanswered, when it was probed last, that its role may be another.
    stale: bool,
    overridden: Override,
}

impl Server {
    fn is_primary(&self) -> bool {
        matches!(self.reported, Some(Says::Primary(_)))
    }

    fn has_a_say(&self, now: Instant) -> bool {
        let out = matches!(self.overridden.drain, Some(Drain::Until(window)) if window.until <= now);
        !self.overridden.disabled && !out
    }
}

/// The result, for each server.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    verdict: Option<Verdict>,
    state: BackendState,
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
    writer: TableWriter,
    monitor: HealthMonitor,
    event_log: EventLog,
    now: Instant,
    servers: [Server; 3],
}

impl Model {
    fn new() -> Self {
        let (file, now) = (File::default(), now());
        let config = file.config();
        let monitor = HealthMonitor::new(&EffectiveConfig::new(config.clone()));
        let writer = TableWriter::new(config, sockets(), 1, monitor.inputs(now), table::Sources::default());
        let servers = [Says::Primary(1), Says::Replica(0), Says::Replica(0)]
            .map(|says| Server { says: Some(says), ..Server::default() });
        Self { file, writer, monitor, event_log: EventLog::default(), now, servers }
    }

    /// Performs the step, as control does, and checks the result.
    fn step(&mut self, step: Step) {
        let was = Was { seen: self.seen(), servers: self.servers, told_roles: self.file.tells_roles() };
        match step {
            Step::Change(server, says) => self.servers[server].says = Some(says),
            Step::Probe(server) => self.probe(server),
            Step::Reload(key, value) => self.reload(key, value),
            Step::Command(server, order) => self.command(server, order),
            Step::Failback => self.fail_back(),
            Step::ConnectsFail(server) => self.fail_connects(server),
            Step::Wait(millis) => self.now += Duration::from_millis(millis),
        }
        if let Step::Reload(..) | Step::Command(..) | Step::Failback = step {
            let changed = self.monitor.evaluate(self.now, &mut self.event_log);
            assert!(!changed, "{step:?} is in force, and not all of it was evaluated");
        }
        self.refresh();
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
        let Some(report) = self.monitor.prober.on_outcome(&id, times, outcome) else { return };
        self.monitor.on_report(&report, self.now, &mut self.event_log);

        let verdict = self.monitor.prober.status(&id).unwrap().verdict;
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
            server.reported = Some(says).filter(|_| tells_roles);
        }
        if verdict == Verdict::Down {
            server.reported = None;
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
        refuse_restart(self.writer.config().written(), &config).expect("nothing of it needs a restart");
        let (monitor, event_log, now) = (&mut self.monitor, &mut self.event_log, self.now);
        let kept = sockets_of(&self.writer.table());
        drop(self.writer.reload(config, kept, |config| monitor.reconfigure(config, now, event_log)));
        for (index, server) in self.servers.iter_mut().enumerate() {
            if !self.file.has(index) {
                *server = Server { says: server.says, ..Server::default() };
            }
            if !self.file.tells_roles() {
                server.reported = None;
            } else if !told_roles {
                server.probed = false;
            }
        }
    }

    fn command(&mut self, index: usize, order: Order) {
        let now = self.now;
        let change = |it: &mut Override| match order {
            Order::Disable => it.disabled = true,
            Order::Enable => *it = Override::default(),
            Order::Drain => it.drain = Some(Drain::Open),
            Order::DrainFor(millis) => {
                it.drain = Some(Drain::Until(DrainWindow::drained(now, Duration::from_millis(millis))));
            }
            Order::Undrain => it.drain = None,
            Order::Weight(weight) => it.weight = Some(weight),
        };
        if !self.file.has(index) {
            return;
        }
        let backend = BackendKey { pool: "db".to_owned(), address: address(index).parse().unwrap() };
        let (monitor, event_log) = (&mut self.monitor, &mut self.event_log);
        let inputs = |config: &_| monitor.reconfigure(config, now, event_log);
        drop(self.writer.change_override(&backend, change, inputs));
        change(&mut self.servers[index].overridden);
    }

    fn fail_back(&mut self) {
        self.monitor.evaluate(self.now, &mut self.event_log);
        drop(self.writer.fail_back("db", self.monitor.inputs(self.now)));
    }

    fn fail_connects(&mut self, index: usize) {
        let address = address(index).parse().unwrap();
        let table = self.writer.table();
        let pool = table.pool("db").unwrap();
        if let Some(backend) = pool.backends.iter().find(|backend| backend.address == address) {
            for _ in 0..3 {
                backend.on_connect_failed();
            }
        }
        self.monitor.on_failures(&table, self.now, &mut self.event_log);
    }

    fn refresh(&mut self) {
        self.monitor.evaluate(self.now, &mut self.event_log);
        drop(self.writer.refresh(self.monitor.inputs(self.now)));
    }

    fn seen(&self) -> [Seen; 3] {
        let inputs = self.writer.inputs();
        [0, 1, 2].map(|index| {
            let address = address(index).parse().unwrap();
            let id = ServerId { pool: "db".into(), address };
            let state = inputs.pools["db"].backends.get(&address).copied().unwrap_or_default();
            Seen { verdict: self.monitor.prober.status(&id).map(|status| status.verdict), state }
        })
    }

    /// Only what a step is about may be another after it.
    fn check_what_changed(&self, step: Step, was: &Was, after: &[Seen; 3]) {
        for (index, (before, after)) in was.seen.iter().zip(after).enumerate() {
            let shown = |seen: &Seen| (seen.verdict, seen.state.availability, seen.state.role);
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
            let is_primary = |seen: &&Seen| seen.state.role == Some(table::Role::Primary);
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
                let timelines = (new.reported, old.reported);
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
        let table = self.writer.table();
        let pool = table.pool("db").unwrap();
        let target_role = TargetRole::Primary(Waiting { connections_max: 0, timeout: Duration::ZERO });
        for (index, backend) in (0..).map(BackendIndex).zip(&pool.backends) {
            if pool.share(target_role, index) > 0 {
                let is_it = writer.is_some_and(|writer| address(writer) == backend.address.to_string());
                assert!(is_it, "{} is picked for writers", backend.name);
            }
        }
    }

    /// A reload cuts no session with the one that is written to, whatever key it changes.
    fn check_sessions(&self, step: Step, before: &[Seen; 3]) {
        let Step::Reload(..) = step else { return };
        let held = before.iter().position(|seen| seen.state.role == Some(table::Role::Primary));
        let table = self.writer.table();
        let pool = table.pool("db").unwrap();
        let Some(place) = held.and_then(|held| pool.index_of(address(held).parse().unwrap())) else { return };
        let target_role = TargetRole::Primary(Waiting { connections_max: 0, timeout: Duration::ZERO });
        assert_eq!(table.eviction(target_role, pool.backend(place)), None, "{step:?}: {:?}", self.servers);
    }

    fn has_a_say(&self, index: usize) -> bool {
        self.servers[index].has_a_say(self.now)
    }

    /// There is one to read from as long as a replica is known that may be.
    fn check_readers(&self, after: &[Seen; 3]) {
        let table = self.writer.table();
        let pool = table.pool("db").unwrap();
        for (index, backend) in self.servers.iter().zip(after).enumerate() {
            let (server, seen) = backend;
            let address = address(index).parse().unwrap();
            let Some(place) = pool.index_of(address) else { continue };
            let Some(Says::Replica(lag)) = server.reported else { continue };
            let is_near = self.file.lag_max().is_none_or(|max| lag <= max / 2);
            let takes = pool.backend(place).weight > 0 && server.has_a_say(self.now);
            if takes && is_near && seen.state.availability != Availability::Ejected {
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

/// The sockets of the listeners, as a reload keeps them.
fn sockets_of(table: &Table) -> Vec<Arc<ListenGroup>> {
    table.sockets().map(Arc::clone).collect()
}

fn sockets() -> Vec<Arc<ListenGroup>> {
    vec![
        Arc::new(ListenGroup::new(Vec::new(), Owner::Process)),
        Arc::new(ListenGroup::new(Vec::new(), Owner::Process)),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        4 => (1u32..4).prop_map(Says::Primary),
        3 => prop::sample::select(vec![0, 1, 3, 6, 20]).prop_map(Says::Replica),
        1 => Just(Says::Neither),
        3 => Just(Says::Refused),
        2 => Just(Says::Overloaded),
    ]
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
    fn writers_have_one_server_and_readers_have_one_if_there_is_one(
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
        assert_eq!(model.seen()[0].state.role, Some(table::Role::Primary));
    }
}
