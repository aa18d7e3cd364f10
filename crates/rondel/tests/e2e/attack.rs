//! The real kernel under attack: each test is one fault, what must come of it, and as what it is counted.
//!
//! Whatever the fault was, in the end the balancer is where it was before (see [`stand::Attacked::recovered`]). The long
//! lane makes each fault in every stand: with 1, 2 and 4 workers, run by root and by a user without rights. The table of
//! all of it is `attack/README.md`.

pub(crate) mod namespace; // Where packets can be dropped,
mod stand; // and who is attacked.

mod addresses; // The faults.
mod backends;
mod clients;
mod clock;
mod crowds;
mod log;
mod shortage;
mod signals;
