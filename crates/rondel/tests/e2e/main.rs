//! The promises of the `rondel` binary, from outside: one for each test.
//!
//! Every test process has its own loopback address (see `place`), so tests run in parallel on the same ports.
//! `RONDEL_BIN` names another binary to test; `RONDEL_LONG=1` selects the long lane; `RONDEL_SEED` repeats a random
//! test with the seed that it printed.

#![expect(clippy::disallowed_methods, reason = "tests measure promises in seconds, and poll with pauses")]

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
mod access;
mod access_log;
mod addresses;
mod admin;
mod attack;
mod balance;
mod cancel;
mod commands;
mod completions;
mod connect;
mod counters;
mod dashboard;
mod demo;
mod doctor;
mod ending;
mod events;
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
mod outage;
mod own;
mod prometheus;
mod proxy;
mod reading;
mod redis;
mod reload;
mod routes;
mod screening;
mod signals;
mod source;
mod storm;
mod systemd;
mod timeouts;
mod token;
mod top;
mod transfer;
