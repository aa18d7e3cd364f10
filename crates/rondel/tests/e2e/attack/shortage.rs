//! Resources that run out: descriptors, and ports to connect from.

use std::net::TcpStream;

use socket2::{Domain, Socket, Type};

use super::namespace::Namespace;
use super::stand::{Attacked, on_each_stand};
use crate::lb::all_closes;
use crate::peers::{Backend, Client, End, Peer};
use crate::place::{PATIENCE, address, eventually};
use crate::setup::{PORT, Setup};

#[test]
fn the_limit_of_open_files_is_reached_and_raised_again() {
    on_each_stand(|stand| {
        let backend = Backend::named("a", 9001);
        let lb = stand.start(&Setup::to(&[backend.target()]));
        let mut before: Vec<Client> = (0..10).map(|_| lb.connect()).collect();
        for client in &mut before {
            assert_eq!(client.line(), "a");
        }
        lb.limit_files(stand.wrapper(), lb.next_descriptor());
        // An accept that was armed before uses the limit of that time; then the backend's socket fails.
        let flood: Vec<TcpStream> =
            (0..100).filter_map(|_| TcpStream::connect_timeout(&lb.address(), PATIENCE).ok()).collect();
        eventually("some are rejected", || rejected(&lb) > 0);
        for client in &mut before {
            client.echoes(b"as before");
        }
        lb.does_not_spin();
        lb.limit_files(stand.wrapper(), ENOUGH);
        drop(flood);
        eventually("it serves again", || {
            let Ok(stream) = TcpStream::connect_timeout(&lb.address(), PATIENCE) else { return false };
            Client::over(stream).try_line().is_ok_and(|line| line == "a")
        });
        drop(before);
        lb.is_in_its_state_before();
        // How many of each depends on when the limit is noticed.
        lb.tells_alike(&all_closes(&lb.totals()));
        lb.serves_others();
    });
}

/// A listener with fewer free slots than its accept queue checks the limit before each accept, and so uses the
/// current one: it is the client's own descriptor that cannot be opened.
#[test]
fn clients_without_a_descriptor_are_reset() {
    on_each_stand(|stand| {
        let backend = Backend::named("a", 9001);
        let setup = Setup::to(&[backend.target()]).without_listeners();
        let lb = stand.start(&setup.listen("web", address(PORT), "web", "max_connections: 20"));
        let mut before: Vec<Client> = (0..5).map(|_| lb.connect()).collect();
        for client in &mut before {
            assert_eq!(client.line(), "a");
        }
        lb.limit_files(stand.wrapper(), lb.next_descriptor());
        for _ in 0..10 {
            assert_eq!(lb.turn_away(), End::Reset);
        }
        for client in &mut before {
            client.echoes(b"as before");
        }
        lb.does_not_spin();
        lb.limit_files(stand.wrapper(), ENOUGH);
        assert_eq!(lb.connect().line(), "a");
        drop(before);
        lb.is_in_its_state_before();
        let closes = all_closes(&lb.totals());
        let of = |reason: &str| closes.get(reason).copied().unwrap_or(0);
        assert_eq!((of("done"), of("no_descriptor")), (6, 10), "{closes:?}");
        lb.tells_alike(&closes);
        lb.serves_others();
    });
}

#[test]
fn ports_to_backends_run_out_and_become_free() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let backends = [Backend::named("a", 9001), Backend::named("b", 9002)];
            let lb = stand.start(&Setup::to(&backends.each_ref().map(Backend::target)));
            namespace.set("ipv4/ip_local_port_range", "40000 40049");
            let mut clients: Vec<Client> = (0..100).map(|number| client_from(30_000 + number, &lb)).collect();
            for client in &mut clients {
                client.line();
            }
            assert_eq!(backends.each_ref().map(Backend::accepted), [50, 50]);
            for number in 100..110 {
                assert_eq!(client_from(30_000 + number, &lb).end(), End::Reset);
            }
            lb.wait_for("(`no_source_port`): no local port was free; add backends", 0);
            lb.serves_others();
            clients.into_iter().for_each(Peer::reset);
            lb.is_in_its_state_before();
            assert_eq!(client_from(30_200, &lb).line(), "a");
            lb.recovered(&[("client_reset", 100), ("no_source_port", 10), ("done", 1)]);
        });
    });
}

/// How many clients got no connection because no descriptor was free, for them or for a backend.
#[track_caller]
fn rejected(lb: &Attacked) -> u64 {
    let closes = all_closes(&lb.totals());
    closes.get("no_descriptor").copied().unwrap_or(0)
}

/// A client that uses none of the ports that the kernel chooses from.
#[track_caller]
fn client_from(port: u16, lb: &Attacked) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&address(port).into()).unwrap();
    socket.connect(&lb.address().into()).unwrap();
    Client::over(socket.into())
}

/// An unlimited value.
const ENOUGH: usize = 20_000;
