//! Detects backends that are listeners of the same process, by the addresses of this host.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use config::{Config, OwnBackend, OwnPlace, Warning};

use crate::limits::holds;

/// Refuses a configuration with a backend whose connections would return to this process endlessly.
///
/// # Errors
///
/// There is such a backend. The error names it and the listener.
pub fn refuse_loops(config: &Config) -> Result<(), String> {
    loops(config).into_iter().next().map_or(Ok(()), Err)
}

/// One line for each backend that is this process itself and leads nowhere else.
pub(crate) fn loops(config: &Config) -> Vec<String> {
    config.own_backends(is_held()).iter().filter_map(|own| describe(config, own)).collect()
}

/// Valid but suspicious settings, on this host.
pub fn warnings(config: &Config) -> Vec<Warning> {
    config.warnings(is_held())
}

/// Whether this host has an address. If that cannot be determined, only loopback addresses count as its own.
fn is_held() -> impl Fn(IpAddr) -> bool {
    let known = RefCell::new(HashMap::new());
    move |ip| *known.borrow_mut().entry(ip).or_insert_with(|| holds(ip).unwrap_or(ip.is_loopback()))
}

/// The description of a loop; `None` for a chain of listeners, which is allowed.
fn describe(config: &Config, own: &OwnBackend) -> Option<String> {
    let pool = &config.pools[own.pool.0];
    let backend = &pool.backends[own.backend];
    let named = |name: &str, address: std::net::SocketAddr| {
        if name == address.to_string() { name.to_owned() } else { format!("{name} at {address}") }
    };
    let of_backend = format!("backend {} of pool {}", named(&backend.name, backend.address), pool.name);
    let of_listener = |index: usize, at| {
        let listener = &config.listeners[index];
        format!("this process's own listener {}", named(&listener.name, at))
    };
    match own.is {
        OwnPlace::Loop { listener, at } => Some(format!(
            "{of_backend} is {}: its connections would return to rondel endlessly",
            of_listener(listener, at)
        )),
        OwnPlace::Chain { .. } => None,
        OwnPlace::Admin => Some(format!("{of_backend} is this process's own admin interface")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use config::Config;

    use super::refuse_loops;

    #[test]
    fn a_backend_that_is_an_own_listener_is_refused_with_both_names() {
        let mut config = Config::forward("127.0.0.1:80".parse().unwrap(), &["10.0.0.1:80".parse().unwrap()]);
        "web".clone_into(&mut config.listeners[0].name);
        let mut api = config.listeners[0].clone();
        "api".clone_into(&mut api.name);
        let addresses = ["127.0.0.9:82", "127.0.0.8:82", "0.0.0.0:81"];
        api.addresses = addresses.map(|at| at.parse::<SocketAddr>().unwrap().into()).into();
        config.listeners.push(api);
        "app".clone_into(&mut config.pools[0].name);
        "a".clone_into(&mut config.pools[0].backends[0].name);
        let mut refused = |address: &str| {
            config.pools[0].backends[0].address = address.parse::<SocketAddr>().unwrap();
            refuse_loops(&config)
        };
        assert_eq!(refused("10.0.0.1:80"), Ok(()));
        assert_eq!(refused("127.0.0.2:80"), Ok(()));
        // No host has this address: RFC 5737.
        assert_eq!(refused("192.0.2.1:81"), Ok(()));
        assert_eq!(
            refused("127.0.0.1:80").unwrap_err().lines().next().unwrap(),
            "backend a at 127.0.0.1:80 of pool app is this process's own listener web at 127.0.0.1:80: \
             its connections would return to rondel endlessly"
        );
        assert!(refused("127.1.2.3:81").unwrap_err().contains("own listener api at 0.0.0.0:81"));
        // Of two addresses with one port, the one that takes the connection.
        assert!(refused("127.0.0.8:82").unwrap_err().contains("own listener api at 127.0.0.8:82"));
        config.admin.http = Some("127.0.0.1:9907".parse().unwrap());
        config.pools[0].backends[0].address = "127.0.0.1:9907".parse().unwrap();
        assert!(refuse_loops(&config).unwrap_err().contains("own admin interface"));
    }
}
