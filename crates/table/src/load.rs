//! How busy a backend is.

use crate::backend::BackendIndex;

/// How busy a backend is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) index: BackendIndex,
    /// Connections that it has, over all workers.
    pub(crate) active: u32,
    /// What it is to have of all connections, against the others; not 0.
    pub(crate) share: u32,
}

impl Load {
    /// The one for which another connection is less, for its share; itself if they are equal.
    pub(crate) fn lighter(self, other: Self) -> Self {
        let weigh = |load: Self, share: u32| (u64::from(load.active) + 1) * u64::from(share);
        if weigh(other, self.share) < weigh(self, other.share) { other } else { self }
    }
}
