//! The one writer: turns configs into tables, publishes them, and answers signals.
//!
//! It moves no byte and decides nothing per connection: workers do, by the table that is published here.
//! Sockets are bound on its thread; files are read on others, because a file system may hang.

mod access_change;
mod access_pace;
mod access_view;
mod connections;
mod event_log;
mod failure;
mod file_check;
mod find;
mod history;
mod monitor;
mod override_change;
mod peaks;
mod reading;
mod ready;
mod reload;
mod reloads;
mod route;
mod run; // From start to end. Start here.
mod shortages;
mod source_sweep;
mod sources;
mod state_file;
mod status;
mod status_line;
mod totals;
mod transitions;
mod wire;

pub use crate::failure::Failure;
pub use crate::ready::{Ready, ReadyListener};
pub use crate::run::{Source, run};

/// How many descriptors the admin interface of this configuration may use.
pub fn admin_descriptors(config: &config::Config) -> usize {
    admin::Admin::descriptors(&config.admin)
}
