//! Stories of one worker on a simulated kernel, whose peers the test moves by hand.

mod balancer;

mod ending;
mod facts;
mod inquiries;
mod regressions; // Faults that runs have found.
mod severing;
mod waiting;
