//! Addresses of the command line: literal ones, because nothing here resolves names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `HOST:PORT`, or `:PORT` for every address of this host; port 0 lets the kernel choose.
pub(crate) fn listener(text: &str) -> Result<SocketAddr, String> {
    match text.strip_prefix(':') {
        // A second colon makes it the beginning of an IPv6 address.
        Some(port) if !port.starts_with(':') => {
            Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, self::port(port)?)))
        }
        _ => literal(text),
    }
}

/// `HOST:PORT` of a backend.
pub(crate) fn backend(text: &str) -> Result<SocketAddr, String> {
    if text.starts_with(':') && !text.starts_with("::") {
        return Err(format!("a backend needs its host, as in `127.0.0.1{text}`"));
    }
    let address = literal(text)?;
    if address.port() == 0 {
        return Err("port 0 cannot be connected to".to_owned());
    }
    if address.ip().is_unspecified() {
        return Err(format!(
            "{} is every address of this host; name the one of the backend, as in `127.0.0.1:{}`",
            address.ip(),
            address.port(),
        ));
    }
    Ok(address)
}

/// Where a client of this host finds what listens at `address`.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        // The IPv6 wildcard takes IPv4 too.
        host if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host,
    };
    SocketAddr::new(host, address.port())
}

fn literal(text: &str) -> Result<SocketAddr, String> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err("the port is missing, as in `127.0.0.1:8080`".to_owned());
    };
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address stands in brackets before its port, as in `[{text}]:8080`"));
    }
    let port = self::port(port)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().map(IpAddr::V4),
    }
    .map_err(|_| {
        format!(
            "`{host}` is not an IP address, and names are not resolved; write it as in `127.0.0.1:{port}`"
        )
    })?;
    Ok(SocketAddr::new(host, port))
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        // `u16` would take a sign, which no port has.
        Ok(port) if !text.starts_with('+') => Ok(port),
        _ => Err(format!("`{text}` is not a port; ports are 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::{backend, listener, reachable};

    #[test]
    fn what_is_right() {
        for (text, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("0.0.0.0:65535", "0.0.0.0:65535"),
            (":5432", "[::]:5432"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert_eq!(listener(text), Ok(address.parse().unwrap()), "{text}");
        }
        assert_eq!(backend("10.0.0.1:80"), Ok("10.0.0.1:80".parse().unwrap()));
    }

    #[test]
    fn what_is_wrong_is_told_how_to_be_right() {
        for (text, part) in [
            ("localhost:80", "names are not resolved"),
            ("127.0.0.1", "the port is missing"),
            ("127.0.0.1:", "not a port"),
            ("127.0.0.1:+1", "not a port"),
            ("127.0.0.1:65536", "ports are 1 to 65535"),
            ("::1", "[::1]:8080"),
            ("2001:db8::1", "brackets"),
            (":http", "not a port"),
            ("[127.0.0.1]:80", "not an IP address"),
        ] {
            let message = listener(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn a_backend_is_somewhere() {
        assert!(backend("127.0.0.1:0").unwrap_err().contains("port 0"));
        assert!(backend(":80").unwrap_err().contains("127.0.0.1:80"));
        assert!(backend("0.0.0.0:80").unwrap_err().contains("127.0.0.1:80"));
        assert!(backend("[::]:80").unwrap_err().contains("127.0.0.1:80"));
    }

    #[test]
    fn a_wildcard_is_reached_by_loopback() {
        assert_eq!(reachable("[::]:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:80".parse().unwrap()), "10.0.0.1:80".parse().unwrap());
    }
}
