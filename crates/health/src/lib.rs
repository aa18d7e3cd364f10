//! Probes backends, and decides which are healthy and which is the primary.
//!
//! It does not route connections: the code that builds tables reads its results. Decisions do no I/O and read no
//! clock ([`ejection`], [`rise_fall`], [`roles`], [`schedule`], `tracker`, `lag`); I/O is in `probe`.

pub mod ejection;
pub mod rise_fall;
pub mod roles;
pub mod schedule;

mod answer;
mod lag;
mod probe;
mod prober; // Schedules the probes of all targets. Start here.
mod report;
#[cfg(test)]
mod samples;
mod status; // One server: its verdict, and its last answer.
mod target;
mod tracker; // Updates a status after each probe, and reports what changed.

pub use crate::answer::{Answer, Claim, History, ProbeError, Progress, Role, TEXT_CHARS_MAX, Text};
pub use crate::probe::{Local, Outcome, Place, local, probe, probe_with_certificate};
pub use crate::prober::{Prober, RUNNING_MAX};
pub use crate::report::{Change, Report};
pub use crate::rise_fall::Verdict;
pub use crate::status::Status;
pub use crate::target::{ServerId, Target};
