//! Probes backends and says which are well, and which of them is the primary.
//!
//! It decides about no connection: whoever builds tables asks it. What decides does no I/O and reads no clock
//! ([`verdict`], [`ejection`], [`roles`], [`schedule`], `tracker`, `lag`); what asks is in `probe`.

pub mod ejection;
pub mod rise_fall;
pub mod roles;
pub mod schedule;

mod answer;
mod lag;
mod probe;
mod prober; // All targets, in their rhythm. Start here.
mod report;
#[cfg(test)]
mod samples;
mod status; // One server: its verdict, and its last answer.
mod target;
mod tracker; // From probe to probe: the status, and what changed.

pub use crate::answer::{Answer, Claim, History, ProbeError, Progress, Role, TEXT_CHARS_MAX, Text};
pub use crate::probe::{Local, Outcome, Place, local, probe};
pub use crate::prober::{Prober, RUNNING_MAX};
pub use crate::report::{Change, Report};
pub use crate::rise_fall::Verdict;
pub use crate::status::Status;
pub use crate::target::{ServerId, Target};
