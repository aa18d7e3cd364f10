//! State that control and the writer share: the orders to the writer, and its results.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use config::{LogField, LogFormat};
use tokio::sync::oneshot;
use worker::Records;

use crate::ended::LastEnded;
use crate::sink::Sink;

/// The sink, and what lines are like.
pub(crate) struct Target {
    pub(crate) sink: Sink,
    pub(crate) format: LogFormat,
    /// The fields of a line; none for those of the format.
    pub(crate) fields: Option<Vec<LogField>>,
    pub(crate) skip_empty: bool,
}

/// State that control and the writer share. No lock is held during I/O.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) orders: Mutex<Orders>,
    pub(crate) written: AtomicU64,
    pub(crate) lost: AtomicU64,
    /// Why writing fails; `None` if the last write succeeded.
    pub(crate) error: Mutex<Option<String>>,
    pub(crate) ended: Mutex<LastEnded>,
}

/// Orders to the writer. A new order replaces a pending one of its kind, so there is no queue but that of `gathers`.
#[derive(Default)]
pub(crate) struct Orders {
    /// Queues to read in addition.
    pub(crate) records: Vec<Records>,
    /// The new target; `Some(None)` turns the log off.
    #[expect(clippy::option_option, reason = "no order, and the order to turn the log off")]
    pub(crate) target: Option<Option<Target>>,
    /// Reopen the file by its path.
    pub(crate) reopen: bool,
    /// Take the records in the queues, then say so to these. The admin interface bounds their number.
    pub(crate) gathers: Vec<oneshot::Sender<()>>,
    /// Write the records in the queues, then end.
    pub(crate) end: bool,
}

impl Shared {
    pub(crate) fn orders(&self) -> MutexGuard<'_, Orders> {
        lock(&self.orders)
    }

    /// Takes the pending orders. The order to end persists, because the writer ends only when the queues are empty.
    pub(crate) fn take_orders(&self) -> Orders {
        let mut orders = self.orders();
        let end = orders.end;
        std::mem::replace(&mut *orders, Orders { end, ..Orders::default() })
    }
}

/// Locks, even if another thread panicked while it held the lock: every critical section leaves its data consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
