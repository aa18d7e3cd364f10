//! The config that tables are built from: what the file says, and over it what operators override.

use std::sync::Arc;
use std::time::Instant;

use config::Config;

use crate::access_overrides::{AccessKey, AccessOverride, AccessOverrides};
use crate::overrides::{BackendKey, Override, Overrides, has};
use crate::state::Inputs;

/// The config in force, in its layers. They change together or not at all.
///
/// A later source of settings, such as one that discovers the backends of a pool, is another layer here, between
/// the two.
#[derive(Clone, Debug)]
pub struct EffectiveConfig {
    written: Config,
    overrides: Overrides,
    access: AccessOverrides,
    /// Invariant: `overrides` applied to `written`.
    effective: Config,
}

impl EffectiveConfig {
    /// What the file says, nothing overridden.
    pub fn new(written: Config) -> Self {
        let (overrides, access) = (Overrides::default(), AccessOverrides::default());
        Self { effective: written.clone(), overrides, access, written }
    }

    /// What the file says.
    pub fn written(&self) -> &Config {
        &self.written
    }

    /// What operators override of it.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// What operators say about addresses of clients.
    pub fn access(&self) -> &AccessOverrides {
        &self.access
    }

    /// What tables are built from.
    pub fn effective(&self) -> &Config {
        &self.effective
    }

    /// Replaces what the file says. Overrides of backends that stay are kept.
    pub fn reload(&mut self, written: Config) {
        self.overrides.retain(&written);
        self.access.retain(&written);
        self.written = written;
        self.apply();
    }

    /// Changes the override of a backend.
    ///
    /// # Panics
    ///
    /// When the config does not have the backend.
    pub fn change_override(&mut self, backend: &BackendKey, change: impl FnOnce(&mut Override)) {
        assert!(has(&self.written, backend), "{backend:?} is not in the config");
        self.overrides.change(backend, change);
        self.apply();
    }

    /// Changes what operators say about addresses of clients.
    pub fn change_access(&mut self, changes: impl IntoIterator<Item = (AccessKey, Option<AccessOverride>)>) {
        self.access.change(changes);
    }

    /// Drops what operators say about lists that the file does not have, and returns how much.
    pub fn drop_access_without_list(&mut self) -> usize {
        let before = self.access.all().len();
        self.access.retain(&self.written);
        before - self.access.all().len()
    }

    /// Drops what operators said until a time that is not after `now`, and returns it.
    pub fn expire_access(&mut self, now: Instant) -> Vec<(AccessKey, AccessOverride)> {
        self.access.expire(now)
    }

    /// Adds to `inputs` what operators order.
    pub(crate) fn complete(&mut self, inputs: &mut Inputs) {
        self.overrides.set_drains(inputs);
        inputs.access = Arc::clone(self.access.layers());
    }

    fn apply(&mut self) {
        self.effective = self.overrides.applied_to(&self.written);
    }
}
