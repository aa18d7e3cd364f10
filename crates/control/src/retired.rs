//! Tables that were replaced, kept until no worker has them, so that no worker is the one to take them apart.
//!
//! Freeing a table of 10 000 backends takes over a millisecond. The last one to let go of it does it, and that would be
//! a worker in the middle of a turn, or at the end of the last connection that began with it.

use std::sync::Arc;

use table::{Listener, Pool, Table};

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

    /// Frees what only this has. Nobody can come by it again: workers take tables from where they are published.
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
    // Tables that differ in their phase alone share what they are made of: once is enough.
    kept.sort_unstable_by_key(Arc::as_ptr);
    kept.dedup_by(|one, other| Arc::ptr_eq(one, other));
    kept.retain(|one| Arc::strong_count(one) > 1);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use config::Config;
    use driver::{ListenGroup, Owner};
    use table::{Phase, Table};

    use super::Retired;

    #[test]
    fn a_table_goes_in_parts_as_they_are_let_go_of() {
        let mut retired = Retired::default();
        let table = Arc::new(table());
        retired.keep(Arc::clone(&table));
        retired.sweep();
        assert_eq!(Arc::strong_count(&table), 2, "a worker has it");

        // A table in another phase is made of the same parts.
        retired.keep(Arc::new(table.in_phase(Phase::Draining)));

        // The worker has looked again; a connection lives on.
        let listener = Arc::clone(&table.listeners[0]);
        let pool = Arc::downgrade(&table.pools[0]);
        drop(table);
        retired.sweep();
        retired.sweep();
        assert_eq!(Arc::strong_count(&listener), 2);
        assert!(!retired.is_empty());

        drop(listener);
        assert!(pool.upgrade().is_some(), "what the connection let go of is freed by the sweep, not by it");
        retired.sweep();
        assert!(pool.upgrade().is_none());
        assert!(retired.is_empty());
    }

    fn table() -> Table {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let config = Config::forward(address, &[address]);
        Table::build(&config, vec![Arc::new(ListenGroup::new(Vec::new(), Owner::Process))], 1, None, None)
    }
}
