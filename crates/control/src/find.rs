//! Finds the backend that an operator names.

use std::net::SocketAddr;

use api::BackendName;
use config::{Config, unknown};

/// There is no backend of this name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) String);

/// The backend of this name, or of this address. Where the names of pools have a `/` in them, the first that fits.
pub(crate) fn find(config: &Config, name: &BackendName) -> Result<(String, SocketAddr), Unknown> {
    for (pool, backend) in name.splits() {
        let Some(pool) = config.pools.iter().find(|known| known.name == pool) else { continue };
        let address: Option<SocketAddr> = backend.parse().ok();
        let named = pool.backends.iter().find(|known| known.name == backend);
        let found = named.or_else(|| pool.backends.iter().find(|known| Some(known.address) == address));
        if let Some(found) = found {
            return Ok((pool.name.clone(), found.address));
        }
    }
    Err(Unknown(unknown_backend(config, name)))
}

/// That there is none of this name, and which there are: in its pool, where it names one that there is.
fn unknown_backend(config: &Config, name: &BackendName) -> String {
    let is_named = |pool: &config::Pool| name.splits().any(|(named, _)| named == pool.name);
    let any_is_named = config.pools.iter().any(is_named);
    let pools = config.pools.iter().filter(|pool| !any_is_named || is_named(pool));
    let known: Vec<String> = pools
        .flat_map(|pool| pool.backends.iter().map(move |backend| format!("{}/{}", pool.name, backend.name)))
        .collect();
    unknown("backend", &name.to_string(), &known.iter().map(String::as_str).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::{Unknown, find};
    use crate::reload::tests::config;

    #[test]
    fn a_backend_is_found_by_its_name_or_its_address() {
        let config = config(&["web 127.0.0.1:80"]);
        for (name, found) in [
            ("app/a", true),
            ("app/10.0.0.1:80", true),
            ("app/b", false),
            ("web/a", false),
            ("app/a/", false),
        ] {
            let result = find(&config, &name.parse().unwrap());
            assert_eq!(result.is_ok(), found, "{name}");
            assert!(found || matches!(result, Err(Unknown(_))), "{name}");
        }
    }
}
