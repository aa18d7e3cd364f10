//! The addresses of a run, and what is there.

use std::net::SocketAddr;

/// Backends that a pool ever has.
pub(crate) const BACKENDS_MAX: u8 = 4;

pub(crate) fn listener_address(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, u8::try_from(number).expect("few listeners")], 80))
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
