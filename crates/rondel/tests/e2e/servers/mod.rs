//! Common servers behind a balancer, as packaged: started, queried and shut down by a test.
//!
//! Tests of the crate `health` include this folder, and add what only they need.

mod mariadb;
mod postgres;
mod program;
mod redis;

pub(crate) use self::mariadb::MariaDb;
pub(crate) use self::postgres::Postgres;
pub(crate) use self::program::{Program, give_away, run, run_for_bytes, unprivileged, unprivileged_folder};
pub(crate) use self::redis::{Redis, Sentinel};
