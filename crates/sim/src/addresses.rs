//! The addresses of a run, and what is there.

use std::net::SocketAddr;

use config::{ListenAddress, Listener};

use crate::random::Random;

/// Listeners that there ever are, each with an address of its own. There are as many other addresses, which they have
/// beside it or instead of it.
pub(crate) const LISTENERS_MAX: u8 = 3;

/// Backends that a pool ever has.
pub(crate) const BACKENDS_MAX: u8 = 4;

pub(crate) fn listener_address(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, u8::try_from(number).expect("few listeners")], 80))
}

/// The addresses of a listener: its own, or another one that no other listener has, or both in any order.
pub(crate) fn listener_addresses<'a>(
    random: &mut Random,
    number: usize,
    mut others: impl Iterator<Item = &'a Listener>,
) -> Vec<ListenAddress> {
    let own = ListenAddress::from(listener_address(number));
    let listeners = usize::from(LISTENERS_MAX);
    let second = listeners + (number + random.index(2)) % listeners;
    let second = ListenAddress::from(listener_address(second));
    if others.any(|other| other.addresses.contains(&second)) {
        return vec![own];
    }
    random.pick(&[&[own][..], &[own], &[own, second], &[second, own], &[second]]).to_vec()
}

pub(crate) fn backend_address(pool: u8, index: usize) -> SocketAddr {
    SocketAddr::from(([10, pool, 0, u8::try_from(index).expect("few backends")], 80))
}

/// Each backend that a pool ever has, with the name of the pool.
pub(crate) fn every_backend() -> impl Iterator<Item = (String, SocketAddr)> {
    (0..2).flat_map(|pool| {
        let each = (0..usize::from(BACKENDS_MAX)).map(move |index| backend_address(pool, index));
        each.map(move |address| (pool_name(pool), address))
    })
}

pub(crate) fn pool_name(number: u8) -> String {
    format!("pool {number}")
}
