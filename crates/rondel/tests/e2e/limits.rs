//! When descriptors run out: it neither spins nor gives up.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::lb::Lb;
use crate::peers::{Backend, Client};
use crate::place::{PATIENCE, eventually};
use crate::setup::Setup;

#[test]
fn it_survives_more_clients_than_descriptors() {
    let backend = Backend::named("a", 9001);
    let setup =
        Setup::to(&[backend.target()]).runtime("workers: 2, max_connections: 1000, drain_timeout: 5s");
    let lb = Lb::start_under(&["prlimit", "--nofile=64:64"], &setup);

    // Far more than 64 descriptors can carry, all connected and none leaving.
    let flood: Vec<TcpStream> =
        (0..300).filter_map(|_| TcpStream::connect_timeout(&lb.address(), PATIENCE).ok()).collect();
    // Time for a spin to show itself.
    thread::sleep(Duration::from_millis(500));
    let busy = lb.cpu_time_over(Duration::from_secs(1));
    assert!(busy < Duration::from_millis(200), "{busy:?} of a second on a CPU");
    assert!(backend.accepted() > 5, "some are served: {}", backend.accepted());

    drop(flood);
    eventually("it serves again", || {
        let Ok(stream) = TcpStream::connect_timeout(&lb.address(), PATIENCE) else { return false };
        Client::over(stream).try_line().is_ok_and(|line| line == "a")
    });
    for _ in 0..20 {
        assert_eq!(lb.connect().line(), "a");
    }
}

#[test]
fn as_many_as_descriptors_allow_is_the_default() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]).runtime("workers: 2, drain_timeout: 5s");
    let lb = Lb::start_under(&["prlimit", "--nofile=256:256"], &setup);

    let mut clients: Vec<Client> = (0..20).map(|_| lb.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.line(), "a");
    }
    // More wait in the kernel's queue, and are served in their turn.
    let mut waiting: Vec<Client> = (0..200).map(|_| lb.connect()).collect();
    drop(clients);
    eventually("each is served in its turn", || {
        waiting.retain_mut(|client| {
            let served = client.heard();
            if served {
                assert_eq!(client.line(), "a");
            }
            // Whoever is served leaves, so that the next is.
            !served
        });
        waiting.is_empty()
    });
}
