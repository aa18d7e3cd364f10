//! Access lists and limits in a run: what they say, and what must come of it, worked out a second time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{
    AccessIndex, AccessList, AccessRule, Action, Config, LimitsIndex, Period, Prefix, Ranges, Rate, Refusal,
    Refuse, RulePrefixes, SourceBits, SourceLimits,
};
use connection::CloseReason;
use table::{AccessKey, AccessOverride, Listener, Place};
use worker::{Record, Worker};

use crate::descriptors::{Socket, Thing};
use crate::kernel::peer_address;
use crate::random::Random;
use crate::run::Run;
use crate::scenario::{Change, Scenario};
use crate::world::World;

/// What operators said about addresses, in each table that was published.
#[derive(Debug, Default)]
pub(crate) struct Said {
    now: BTreeMap<Prefix, Action>,
    of_tables: Vec<BTreeMap<Prefix, Action>>,
}

impl Said {
    /// Another table is in force.
    pub(crate) fn on_table(&mut self) {
        self.of_tables.push(self.now.clone());
    }
}

/// A scenario with lists and limits, and with operators that say something else.
pub(crate) fn guarded(mut scenario: Scenario, random: &mut Random) -> Scenario {
    scenario.variety.guards = true;
    add(random, &mut scenario.config);
    let last = scenario.clients.iter().map(|(at, _)| *at).max().unwrap_or(0);
    for _ in 0..random.pick(&[0, 0, 1, 6]) {
        scenario.changes.push((random.between(0, last + 1), Change::Access));
    }
    scenario.changes.sort_unstable();
    scenario
}

/// Lists and limits for a configuration that has none.
fn add(random: &mut Random, config: &mut Config) {
    config.access = vec![list(random)];
    config.limits = vec![limits(random)];
    for listener in &mut config.listeners {
        name(random, listener);
    }
}

/// Has a listener name a list and limits, or none.
pub(crate) fn name(random: &mut Random, listener: &mut config::Listener) {
    listener.access = random.chance(700).then_some(AccessIndex(0));
    listener.limits = random.chance(700).then_some(LimitsIndex(0));
    listener.rate = random.chance(200).then(|| rate(random));
}

/// Changes a list or limits.
pub(crate) fn change(random: &mut Random, config: &mut Config) {
    if random.chance(500) {
        config.access = vec![list(random)];
    } else {
        config.limits = vec![limits(random)];
    }
}

fn list(random: &mut Random) -> AccessList {
    let rule = |random: &mut Random| AccessRule {
        action: random.pick(&[Action::Allow, Action::Deny]),
        prefixes: RulePrefixes::Written((0..=random.index(2)).map(|_| prefix(random)).collect()),
    };
    let rules: Vec<_> = (0..=random.index(3)).map(|_| rule(random)).collect();
    let prefixes = rules.iter().map(|rule| match &rule.prefixes {
        RulePrefixes::Written(prefixes) => prefixes.as_slice(),
        RulePrefixes::File { .. } => unreachable!("all are written"),
    });
    let ranges = Arc::new(Ranges::build(prefixes));
    let otherwise = random.pick(&[Action::Allow, Action::Allow, Action::Deny]);
    AccessList { name: "list".to_owned(), ranges, rules: rules.into(), otherwise, refusal: refusal(random) }
}

fn limits(random: &mut Random) -> SourceLimits {
    SourceLimits {
        name: "limits".to_owned(),
        connections_max: NonZeroU16::new(random.pick(&[0, 1, 2, 8])),
        rate: random.chance(300).then(|| rate(random)),
        burst: random.pick(&[1, 2, 10]),
        source: SourceBits { v4: random.pick(&[32, 32, 31, 24]), v6: 64 },
        exempt: if random.chance(300) { vec![prefix(random)] } else { Vec::new() },
        refusal: refusal(random),
    }
}

fn refusal(random: &mut Random) -> Refusal {
    Refusal { how: random.pick(&[Refuse::Reset, Refuse::Drop]), dry_run: random.chance(300) }
}

fn rate(random: &mut Random) -> Rate {
    let number = NonZeroU32::new(random.pick(&[1, 20, 1000])).expect("above 0");
    Rate { number, period: Period::Second }
}

/// Some of the addresses that clients have, and that proxies say they have.
fn prefix(random: &mut Random) -> Prefix {
    let host = u8::try_from(random.index(4)).expect("a small number");
    let network = random.pick(&[[10, 8], [10, 20]]);
    let address = Ipv4Addr::new(network[0], network[1], 0, host);
    Prefix::around(address.into(), random.pick(&[32, 32, 32, 31, 30, 8]))
}

impl Run {
    /// An operator says something about addresses.
    pub(crate) fn change_access(&mut self) {
        let mut world = self.world.borrow_mut();
        let prefix = prefix(&mut world.random);
        let action = world.random.pick(&[Some(Action::Allow), Some(Action::Deny), Some(Action::Deny), None]);
        let since = world.agenda.instant();
        let time = world.random.chance(500).then(|| Duration::from_millis(world.random.between(1, 2000)));
        world.note(format_args!("an operator says {action:?} of {prefix} for {time:?}"));
        drop(world);
        match action {
            Some(action) => self.said.now.insert(prefix, action),
            None => self.said.now.remove(&prefix),
        };
        let until = time.map(|time| since + time);
        let said = action.map(|action| AccessOverride {
            action,
            since,
            until,
            by: String::new(),
            why: String::new(),
        });
        let (key, inputs) = (AccessKey { list: None, prefix }, self.inputs());
        let written = self.writer.change_access([(key, said)], inputs);
        self.on_access_written(written);
    }

