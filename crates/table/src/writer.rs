//! Makes the next table. It does no I/O and reads no clock: it is told what changed, and what time it is.
//!
//! ```text
//!  reload ─────────┐
//!                  ├──▶ EffectiveConfig ──┐           1. is published
//!  override ───────┘         │            │
//!                            ▼            ├──▶ Table ─2. the one before is retired until no worker has it
//!  backend states, now ──▶ Inputs ────────┤           3. sockets of removed listeners may be stopped
//!  order to fail back ───────┘            │
//!  previous Table, phase ─────────────────┘
//! ```
//!
//! What else a table is to depend on, such as access rules or certificates, comes in as part of the config or of
//! the inputs, and goes out as part of the table; so it is published in the same step, and is whole or not at all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use config::Config;
use driver::ListenGroup;

use crate::access_overrides::{AccessKey, AccessOverride};
use crate::effective::EffectiveConfig;
use crate::overrides::{BackendKey, Override};
use crate::published::Published;
use crate::retired::Retired;
use crate::sources::Sources;
use crate::state::Inputs;
use crate::table::{Phase, Table};

/// The one writer of tables. Every operation publishes the table that it makes, and says what changed.
///
/// After each, workers are to be woken, and then [sockets](Written::stopped) to be stopped: a worker that sees the
/// end of a socket must find a table without it, or it takes that for an error.
#[derive(Debug)]
pub struct TableWriter {
    config: EffectiveConfig,
    /// What the table in force was built from, beside the config. It holds no order to fail back: such an order
    /// counts once.
    inputs: Inputs,
    published: Arc<Published>,
    retired: Retired,
    workers: usize,
}

/// What an operation of the writer replaced.
#[derive(Debug)]
#[must_use = "sockets of removed listeners are to be stopped"]
pub struct Written {
    /// The table before.
    pub table: Arc<Table>,
    /// The inputs that it was built from.
    pub inputs: Inputs,
    /// Sockets that no listener of the table in force has.
    pub stopped: Vec<Arc<ListenGroup>>,
}

/// Where an address of a listener of the next config gets its sockets from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the address of this index in the table in force, all addresses of all listeners counted.
    Kept(usize),
    /// They are to be bound.
    Bound,
}

impl TableWriter {
    /// Publishes the first table. `sockets` are those of each address of each listener, in the order of the config.
    ///
    /// `sources` count what clients of listeners with limits have; every table of this writer has them.
    pub fn new(
        config: Config,
        sockets: Vec<Arc<ListenGroup>>,
        workers: usize,
        inputs: Inputs,
        sources: Sources,
    ) -> Self {
        let table =
            Table::build(&config, sockets, workers, Some(&inputs), Some(&Table::before_first(sources)));
        Self {
            config: EffectiveConfig::new(config),
            inputs,
            published: Arc::new(Published::new(table)),
            retired: Retired::default(),
            workers,
        }
    }

    /// Where workers take tables from.
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// The table in force.
    pub fn table(&self) -> Arc<Table> {
        self.published.load_full()
    }

    /// The config in force.
    pub fn config(&self) -> &EffectiveConfig {
        &self.config
    }

