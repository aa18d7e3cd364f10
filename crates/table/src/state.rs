//! What is known of backends when a table is built. It is decided elsewhere; a table only goes by it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::drain_window::DrainWindow;

/// What is known of all backends, at one time.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// When.
    pub now: Instant,
    /// By the names of pools. Of a pool that is not here nothing is known.
    pub pools: HashMap<String, PoolInputs>,
}

/// What is known of the backends of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolInputs {
    /// By their addresses; [`BackendState::default`] for those that are not here. One is the primary at most.
    pub backends: HashMap<SocketAddr, BackendState>,
    /// Whether somebody says that the active tier is to take over again. It counts once, and if the tier is fit to.
    pub failback: bool,
    /// By when connections are to be gone of backends that an operator drains. Of a backend that may be picked it is ignored.
    pub drains: HashMap<SocketAddr, DrainWindow>,
}

/// What is known of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendState {
    /// Whether it can take connections.
    pub availability: Availability,
    /// Its role in its group; none if it has none or nobody knows it.
    pub role: Option<Role>,
    /// How much of its weight it takes while it starts slowly, 1 to 1000 thousandths.
    pub weight_permille: u16,
}

impl Default for BackendState {
    /// Of whom nothing is known.
    fn default() -> Self {
        Self { availability: Availability::Unknown, role: None, weight_permille: WEIGHT_PERMILLE_MAX }
    }
}

/// Whether a backend can take connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Nobody knows yet, or asks. It counts as available.
    Unknown,
    /// Its probe passes.
    Up,
    /// Its probe fails.
    Down,
    /// It was put aside because clients' connections failed to reach it.
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
