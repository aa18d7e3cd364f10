//! The actions on backends of the demo.

/// An action on backends, which are numbered from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Kill(usize),
    Revive(usize),
    Slow(usize),
    Fast(usize),
    /// Kill a running backend, or revive a killed one.
    Toggle(usize),
    /// Kill the first running backend.
    KillOne,
    /// Slow all backends.
    SlowAll,
    /// Revive all backends, at full speed.
    Restore,
}

/// The number of backends.
pub(super) const BACKENDS: usize = 3;
