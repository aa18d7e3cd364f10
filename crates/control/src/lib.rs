//! The one writer: turns configs into tables, publishes them, and answers signals.
//!
//! It moves no byte and decides nothing per connection: workers do, by the table that is published here.
//! Sockets are bound on its thread; files are read on others, because a file system may hang.

pub mod access_log; // What it says of connections that ended.
pub mod admin; // How it is asked and steered.
pub mod doctor; // Whether a host has what a config needs.

mod event_log;
mod failure;
mod host;
mod inherited;
mod monitor;
mod notify;
mod own;
mod peaks;
mod pulse;
mod reading;
mod ready;
mod reload;
mod run; // From start to end. Start here.
mod shortages;
mod sizing;
mod sockets;
mod sources;
mod totals;
mod transitions;
mod words;

pub use crate::event_log::{ENTRIES_MAX, ENTRY_CHARS_MAX, Entry, Kind};
pub use crate::failure::Failure;
pub use crate::ready::{Ready, ReadyListener};
pub use crate::run::{Source, run};
pub use crate::words::{counted, listed, unknown};
pub use driver::give_back_large_memory;
