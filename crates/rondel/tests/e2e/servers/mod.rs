//! The servers that people put behind a balancer, as their packages have them: started, asked and ended by a test.
//!
//! Tests of the crate `health` include this folder, and add to it what only they ask.

mod mariadb;
mod postgres;
mod program;
mod redis;

pub(crate) use self::mariadb::MariaDb;
pub(crate) use self::postgres::Postgres;
pub(crate) use self::program::{Program, give_away, run, run_for_bytes, unprivileged, unprivileged_folder};
pub(crate) use self::redis::{Redis, Sentinel};
