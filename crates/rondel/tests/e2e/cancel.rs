//! PostgreSQL's cancel requests, which are separate connections and have to reach the server of the session.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::lb::Lb;
use crate::place::eventually;
use crate::servers::Postgres;
use crate::setup::{Setup, target_at};

#[test]
fn with_maglev_a_cancel_request_reaches_the_server_of_its_session() {
    let servers = [Postgres::primary(5433, ""), Postgres::primary(5434, "")];
    let backends = [("a", &servers[0]), ("b", &servers[1])].map(|(name, server)| target_at(name, server.at));
    let lb = Lb::start(&Setup::to_with("balance: maglev", &backends));
    let psql = Postgres::client("psql", lb.address())
        .args(["--no-psqlrc", "--dbname=postgres", "--command", "SELECT pg_sleep(600)"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("one of them has the query", || {
        servers.iter().any(|server| server.says(asleep).trim() == "1")
    });
    // As Ctrl-C does.
    kill_process(Pid::from_child(&psql), Signal::INT).unwrap();
    let output = psql.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("canceling statement due to user request"), "{said}");
}
