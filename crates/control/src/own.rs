//! Whether a configuration has a place twice, as it is on this host: a backend that is one of its own listeners, by an address that
//! the host holds.

use std::collections::HashMap;
use std::net::IpAddr;

use config::{Config, OwnBackend, OwnPlace};

use crate::failure::Failure;
use crate::host::holds;

/// Fails if connections of `config` would come back to this process for ever.
pub(crate) fn refuse_loops(config: &Config) -> Result<(), Failure> {
    match found(config).into_iter().find(|own| !matches!(own.is, OwnPlace::Chain { .. })) {
        Some(own) => Err(Failure::Own(describe(config, &own))),
        None => Ok(()),
    }
}

/// The backends that are this process itself, on this host.
pub(crate) fn found(config: &Config) -> Vec<OwnBackend> {
    let known = std::cell::RefCell::new(HashMap::new());
    // What cannot be found out is taken for another host's.
    let is_held =
        |ip: IpAddr| *known.borrow_mut().entry(ip).or_insert_with(|| holds(ip).unwrap_or(ip.is_loopback()));
    config.own_backends(is_held)
}

/// What is wrong, in one line, and with both places.
pub(crate) fn describe(config: &Config, own: &OwnBackend) -> String {
    let pool = &config.pools[own.pool.0];
    let backend = &pool.backends[own.backend];
    let named = |name: &str, address: std::net::SocketAddr| {
        if name == address.to_string() { name.to_owned() } else { format!("{name} at {address}") }
    };
    let of_backend = format!("backend {} of pool {}", named(&backend.name, backend.address), pool.name);
    let of_listener = |index: usize| {
        let listener = &config.listeners[index];
        format!("this process's own listener {}", named(&listener.name, listener.address))
    };
    match own.is {
        OwnPlace::Loop { listener } => {
            format!("{of_backend} is {}, and its connections would come back for ever", of_listener(listener))
        }
        OwnPlace::Chain { listener } => {
            format!("{of_backend} is {}: each of its connections counts twice", of_listener(listener))
        }
        OwnPlace::Admin => format!("{of_backend} is this process's own admin interface"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::refuse_loops;
    use crate::reload::tests::config;

    #[test]
    fn a_backend_that_is_an_own_listener_is_refused_by_both_names() {
        let mut config = config(&["web 127.0.0.1:80", "api 0.0.0.0:81"]);
        let mut refused = |address: &str| {
            config.pools[0].backends[0].address = address.parse::<SocketAddr>().unwrap();
            refuse_loops(&config).map_err(|failure| failure.to_string())
        };
        assert_eq!(refused("10.0.0.1:80"), Ok(()));
        assert_eq!(refused("127.0.0.2:80"), Ok(()));
        // No host holds it: RFC 5737.
        assert_eq!(refused("192.0.2.1:81"), Ok(()));
        assert_eq!(
            refused("127.0.0.1:80").unwrap_err().lines().next().unwrap(),
            "backend a at 127.0.0.1:80 of pool app is this process's own listener web at 127.0.0.1:80, \
             and its connections would come back for ever"
        );
        assert!(refused("127.1.2.3:81").unwrap_err().contains("own listener api at 0.0.0.0:81"));
        config.admin.http = Some("127.0.0.1:9907".parse().unwrap());
        config.pools[0].backends[0].address = "127.0.0.1:9907".parse().unwrap();
        assert!(refuse_loops(&config).unwrap_err().to_string().contains("own admin interface"));
    }
}
