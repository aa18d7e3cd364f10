//! When descriptors run out, the process neither spins nor ends.

use std::net::TcpStream;

use crate::lb::{Lb, run_with, total};
use crate::peers::{Backend, Client};
use crate::place::{PATIENCE, eventually};
use crate::setup::Setup;

#[test]
fn clients_beyond_the_descriptor_limit_wait_in_the_accept_queue() {
    let backend = Backend::named("a", 9001);
    let setup =
        Setup::to(&[backend.target()]).runtime("workers: 2, max_connections: 1000, drain_timeout: 5s");
    let lb = Lb::start_under(&["prlimit", "--nofile=128:128"], &setup);
    lb.wait_for("max_connections", 0);

    // Far more than 128 descriptors can carry. Each served client leaves, so that the next one is served.
    let mut waiting: Vec<Client> = (0..300).map(|_| lb.connect()).collect();
    lb.does_not_spin();
    eventually("each is served in its turn", || {
        waiting.retain_mut(|client| {
            let served = client.heard();
            if served {
                assert_eq!(client.line(), "a");
            }
            !served
        });
        waiting.is_empty()
    });
    assert_eq!(total(&lb.end(), "listener=web", "closed_done"), 300);
}

#[test]
fn a_lowered_descriptor_limit_rejects_clients_until_it_is_raised() {
    let backend = Backend::named("a", 9001);
    let lb = Lb::start_under(&["prlimit", "--nofile=1024:1024"], &Setup::to(&[backend.target()]));
    let mut before: Vec<Client> = (0..10).map(|_| lb.connect()).collect();
    for client in &mut before {
        assert_eq!(client.line(), "a");
    }

    // The limit is now lower than at the start.
    lb.limit_files(&[], 60);
    let flood: Vec<TcpStream> =
        (0..200).filter_map(|_| TcpStream::connect_timeout(&lb.address(), PATIENCE).ok()).collect();
    lb.does_not_spin();
    for client in &mut before {
        client.echoes(b"as before");
    }

    lb.limit_files(&[], 1024);
    drop(flood);
    eventually("it serves again", || {
        let Ok(stream) = TcpStream::connect_timeout(&lb.address(), PATIENCE) else { return false };
        Client::over(stream).try_line().is_ok_and(|line| line == "a")
    });
    for _ in 0..20 {
        assert_eq!(lb.connect().line(), "a");
    }
    drop(before);
    let log = lb.end();
    let refused = |reason: &str| total(&log, "listener=web", &format!("closed_{reason}"));
    assert!(refused("no_descriptor") > 0, "no client was rejected:\n{log}");
}

#[test]
fn too_few_descriptors_for_one_connection_are_rejected_at_start() {
    let backend = Backend::named("a", 9001);
    let said = run_with(&["prlimit", "--nofile=20:20"], &Setup::to(&[backend.target()]));
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("open files"), "{}", said.text);
}

#[test]
fn a_memory_limit_is_respected_or_rejected_at_start() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]);
    for limit in ["--data=24000000", "--data=32000000"] {
        let said = run_with(&["prlimit", limit], &setup);
        assert_eq!(said.code, 1, "{limit}: {}", said.text);
        assert!(said.text.contains("the limit of memory"), "{limit}: {}", said.text);
    }
    for limit in ["--data=64000000", "--data=96000000", "--data=128000000", "--as=128000000"] {
        let lb = Lb::start_under(&["prlimit", limit], &setup);
        assert_eq!(lb.connect().line(), "a", "{limit}");
    }
}
