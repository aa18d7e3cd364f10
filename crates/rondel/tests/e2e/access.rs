//! What operators say about addresses of clients while rondel runs, and what becomes of it.

mod bans; // In the kernel as well.
mod commands; // Denials, allowances, and their ends.
mod files; // Block lists that are reloaded.
mod restart;

use std::io::ErrorKind;
use std::net::IpAddr;

use crate::lb::Lb;
use crate::peers::{Client, End};

/// What a client with this address gets from the first listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gets {
    Service,
    Reset,
}

/// Connects from the address `ip`. The backend is one that says its name at once.
#[track_caller]
fn from(lb: &Lb, ip: &str) -> Gets {
    let ip: IpAddr = ip.parse().unwrap();
    let mut client = match Client::connect_from(ip, lb.address()) {
        Ok(client) => client,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Gets::Reset,
        Err(error) => panic!("{ip}: {error}"),
    };
    match client.try_line() {
        Ok(line) if !line.is_empty() => Gets::Service,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Gets::Reset,
        other => panic!("{ip}: {other:?}"),
    }
}

/// An established connection from the address `ip`, which has read the name of its backend.
#[track_caller]
fn connected(lb: &Lb, ip: &str) -> Client {
    let mut client = Client::connect_from(ip.parse().unwrap(), lb.address()).unwrap();
    client.line();
    client
}

/// Asserts that an established connection was reset.
#[track_caller]
fn is_reset(client: &mut Client) {
    assert_eq!(client.end(), End::Reset);
}
