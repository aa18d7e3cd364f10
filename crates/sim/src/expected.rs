//! What the table in force must be like after what control did: worked out a second time, without the writer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Config, Failback, Tier};
use table::{BackendKey, Drain, DrainWindow, Inputs, Override, Overrides, Phase, Table, Written};

use crate::addresses::every_backend;
use crate::random::Random;

/// What the file says, and the overrides of operators.
pub(crate) struct Expected {
    config: Config,
    overridden: BTreeMap<(String, SocketAddr), Overridden>,
    phase: Phase,
}

#[derive(Clone, Copy, Default)]
struct Overridden {
    weight: Option<u16>,
    disabled: bool,
    drained: bool,
    /// When the drain began, and within what time it ends.
    window: Option<(Instant, Duration)>,
}

/// What an operator says of a backend.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Drain(Option<Duration>),
    Undrain,
    Disable,
    Enable,
    Weight(u16),
}

/// What a table was made for.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Reload,
    Override,
    /// The active tier of this pool is ordered to take over.
    Failback(String),
    Refresh,
    /// Operators say something else about addresses.
    Access,
    Phase,
}

impl Made {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Override => "override",
            Self::Failback(_) => "failback",
            Self::Refresh => "refresh",
            Self::Access => "access",
            Self::Phase => "another phase",
        }
    }
}

impl Command {
    pub(crate) fn some(random: &mut Random) -> Self {
        let timeout = random.pick(&[None, Some(0), Some(1), Some(100), Some(1_000), Some(10_000)]);
        let weight = random.pick(&[0, 1, 3]);
        let drain = Self::Drain(timeout.map(Duration::from_millis));
        random.pick(&[drain, drain, drain, Self::Undrain, Self::Disable, Self::Enable, Self::Weight(weight)])
    }

    /// As control does it.
    pub(crate) fn apply(self, to: &mut Override, now: Instant) {
        match self {
            Self::Drain(None) => to.drain = Some(Drain::Open),
            Self::Drain(Some(timeout)) => {
                to.drain = Some(Drain::Until(DrainWindow::drained(now, timeout)));
            }
            Self::Undrain => to.drain = None,
            Self::Disable => to.disabled = true,
            Self::Enable => *to = Override::default(),
            Self::Weight(weight) => to.weight = Some(weight),
        }
    }
}

impl Expected {
    pub(crate) fn new(config: &Config) -> Self {
        Self { config: config.clone(), overridden: BTreeMap::new(), phase: Phase::Serving }
    }

    pub(crate) fn on_reload(&mut self, config: &Config) {
        let pools = config.pools.iter();
        let known: BTreeSet<_> = pools
            .flat_map(|pool| pool.backends.iter().map(move |backend| (pool.name.clone(), backend.address)))
            .collect();
        self.overridden.retain(|backend, _| known.contains(backend));
        self.config = config.clone();
    }

    pub(crate) fn on_command(&mut self, backend: &BackendKey, command: Command, now: Instant) {
        let it = self.overridden.entry((backend.pool.clone(), backend.address)).or_default();
        match command {
            Command::Drain(timeout) => {
                (it.drained, it.window) = (true, timeout.map(|timeout| (now, timeout)));
            }
            Command::Undrain => (it.drained, it.window) = (false, None),
            Command::Disable => it.disabled = true,
            Command::Enable => *it = Overridden::default(),
            Command::Weight(weight) => it.weight = Some(weight),
        }
    }

    pub(crate) fn on_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// What the file says, with the weights that count.
    pub(crate) fn effective(&self) -> Config {
        let mut config = self.config.clone();
        for pool in &mut config.pools {
            for backend in &mut pool.backends {
                let it = self.of(&pool.name, backend.address);
                backend.weight = match it {
                    Overridden { disabled: true, .. } | Overridden { drained: true, .. } => 0,
                    Overridden { weight, .. } => weight.unwrap_or(backend.weight),
                };
            }
        }
        config
    }

    fn of(&self, pool: &str, address: SocketAddr) -> Overridden {
        self.overridden.get(&(pool.to_owned(), address)).copied().unwrap_or_default()
    }

