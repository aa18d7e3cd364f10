//! The real kernel under attack: each test makes one fault, and checks the effect and how it is counted.
//!
//! After each fault the balancer returns to its state before (see [`stand::Attacked::recovered`]). The long lane
//! makes each fault in every stand: with 1, 2 and 4 workers, run by root and by an unprivileged user.
//! `attack/README.md` has the table of all faults.
//! all of it is `attack/README.md`.

pub(crate) mod namespace; // Where packets can be dropped,
mod stand; // and what is attacked.

mod addresses; // The faults.
mod backends;
mod clients;
mod clock;
mod crowds;
mod log;
mod shortage;
mod signals;
