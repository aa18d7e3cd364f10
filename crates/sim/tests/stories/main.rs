//! Scenarios of one worker on a simulated kernel, whose peers the test controls.

mod balancer;

mod ending;
mod eviction;
mod guards;
mod opening;
mod pipes;
mod queries;
mod regressions;
mod routes; // Faults that random runs have found.
mod stats;
mod waiting;