    /// When the first thing that an operator said ends.
    pub(crate) fn access_due(&self) -> Option<Instant> {
        self.writer.config().access().due()
    }

    /// Something that an operator said ends.
    pub(crate) fn expire_access(&mut self) {
        let Some((written, ended)) = self.writer.expire_access(self.inputs()) else { return };
        for (key, _) in ended {
            assert!(self.said.now.remove(&key.prefix).is_some(), "what ends was not said");
        }
        self.on_access_written(written);
    }

    /// The counts of sources are those of the connections.
    pub(crate) fn check_sources(&self) {
        if !self.scenario.variety.guards {
            return;
        }
        let table = self.tables.last().expect("there is one");
        let views: Vec<_> = self.workers.iter().flatten().map(Worker::inspect).collect();
        let connections = || views.iter().flat_map(|view| &view.connections);
        let counted = connections().filter(|connection| connection.source.is_some()).count() as u64;
        let load: u64 = views.iter().map(|view| u64::from(view.load)).sum();
        // Clients that a worker gave to another may be counted, and have no slot yet.
        let on_their_way = load.saturating_sub(connections().count() as u64);
        let known = table.sources.connections();
        assert!(
            (counted..=counted + on_their_way).contains(&known),
            "sources count {known} connections, of {counted} and {on_their_way} on their way"
        );
        let [only] = &self.tables[..] else { return };
        let world = self.world.borrow();
        for limits in &only.limits {
            for address in (0..4).flat_map(|host| [[10, 8, 0, host], [10, 20, 0, host]].map(IpAddr::from)) {
                let Some(source) = limits.source(&only.sources, address) else { continue };
                let known = only.sources.state(source, world.agenda.instant()).connections;
                if let Some(most) = limits.bounds.connections {
                    assert!(known <= most.get().into(), "{address} has {known} connections");
                }
                let of_source = limits.settings.source.source_of(address);
                let is_own = |place: Option<Place>, client: Option<SocketAddr>| {
                    place.is_some() && client.is_some_and(|client| of_source.contains(client.ip()))
                };
                let own = connections()
                    .filter(|connection| is_own(connection.source, world.client_of(connection.client)));
                let own = u32::try_from(own.count()).expect("there are few");
                assert!(own <= known, "{address} has {own} connections, and {known} are counted");
                assert!(on_their_way > 0 || own == known, "{known} are counted of {address}, and {own} are");
            }
        }
    }

    /// A client that is refused was to be, and one that is served may be.
    pub(crate) fn check_refusals(&self) {
        for record in &self.ended {
            self.check_refusal(record);
        }
        let table = self.tables.last().expect("there is one");
        assert_eq!(table.sources.connections(), 0, "sources still count connections that ended");
    }

    fn check_refusal(&self, record: &Record) {
        let reason = record.reason;
        if reason.refuses() {
            assert!(record.backend.is_none(), "a client that is refused was connected to a backend");
        }
        let Some(client) = record.client.map(|client| client.ip()) else { return };
        let tables = self.tables.iter().zip(&self.said.of_tables);
        let listeners = tables.filter_map(|(table, said)| Some((table.current(&record.listener)?, said)));
        let mut refusals = listeners.map(|(listener, said)| Refusals::of(listener, said, client));
        let may = match reason {
            CloseReason::Denied => refusals.any(|refusals| refusals.denied),
            CloseReason::SourceLimit => refusals.any(|refusals| refusals.limited),
            CloseReason::SourceRate => refusals.any(|refusals| refusals.slowed),
            _ if record.backend.is_some() => refusals.any(|refusals| !refusals.denied),
            _ => true,
        };
        assert!(may, "{client} ended by {}, against what the lists say", reason.name());
    }
}

/// What a client may be refused for, at a listener of a table.
struct Refusals {
    denied: bool,
    limited: bool,
    slowed: bool,
}

impl Refusals {
    fn of(listener: &Listener, said: &BTreeMap<Prefix, Action>, client: IpAddr) -> Self {
        let limits = listener.limits.as_ref().filter(|limits| !limits.settings.refusal.dry_run);
        let limits = limits.filter(|limits| !limits.settings.exempt.iter().any(|it| it.contains(client)));
        Self {
            denied: is_denied(listener, said, client),
            limited: limits.is_some_and(|limits| limits.settings.connections_max.is_some()),
            slowed: limits.is_some_and(|limits| limits.settings.rate.is_some()),
        }
    }
}

/// One rule after the other.
fn is_denied(listener: &Listener, said: &BTreeMap<Prefix, Action>, client: IpAddr) -> bool {
    let says = |action: Action| said.iter().any(|(prefix, it)| *it == action && prefix.contains(client));
    if says(Action::Allow) {
        return false;
    }
    if says(Action::Deny) {
        return true;
    }
    let Some(list) = &listener.access else { return false };
    let matches = |rule: &&AccessRule| match &rule.prefixes {
        RulePrefixes::Written(prefixes) => prefixes.iter().any(|prefix| prefix.contains(client)),
        RulePrefixes::File { .. } => unreachable!("all are written"),
    };
    let action = list.rules().iter().find(matches).map_or(list.otherwise(), |rule| rule.action);
    action == Action::Deny && !list.refusal.dry_run
}

impl World {
    /// The address of the client behind a socket.
    fn client_of(&self, socket: driver::Fd) -> Option<SocketAddr> {
        let Some(Thing::Socket(Socket { end: Some(end), .. })) = self.descriptors.peek(socket) else {
            return None;
        };
        let said = if self.headers { self.taken_header(end.link)?.ends } else { None };
        Some(said.map_or_else(|| peer_address(end), |ends| ends.client))
    }
}
