//! Addresses that change under load: of a listener, by reloads, and of the host, under a listener.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use socket2::{Domain, Socket, Type};

use super::namespace::Namespace;
use super::stand::on_each_stand;
use crate::lb::total;
use crate::peers::{Backend, Client};
use crate::place::{PATIENCE, address, eventually, long_lane};
use crate::setup::{Setup, target_at};

#[test]
fn a_listener_that_moves_under_load_loses_no_client_that_it_serves() {
    let moves = if long_lane() { 200 } else { 20 };
    on_each_stand(|stand| {
        let backend = Backend::named("a", 9001);
        let lb = stand.start(&Setup::to(&[backend.target()]));
        let elsewhere =
            lb.setup().to_string().replace(&address(8080).to_string(), &address(8081).to_string());
        let places = [(address(8080), lb.setup().to_string()), (address(8081), elsewhere)];
        let over = AtomicBool::new(false);

        let served: u64 = thread::scope(|scope| {
            let load = places.each_ref().map(|(place, _)| scope.spawn(|| serve_until(&over, *place)));
            let mut standing = Vec::new();
            for number in 1..=moves {
                let (place, config) = &places[number % 2];
                lb.reload(config);
                let mut client = Client::connect(*place);
                assert_eq!(client.line(), "a");
                standing.push(client);
            }
            over.store(true, Ordering::Relaxed);
            for client in &mut standing {
                client.echoes(b"of a removed address");
            }
            load.map(|load| load.join().unwrap()).iter().sum()
        });
        println!("{served} clients were served meanwhile");
        assert!(served > 0);
        lb.reload(&places[0].1);
        lb.is_in_its_state_before();
        lb.serves_others();
    });
}

#[test]
fn an_address_that_is_removed_and_added_again_is_served_again() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let virtual_ip: SocketAddr = "10.77.0.1:8080".parse().unwrap();
            namespace.add_address("10.77.0.1/32");
            let backend = Backend::named("a", 9001);
            let setup =
                Setup::to(&[backend.target()]).without_listeners().listen("web", virtual_ip, "web", "");
            let lb = stand.start(&setup);
            for _ in 0..3 {
                assert_eq!(Client::connect(virtual_ip).line(), "a");
                namespace.remove_address("10.77.0.1/32");
                assert!(TcpStream::connect(virtual_ip).is_err());
                lb.serves_others();
                namespace.add_address("10.77.0.1/32");
            }
            assert_eq!(Client::connect(virtual_ip).line(), "a");
            eventually("no connection is counted", || total(&lb.totals(), "listener=web", "active") == 0);
            lb.recovered(&[("done", 4)]);
        });
    });
}

/// The kernel picks a port to connect from, which may be the port that is connected to: if nothing listens there,
/// the connection is one with itself.
#[test]
fn a_dead_backend_on_an_address_of_this_host_never_gives_a_client_its_own_bytes() {
    const CLIENTS: u64 = 60;
    on_each_stand(|stand| {
        for (backend, source) in [
            ("10.77.0.1:20004", ""),
            ("10.77.0.1:20004", "source: 10.77.0.1"),
            ("[2001:db8::1]:20004", ""),
            ("[2001:db8::1]:20004", "source: \"2001:db8::1\""),
            ("127.0.0.1:20004", ""),
        ] {
            Namespace::within(|namespace| {
                namespace.add_address("10.77.0.1/32");
                namespace.add_address("2001:db8::1/128");
                let dead = target_at("dead", backend.parse().unwrap());
                let setup = Setup::to_with(&format!("eject: off, {source}"), [&dead]);
                let lb = stand.start(&setup);
                // Limited only now: what was known at the start does not help.
                namespace.set("ipv4/ip_local_port_range", "20000 20009");
                for _ in 0..CLIENTS {
                    // It may be reset before it has sent anything.
                    let Ok(mut client) = TcpStream::connect(lb.address()) else { continue };
                    client.set_read_timeout(Some(PATIENCE)).unwrap();
                    let _ = client.write_all(b"mine");
                    let mut own = Vec::new();
                    let _ = client.read_to_end(&mut own);
                    assert!(own.is_empty(), "a client got its own bytes from {backend}");
                }
                // Nothing in TIME_WAIT occupies the port of the server that returns.
                // SO_REUSEADDR, which std sets, would hide that.
                let server = Socket::new(Domain::for_address(dead.address), Type::STREAM, None).unwrap();
                server.bind(&dead.address.into()).unwrap();
                namespace.set("ipv4/ip_local_port_range", "32768 60999");
                lb.recovered(&[("connect_refused", CLIENTS)]);
            });
        }
    });
}

/// Connects to `place` repeatedly: each client that gets its first line is served to the end; returns how many
/// were.
fn serve_until(over: &AtomicBool, place: SocketAddr) -> u64 {
    let mut served = 0;
    while !over.load(Ordering::Relaxed) {
        // Refused if the port is closed, and reset if it waited in the queue of a closed listener.
        let Ok(stream) = TcpStream::connect_timeout(&place, PATIENCE) else { continue };
        let mut client = Client::over(stream);
        match client.try_line() {
            Ok(line) => {
                assert_eq!(line, "a");
                client.echoes(b"to the end");
                served += 1;
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
    served
}
