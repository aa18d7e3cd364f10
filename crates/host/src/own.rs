//! Whether a configuration has a place twice, as it is on this host: a backend that is one of its own listeners, by an address that
//! the host holds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use config::{Config, OwnBackend, OwnPlace, Warning};

use crate::limits::holds;

/// Refuses a configuration whose connections would come back to this process for ever; the error names both places.
pub fn refuse_loops(config: &Config) -> Result<(), String> {
    loops(config).into_iter().next().map_or(Ok(()), |found| Err(found))
}

/// The backends that are this process itself on this host, and lead nowhere else: what is wrong, in one line each.
pub(crate) fn loops(config: &Config) -> Vec<String> {
    config.own_backends(is_held()).iter().filter_map(|own| describe(config, own)).collect()
}

/// What is likely to be meant otherwise, on this host.
pub fn warnings(config: &Config) -> Vec<Warning> {
    config.warnings(is_held())
}

/// Whether this host holds an address. What cannot be found out is taken for another host's.
fn is_held() -> impl Fn(IpAddr) -> bool {
    let known = RefCell::new(HashMap::new());
    move |ip| *known.borrow_mut().entry(ip).or_insert_with(|| holds(ip).unwrap_or(ip.is_loopback()))
}

/// What is wrong, with both places; none if nothing is, for a listener may lead to another.
fn describe(config: &Config, own: &OwnBackend) -> Option<String> {
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
        OwnPlace::Loop { listener } => Some(format!(
            "{of_backend} is {}, and its connections would come back for ever",
            of_listener(listener)
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
    fn a_backend_that_is_an_own_listener_is_refused_by_both_names() {
        let mut config = Config::forward("127.0.0.1:80".parse().unwrap(), &["10.0.0.1:80".parse().unwrap()]);
        "web".clone_into(&mut config.listeners[0].name);
        let mut api = config.listeners[0].clone();
        "api".clone_into(&mut api.name);
        api.address = "0.0.0.0:81".parse().unwrap();
        config.listeners.push(api);
        "app".clone_into(&mut config.pools[0].name);
        "a".clone_into(&mut config.pools[0].backends[0].name);
        let mut refused = |address: &str| {
            config.pools[0].backends[0].address = address.parse::<SocketAddr>().unwrap();
            refuse_loops(&config)
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
        assert!(refuse_loops(&config).unwrap_err().contains("own admin interface"));
    }
}
