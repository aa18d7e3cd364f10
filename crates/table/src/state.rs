//! The states of backends that a table is built from. They are decided elsewhere.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::access_overrides::AccessLayers;
use crate::drain_window::DrainWindow;

/// The states of all backends, at one time, and what is ordered of their pools.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// When.
    pub now: Instant,
    /// By the names of pools. The backends of a pool that is not here are in an unknown state.
    pub pools: HashMap<String, PoolInputs>,
    /// What operators say about addresses of clients.
    pub access: Arc<AccessLayers>,
}

/// The states of the backends of a pool, and what is ordered of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolInputs {
    /// By their addresses; [`BackendState::default`] for those that are not here. One is the primary at most.
    pub backends: HashMap<SocketAddr, BackendState>,
    /// Whether the active tier is ordered to take over again. The order counts once, and if the tier is fit to.
    pub failback: bool,
    /// The drain windows of backends that an operator drains. That of a backend that may be picked is ignored.
    pub drains: HashMap<SocketAddr, DrainWindow>,
}

/// The state of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendState {
    /// Whether it can take connections.
    pub availability: Availability,
    /// Its role in its group; none if it has none or it is unknown.
    pub role: Option<Role>,
    /// How much of its weight it takes while it starts slowly, 1 to 1000 thousandths.
    pub weight_permille: u16,
}

impl Default for BackendState {
    /// Unknown, without a role, with its whole weight.
    fn default() -> Self {
        Self { availability: Availability::Unknown, role: None, weight_permille: WEIGHT_PERMILLE_MAX }
    }
}

/// Whether a backend can take connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It is not known yet, or not probed. It counts as available.
    Unknown,
    /// Its probe passes.
    Up,
    /// Its probe fails.
    Down,
    /// It is ejected because connects of clients to it failed.
    Ejected,
}

impl Availability {
    /// Whether connections go to it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Unknown | Self::Up => true,
            Self::Down | Self::Ejected => false,
        }
    }
}

/// The role of a backend, as it was decided for its whole group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that takes writes.
    Primary,
    /// It follows the primary.
    Replica {
        /// Whether it is too far behind to be read from.
        lags: bool,
    },
}

/// All of a weight, in thousandths.
pub(crate) const WEIGHT_PERMILLE_MAX: u16 = 1000;
