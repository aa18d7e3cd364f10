//! Finds the listener that an operator names.

use std::net::{Ipv4Addr, SocketAddr};

use crate::forward::listen_address;

/// The name of the listener with this name, or with this address, one of those in `known`, as a file writes it:
/// `:8080` is that of `[::]:8080`, or of `0.0.0.0:8080` on a host without IPv6.
pub fn listener_named<'a>(known: &[(&'a str, SocketAddr)], wanted: &str) -> Option<&'a str> {
    if let Some((name, _)) = known.iter().find(|(name, _)| *name == wanted) {
        return Some(name);
    }
    let listen = listen_address(wanted).ok()?;
    let at = |address: SocketAddr| known.iter().find(|(_, known)| *known == address).map(|(name, _)| *name);
    let of_ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.address.port()));
    at(listen.address).or_else(|| if listen.every_address { at(of_ipv4) } else { None })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::listener_named;

    #[test]
    fn a_listener_is_found_by_its_name_or_its_address() {
        for (wanted, found) in [
            ("web", Some("web")),
            ("127.0.0.1:80", Some("web")),
            (":80", None),
            (":8080", Some("[::]:8080")),
            ("[::]:8080", Some("[::]:8080")),
            ("0.0.0.0:8080", None),
            (":81", Some("0.0.0.0:81")),
            ("0.0.0.0:81", Some("0.0.0.0:81")),
            ("[::]:81", None),
            ("wep", None),
        ] {
            let known = [("web", "127.0.0.1:80"), ("[::]:8080", "[::]:8080"), ("0.0.0.0:81", "0.0.0.0:81")];
            let known = known.map(|(name, address)| (name, address.parse::<SocketAddr>().unwrap()));
            assert_eq!(listener_named(&known, wanted), found, "{wanted}");
        }
    }
}
