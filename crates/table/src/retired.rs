//! Tables that were replaced, kept until no worker has them, so that no worker frees one.
//!
//! Freeing a table of 10 000 backends takes over a millisecond. Whatever drops it last frees it, and that would be
//! a worker in the middle of a turn, or at the end of the last connection that began with it.

use std::sync::Arc;

use crate::listener::Listener;
use crate::pool::Pool;
use crate::table::Table;

/// What workers may still have of tables before the one in force.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    tables: Vec<Arc<Table>>,
    /// Of tables that no worker has, what connections still have.
    ///
    /// Bound: each is held by a connection, or goes at the next [`sweep`](Self::sweep).
    listeners: Vec<Arc<Listener>>,
    pools: Vec<Arc<Pool>>,
}

impl Retired {
    /// Keeps a table that was replaced.
    pub(crate) fn keep(&mut self, table: Arc<Table>) {
        self.tables.push(table);
    }

    /// Whether there is nothing to sweep.
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.listeners.is_empty() && self.pools.is_empty()
    }

    /// Frees what only this has. Nothing can refer to it again: workers take tables from where they are published.
    pub(crate) fn sweep(&mut self) {
        for table in std::mem::take(&mut self.tables) {
            match Arc::try_unwrap(table) {
                Ok(table) => {
                    self.listeners.extend(table.listeners);
                    self.pools.extend(table.pools);
                }
                Err(table) => self.tables.push(table),
            }
        }
        // Listeners first: they hold pools.
        sweep(&mut self.listeners);
        sweep(&mut self.pools);
    }
}

fn sweep<T>(kept: &mut Vec<Arc<T>>) {
    // Tables that differ in their phase alone have the same parts: once is enough.
    kept.sort_unstable_by_key(Arc::as_ptr);
    kept.dedup_by(|one, other| Arc::ptr_eq(one, other));
    kept.retain(|one| Arc::strong_count(one) > 1);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use driver::{ListenGroup, Owner};

    use super::Retired;

    use crate::samples::{config, listener, pool};
    use crate::table::{Phase, Table};

    #[test]
    fn a_table_is_freed_in_parts() {
        let mut retired = Retired::default();
        let table = Arc::new(table());
        retired.keep(Arc::clone(&table));
        retired.sweep();
        assert_eq!(Arc::strong_count(&table), 2, "a worker has it");

        // A table in another phase is made of the same parts.
        retired.keep(Arc::new(table.in_phase(Phase::Draining)));

        // The worker has read the next table; a connection lives on.
        let listener = Arc::clone(&table.listeners[0]);
        let pool = Arc::downgrade(&table.pools[0]);
        drop(table);
        retired.sweep();
        retired.sweep();
        assert_eq!(Arc::strong_count(&listener), 2);
        assert!(!retired.is_empty());

        drop(listener);
        assert!(pool.upgrade().is_some(), "what the connection dropped is freed by the sweep, not by it");
        retired.sweep();
        assert!(pool.upgrade().is_none());
        assert!(retired.is_empty());
    }

    fn table() -> Table {
        let config = config(vec![listener("web", "127.0.0.1:1", 0)], vec![pool("app", &["a 1"])]);
        Table::build(&config, vec![Arc::new(ListenGroup::new(Vec::new(), Owner::Process))], 1, None, None)
    }
}
