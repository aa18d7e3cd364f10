//! Scenarios of one worker on a simulated kernel, whose peers the test controls.

mod balancer;

mod addresses;
mod connecting;
mod ending;
mod eviction;
mod guards;
mod opening;
mod pipes;
mod queries;
mod regressions; // Faults that random runs have found.
mod routes;
mod stats;
mod waiting;