    /// `table` follows `before`, and is what is in force now.
    pub(crate) fn check(&self, effective: &Config, before: &Table, table: &Table) {
        assert_eq!(table.phase, self.phase, "another phase");
        let pools: Vec<&str> = table.pools.iter().map(|pool| pool.name.as_str()).collect();
        let expected: Vec<&str> = effective.pools.iter().map(|pool| pool.name.as_str()).collect();
        assert_eq!(pools, expected, "other pools");
        for (pool, settings) in table.pools.iter().zip(&effective.pools) {
            let weights: Vec<_> = pool.backends.iter().map(|of| (of.address, of.weight)).collect();
            let expected: Vec<_> = settings.backends.iter().map(|of| (of.address, of.weight)).collect();
            assert_eq!(weights, expected, "other weights in {}", pool.name);
            for backend in &pool.backends {
                let window = backend.drain_window.map(|window| (window.since, window.until - window.since));
                let expected = self.of(&pool.name, backend.address).window;
                assert_eq!(window, expected, "another time to drain {}", backend.address);
            }
        }
        for (listener, settings) in table.listeners.iter().zip(&effective.listeners) {
            assert_eq!(listener.name, settings.name);
            assert!(listener.addresses().eq(settings.addresses.iter().map(|listen| listen.address)));
            for endpoint in &listener.endpoints {
                let mut known = before.listeners.iter().flat_map(|before| &before.endpoints);
                let known = known.find(|known| known.address == endpoint.address);
                let kept = known.is_some_and(|known| Arc::ptr_eq(&known.sockets, &endpoint.sockets));
                assert_eq!(known.is_some(), kept, "other sockets");
            }
        }
        assert_eq!(table.listeners.len(), effective.listeners.len(), "other listeners");
    }

    /// Overrides are those of the operators' last commands, of backends that were not removed since.
    pub(crate) fn check_overrides(&self, overrides: &Overrides) {
        for (pool, address) in every_backend() {
            let it = overrides.of(&pool, address);
            let window = match it.drain {
                Some(Drain::Until(window)) => Some((window.since, window.until - window.since)),
                Some(Drain::Open) | None => None,
            };
            let Overridden { weight, disabled, drained, window: expected } = self.of(&pool, address);
            assert_eq!(
                (it.weight, it.disabled, it.drain.is_some(), window),
                (weight, disabled, drained, expected),
                "another override of {address}"
            );
        }
    }

    /// Listening sockets are stopped when their listener is removed or the process drains, and then once.
    pub(crate) fn check_stopped(&self, written: &Written, table: &Table) {
        let serves = self.phase == Phase::Serving;
        let stays = |address| {
            serves && table.listeners.iter().any(|listener| listener.addresses().any(|at| at == address))
        };
        let listened = written.table.phase == Phase::Serving;
        let before = || written.table.listeners.iter().flat_map(|listener| &listener.endpoints);
        let addresses = before().map(|endpoint| endpoint.address).filter(|_| listened);
        let expected: BTreeSet<_> = addresses.filter(|address| !stays(*address)).collect();
        let address = |sockets| {
            let mut before = before();
            before.find(|at| Arc::ptr_eq(&at.sockets, sockets)).expect("it was listened on").address
        };
        let stopped: Vec<_> = written.stopped.iter().map(address).collect();
        assert_eq!(stopped.len(), expected.len(), "{stopped:?} are stopped, not {expected:?}");
        assert_eq!(stopped.into_iter().collect::<BTreeSet<_>>(), expected, "other sockets are stopped");
    }
}

/// The active tier takes over from the backups when it is fit and may, or when none of them is left; and an order
/// is obeyed, once.
pub(crate) fn check_tiers(effective: &Config, [before, table]: [&Table; 2], inputs: &Inputs, made: &Made) {
    for settings in &effective.pools {
        let tier = |table: &Table| table.pool(&settings.name).map(|pool| pool.tier());
        let available = |tier: Tier| {
            let known = inputs.pools.get(&settings.name);
            let state = |address| known.and_then(|pool| pool.backends.get(&address)).copied();
            let takes = |backend: &&config::Backend| {
                let state = state(backend.address).unwrap_or_default();
                backend.tier == tier && backend.weight > 0 && state.availability.is_available()
            };
            settings.backends.iter().filter(takes).count()
        };
        let fit = available(Tier::Active) >= usize::from(settings.tiers.active_min);
        let ordered = matches!(made, Made::Failback(pool) if *pool == settings.name);
        if tier(before) != Some(Tier::Backup) {
            continue;
        }
        let automatic = matches!(settings.tiers.failback, Failback::Auto(_));
        let may = fit && (ordered || automatic) || available(Tier::Backup) == 0;
        let took_over = tier(table) == Some(Tier::Active);
        assert!(may || !took_over, "the active tier of {} took over, {made:?}", settings.name);
        assert!(took_over || !(fit && ordered), "an order to fail back was lost");
    }
}
