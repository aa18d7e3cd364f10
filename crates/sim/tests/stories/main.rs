//! Stories of one worker on a simulated kernel, whose peers the test moves by hand.

mod balancer;

mod ending;
mod eviction;
mod pipes;
mod queries;
mod regressions; // Faults that runs have found.
mod stats;
mod waiting;
