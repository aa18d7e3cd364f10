//! The atomics of gates and waiters: the standard ones, or those of a scheduler that tries their orders
//! (`scripts/interleave`).

#[cfg(interleave)]
pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(interleave))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
