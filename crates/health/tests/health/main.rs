//! Probes of real servers, and of misbehaving ones.

#![expect(
    clippy::disallowed_methods,
    reason = "a test waits for other processes, and has no turn with one `now`"
)]

mod asking;
mod certificate;
mod checkers;
mod mariadb;
mod misbehaving;
#[expect(dead_code, reason = "shared with the tests of the binary, which need more of it")]
#[path = "../../../rondel/tests/e2e/attack/namespace.rs"]
mod namespace;
mod nginx;
#[expect(dead_code, reason = "shared with the tests of the binary, which need more of it")]
#[path = "../../../rondel/tests/e2e/place.rs"]
mod place;
mod postgres;
mod prober;
mod redis;
#[expect(dead_code, unused_imports, reason = "shared with the tests of the binary, which need more of it")]
#[path = "../../../rondel/tests/e2e/servers/mod.rs"]
mod servers;
