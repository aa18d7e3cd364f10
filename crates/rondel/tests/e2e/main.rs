//! What the `rondel` binary promises, from the outside: each test one promise, told as a story.
//!
//! Every test process has a loopback address of its own (see `place`), so tests run side by side on the same ports.
//! `RONDEL_BIN` names another binary to hold to the same promises; `RONDEL_LONG=1` asks for the long lane; `RONDEL_SEED`
//! repeats what a random test printed.

#![expect(
    clippy::disallowed_methods,
    reason = "tests measure what is promised in seconds, and look again after a pause"
)]

// The harness.
mod browser;
mod chance;
mod keyed;
mod lb;
mod peers;
mod place;
mod programs;
mod servers;
mod setup;
mod terminal;
mod traffic;

// The promises.
mod access_log;
mod addresses;
mod admin;
mod attack;
mod balance;
mod cancel;
mod commands;
mod connect;
mod counters;
mod dashboard;
mod demo;
mod doctor;
mod ending;
mod failover;
mod halves;
mod http;
mod integrity;
mod iperf;
mod kernel;
mod leaving;
mod limits;
mod live;
mod memory;
mod no_ipv6;
mod own;
mod prometheus;
mod reading;
mod redis;
mod reload;
mod signals;
mod source;
mod storm;
mod systemd;
mod timeouts;
mod transfer;