    /// What the table in force was built from, beside the config.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Whether time alone asks for another table by `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        self.table().due.is_some_and(|due| due <= now)
    }

    /// For each address of each listener of `next`, in its order, where its sockets come from.
    ///
    /// Backlog and keepalive change on a socket that listens; these three are fixed when it is bound.
    pub fn origins(&self, next: &Config) -> Vec<Origin> {
        let fixed =
            |(listener, address): (&config::Listener, _)| (address, listener.v6only, listener.freebind);
        let written: HashMap<_, _> = self.config.written().listen_addresses().map(fixed).zip(0..).collect();
        let origin = |key| written.get(&key).map_or(Origin::Bound, |index| Origin::Kept(*index));
        next.listen_addresses().map(fixed).map(origin).collect()
    }

    /// Changes to another config. `sockets` are those of each address of each of its listeners, in its order: those
    /// of the table in force where they are kept.
    /// `inputs` gives the backend states by the config that is in force from now on.
    ///
    /// # Panics
    ///
    /// When the process drains: its listeners are stopped.
    pub fn reload(
        &mut self,
        config: Config,
        sockets: Vec<Arc<ListenGroup>>,
        inputs: impl FnOnce(&EffectiveConfig) -> Inputs,
    ) -> Written {
        assert_eq!(self.table().phase, Phase::Serving, "a reload while the process drains");
        self.config.reload(config);
        let inputs = inputs(&self.config);
        self.write(sockets, inputs, None)
    }

    /// Changes the override of a backend. `inputs` gives the backend states by the config that is in force from
    /// now on.
    ///
    /// # Panics
    ///
    /// When the config does not have the backend.
    pub fn change_override(
        &mut self,
        backend: &BackendKey,
        change: impl FnOnce(&mut Override),
        inputs: impl FnOnce(&EffectiveConfig) -> Inputs,
    ) -> Written {
        self.config.change_override(backend, change);
        let inputs = inputs(&self.config);
        self.write(self.sockets(), inputs, None)
    }

    /// Changes what operators say about addresses of clients. The next table has it, whatever makes that, and
    /// [`refresh`](Self::refresh) makes one: several changes need no more than one.
    pub fn note_access(&mut self, key: AccessKey, said: Option<AccessOverride>) {
        self.config.change_access([(key, said)]);
    }

    /// Drops what operators say about lists that the config does not have, and returns how much. The next table is
    /// without it.
    pub fn drop_access_without_list(&mut self) -> usize {
        self.config.drop_access_without_list()
    }

    /// Changes what operators say about addresses of clients, and publishes a table with it.
    pub fn change_access(
        &mut self,
        changes: impl IntoIterator<Item = (AccessKey, Option<AccessOverride>)>,
        inputs: Inputs,
    ) -> Written {
        self.config.change_access(changes);
        self.write(self.sockets(), inputs, None)
    }

    /// Drops what operators said about addresses until a time that has come, if anything, and returns it.
    pub fn expire_access(&mut self, inputs: Inputs) -> Option<(Written, Vec<(AccessKey, AccessOverride)>)> {
        let ended = self.config.expire_access(inputs.now);
        (!ended.is_empty()).then(|| (self.write(self.sockets(), inputs, None), ended))
    }

    /// Changes to other inputs, to what was [noted](Self::note_access) about addresses, or to what time alone changed.
    /// Without any of it the table in force stays.
    pub fn refresh(&mut self, mut inputs: Inputs) -> Option<Written> {
        let is_noted = self.config.access().are_changed();
        self.config.complete(&mut inputs);
        let differs = is_noted || inputs.pools != self.inputs.pools || self.is_due(inputs.now);
        differs.then(|| self.write(self.sockets(), inputs, None))
    }

    /// Orders the active tier of a pool to take over again, if it is fit to. The order counts for this table alone.
    pub fn fail_back(&mut self, pool: &str, inputs: Inputs) -> Written {
        self.write(self.sockets(), inputs, Some(pool))
    }

    /// Begins another phase. Listeners are stopped at the end of [`Phase::Serving`].
    pub fn enter_phase(&mut self, phase: Phase) -> Written {
        let before = self.table();
        let stopped = if before.phase == Phase::Serving { self.sockets() } else { Vec::new() };
        let table = self.publish(before.in_phase(phase));
        Written { table, inputs: self.inputs.clone(), stopped }
    }

    /// Frees what no worker and no connection has of tables before the one in force.
    pub fn sweep(&mut self) {
        self.retired.sweep();
    }

    /// Whether there is anything to [sweep](Self::sweep).
    pub fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// The sockets of the table in force, of each address of each listener.
    fn sockets(&self) -> Vec<Arc<ListenGroup>> {
        self.table().sockets().map(Arc::clone).collect()
    }

    fn write(
        &mut self,
        sockets: Vec<Arc<ListenGroup>>,
        mut inputs: Inputs,
        failback: Option<&str>,
    ) -> Written {
        self.config.complete(&mut inputs);
        if let Some(pool) = failback {
            inputs.pools.entry(pool.to_owned()).or_default().failback = true;
        }
        let before = self.table();
        let mut table =
            Table::build(self.config.effective(), sockets, self.workers, Some(&inputs), Some(&before));
        table.phase = before.phase;
        inputs.pools.values_mut().for_each(|pool| pool.failback = false);
        let kept: HashSet<_> = table.sockets().map(Arc::as_ptr).collect();
        let stopped = before.sockets().filter(|sockets| !kept.contains(&Arc::as_ptr(sockets)));
        let stopped = stopped.map(Arc::clone).collect();
        let inputs = std::mem::replace(&mut self.inputs, inputs);
        let table = self.publish(table);
        Written { table, inputs, stopped }
    }

    /// Puts `table` in force and retires the one before, which it returns.
    fn publish(&mut self, table: Table) -> Arc<Table> {
        let before = self.table();
        self.published.publish(table);
        self.retired.keep(Arc::clone(&before));
        before
    }
}
