//! The cell that drives workers: control puts tables in, workers read it once per turn.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::table::Table;

/// The table that is in force. Only the writer publishes.
#[derive(Debug)]
pub struct Published(Arc<ArcSwap<Table>>);

/// One worker's view of [`Published`]; reading costs one load while nothing changed.
pub struct Reader(Cache<Arc<ArcSwap<Table>>, Arc<Table>>);

impl Published {
    /// With its first table in force.
    pub fn new(table: Table) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(table)))
    }

    /// Puts `table` in force. Workers see it at their next turn; the writer wakes them.
    pub fn publish(&self, table: Table) {
        self.0.store(Arc::new(table));
    }

    /// The table in force.
    pub fn load_full(&self) -> Arc<Table> {
        self.0.load_full()
    }

    /// A view for one worker.
    pub fn reader(&self) -> Reader {
        Reader(Cache::new(Arc::clone(&self.0)))
    }
}

impl Reader {
    /// The table in force. It keeps the last one alive between reads: read again to drop it.
    pub fn read(&mut self) -> &Arc<Table> {
        self.0.load()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Published;
    use crate::samples::{config, pool};
    use crate::table::{Phase, Table};

    #[test]
    fn readers_see_what_was_published_last() {
        let table = Table::build(&config(vec![], vec![pool("web", &["a 1"])]), vec![], 1, None, None);
        let published = Published::new(table.clone());
        let (mut one, mut other) = (published.reader(), published.reader());
        let first = Arc::clone(one.read());
        assert!(Arc::ptr_eq(&first, one.read()));
        assert!(Arc::ptr_eq(&first, other.read()));
        published.publish(table.in_phase(Phase::Draining));
        assert_eq!(one.read().phase, Phase::Draining);
        assert!(Arc::ptr_eq(one.read(), &published.load_full()));
        // A table lives until the last reader has read again.
        assert_eq!(Arc::strong_count(&first), 2);
        other.read();
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
