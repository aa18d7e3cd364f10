//! The differences between two configurations, one line each.
//!
//! ```text
//! + listener api 127.0.0.1:8081 -> app
//! - listener old 0.0.0.0:80
//! ~ pool web: + backend c 10.0.0.3:80, - backend b 10.0.0.2:80, weight of a 1 -> 3, idle_timeout 1h -> 10m
//! ```

mod access;
mod routes;

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::net::SocketAddr;

use crate::config::{
    Backend, Config, Failback, Keepalive, Listener, OnRemove, Pool, Runtime, TargetRole, Tiers, Waiting,
};
use crate::duration::show as duration;
use crate::sentences::counted;

/// The differences between two configurations: one line for each listener and pool that was added, removed or
/// changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes(Vec<String>);

impl Changes {
    /// The changes from `previous` to `next`.
    ///
    /// Listeners and pools are identified by name, backends by address.
    pub fn between(previous: &Config, next: &Config) -> Self {
        let mut lines = Vec::new();
        lines.extend(line("~ runtime".to_owned(), &runtime(previous, next)));
        lines.extend(line("~ admin".to_owned(), &admin(previous, next)));
        let log = |config: &Config| config.access_log.as_ref().map_or("off".to_owned(), ToString::to_string);
        if previous.access_log != next.access_log {
            lines.push(format!("~ access_log: {} -> {}", log(previous), log(next)));
        }
        lines.extend(access::lines(previous, next));
        for listener in &next.listeners {
            match previous.listeners.iter().find(|before| before.name == listener.name) {
                Some(before) => {
                    let parts = listener_parts((previous, before), (next, listener));
                    lines.extend(line(format!("~ listener {}", listener.name), &parts));
                }
                None => lines.push(format!(
                    "+ listener {} -> {}",
                    named_listener(listener),
                    pool_of(next, listener)
                )),
            }
        }
        for before in &previous.listeners {
            if !next.listeners.iter().any(|listener| listener.name == before.name) {
                lines.push(format!("- listener {}", named_listener(before)));
            }
        }
        for pool in &next.pools {
            match previous.pools.iter().find(|before| before.name == pool.name) {
                Some(before) => {
                    lines.extend(line(format!("~ pool {}", pool.name), &pool_parts(before, pool)));
                }
                None => lines.push(format!("+ pool {}: {}", pool.name, backends(pool))),
            }
        }
        for before in &previous.pools {
            if !next.pools.iter().any(|pool| pool.name == before.name) {
                lines.push(format!("- pool {}", before.name));
            }
        }
        Self(lines)
    }

    /// One line for each listener and pool that differs.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// A line for one item, if any part of it differs.
fn line(thing: String, parts: &[String]) -> Option<String> {
    (!parts.is_empty()).then(|| thing + ": " + &parts.join(", "))
}

fn runtime(previous: &Config, next: &Config) -> Vec<String> {
    let (before, after) = (&previous.runtime, &next.runtime);
    let mut parts = Vec::new();
    setting(&mut parts, "workers", before.workers, after.workers, show);
    setting(&mut parts, "max_connections", before.connections_max, after.connections_max, show);
    setting(&mut parts, "drain_timeout", before.drain_timeout, after.drain_timeout, duration);
    let state = |runtime: &Runtime| {
        runtime.state.as_ref().map_or_else(|| "off".to_owned(), |folder| folder.display().to_string())
    };
    setting(&mut parts, "state", state(before), state(after), show);
    parts
}

fn admin(previous: &Config, next: &Config) -> Vec<String> {
    let mut parts = Vec::new();
    let token_file = |config: &Config| {
        config.admin.token_file.as_ref().map_or_else(|| "null".to_owned(), |path| path.display().to_string())
    };
    setting(&mut parts, "token_file", token_file(previous), token_file(next), show);
    parts
}

fn listener_parts(
    (previous, before): (&Config, &Listener),
    (next, after): (&Config, &Listener),
) -> Vec<String> {
    let mut parts = Vec::new();
    setting(&mut parts, "address", before.shown_addresses(), after.shown_addresses(), show);
    setting(&mut parts, "pool", pool_of(previous, before), pool_of(next, after), show);
    setting(&mut parts, "role", before.target_role, after.target_role, target_role);
    let proxy_protocol =
        |listener: &Listener| listener.proxy_protocol.as_ref().map_or("off".to_owned(), show);
    setting(&mut parts, "proxy_protocol", proxy_protocol(before), proxy_protocol(after), show);
    setting(&mut parts, "opening", before.opening, after.opening, show);
    access::parts(&mut parts, (previous, before), (next, after));
    routes::parts(&mut parts, (previous, before), (next, after));
    setting(&mut parts, "access_log", before.access_log, after.access_log, show);
    setting(&mut parts, "backlog", before.backlog, after.backlog, show);
    setting(&mut parts, "max_connections", before.connections_max, after.connections_max, show);
    setting(&mut parts, "freebind", before.freebind, after.freebind, show);
    setting(&mut parts, "v6only", before.v6only, after.v6only, show);
    parts
}

fn pool_parts(before: &Pool, after: &Pool) -> Vec<String> {
    let mut parts = backend_parts(&before.backends, &after.backends);
    setting(&mut parts, "balance", before.balance, after.balance, show);
    setting(&mut parts, "connect_timeout", before.connect_timeout, after.connect_timeout, duration);
    setting(&mut parts, "attempts", before.attempts, after.attempts, show);
    setting(&mut parts, "idle_timeout", before.idle_timeout, after.idle_timeout, duration);
    setting(
        &mut parts,
        "half_closed_timeout",
        before.half_closed_timeout,
        after.half_closed_timeout,
        duration,
    );
    setting(&mut parts, "keepalive", before.keepalive, after.keepalive, keepalive);
    setting(&mut parts, "source", before.source, after.source, |source| {
        source.map_or("null".to_owned(), show)
    });
    let send_proxy = |pool: &Pool| pool.send_proxy.as_ref().map_or("off".to_owned(), show);
    setting(&mut parts, "send_proxy", send_proxy(before), send_proxy(after), show);
    setting(&mut parts, "probe", before.probe.as_ref(), after.probe.as_ref(), |probe| {
        probe.map_or("null".to_owned(), show)
    });
    setting(&mut parts, "eject", before.eject, after.eject, |eject| eject.map_or("off".to_owned(), show));
    setting(&mut parts, "on_all_down", before.on_all_down, after.on_all_down, show);
    setting(&mut parts, "on_down", before.on_down, after.on_down, show);
    setting(&mut parts, "slow_start", before.slow_start, after.slow_start, duration);
    tier_parts(&mut parts, before.tiers, after.tiers);
    setting(&mut parts, "on_role_loss", before.on_role_loss, after.on_role_loss, show);
    setting(&mut parts, "on_remove", before.on_remove, after.on_remove, |on_remove| match on_remove {
        OnRemove::Drain(timeout) => format!("drain within {}", duration(timeout)),
        OnRemove::Keep | OnRemove::Close => show(on_remove),
    });
    setting(&mut parts, "max_lag", before.lag_max, after.lag_max, show);
    setting(&mut parts, "queue", before.queue, after.queue, show);
    parts
}

fn tier_parts(parts: &mut Vec<String>, before: Tiers, after: Tiers) {
    setting(parts, "min_active", before.active_min, after.active_min, show);
    setting(parts, "backups", before.backups, after.backups, show);
    setting(parts, "failback", before.failback, after.failback, |failback| match failback {
        Failback::Auto(delay) => format!("auto after {}", duration(delay)),
        Failback::Manual => show(failback),
    });
    setting(parts, "on_demotion", before.on_demotion, after.on_demotion, show);
}

fn backend_parts(before: &[Backend], after: &[Backend]) -> Vec<String> {
    let mut parts = Vec::new();
    let (known_before, known_after) = (by_address(before), by_address(after));
    let in_before = |backend: &&Backend| known_before.contains_key(&backend.address);
    let in_after = |backend: &&Backend| known_after.contains_key(&backend.address);
    for backend in after.iter().filter(|backend| !in_before(backend)) {
        parts.push(format!("+ backend {}", named(&backend.name, backend.address)));
    }
    for backend in before.iter().filter(|backend| !in_after(backend)) {
        parts.push(format!("- backend {}", named(&backend.name, backend.address)));
    }
    for backend in after {
        if let Some(other) = known_before.get(&backend.address) {
            let of = |what| format!("{what} of {}", other.name);
            setting(&mut parts, &of("name"), &other.name, &backend.name, show);
            setting(&mut parts, &of("weight"), other.weight, backend.weight, show);
            setting(&mut parts, &of("tier"), other.tier, backend.tier, show);
            setting(
                &mut parts,
                &of("max_connections"),
                other.connections_max,
                backend.connections_max,
                |connections_max| connections_max.map_or("0".to_owned(), show),
            );
        }
    }
    let stayed = |backend: &Backend| backend.address;
    if !before.iter().filter(in_after).map(stayed).eq(after.iter().filter(in_before).map(stayed)) {
        parts.push("backends in another order".to_owned());
    }
    parts
}

fn by_address(backends: &[Backend]) -> HashMap<SocketAddr, &Backend> {
    backends.iter().map(|backend| (backend.address, backend)).collect()
}

/// Adds `name before -> after` if they differ.
fn setting<T: PartialEq>(
    parts: &mut Vec<String>,
    name: &str,
    before: T,
    after: T,
    show: impl Fn(T) -> String,
) {
    if before != after {
        parts.push(format!("{name} {} -> {}", show(before), show(after)));
    }
}

fn pool_of<'a>(config: &'a Config, listener: &Listener) -> &'a str {
    &config.pools[listener.pool.0].name
}

/// A name with its addresses, or only one if they are equal.
fn named_listener(listener: &Listener) -> String {
    let addresses = listener.shown_addresses();
    if listener.name == addresses { addresses } else { format!("{} {addresses}", listener.name) }
}

/// A name with its address, or only one if they are equal.
fn named(name: &str, address: SocketAddr) -> String {
    let address = address.to_string();
    if name == address { address } else { format!("{name} {address}") }
}

fn backends(pool: &Pool) -> String {
    counted(pool.backends.len(), "backend")
}

fn show(value: impl Display) -> String {
    value.to_string()
}

fn target_role(target_role: TargetRole) -> String {
    match target_role {
        TargetRole::Any => show(target_role),
        TargetRole::Primary(Waiting { connections_max: 0, .. }) => "primary without hold".to_owned(),
        TargetRole::Primary(hold) => format!("primary, held: {hold}"),
        TargetRole::Replica(fallback) => format!("replica with fallback {fallback}"),
    }
}

fn keepalive(Keepalive { idle, interval, probes }: Keepalive) -> String {
    format!("{} + {probes} x {}", duration(idle), duration(interval))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::num::{NonZeroU16, NonZeroU32};
    use std::time::Duration;

    use super::Changes;
    use crate::config::{
        Backend, Backups, Balance, Config, Eject, Failback, Listener, OnAllDown, Pool, PoolIndex, TargetRole,
        Tier, Waiting, Workers,
    };
    use crate::route::{Route, Routing, ServerName, Silent, Takes, Unknown};

    #[test]
    fn nothing_differs() {
        check(|_| (), &[]);
    }

    #[test]
    fn listeners_come_go_and_change() {
        check(
            |config| config.listeners.push(listener("api", "127.0.0.1:8081", 1)),
            &["+ listener api 127.0.0.1:8081 -> app"],
        );
        check(
            |config| config.listeners.push(listener("127.0.0.1:8081", "127.0.0.1:8081", 1)),
            &["+ listener 127.0.0.1:8081 -> app"],
        );
        check(|config| drop(config.listeners.remove(0)), &["- listener web 0.0.0.0:80"]);
        check(
            |config| {
                config.listeners[0].pool = PoolIndex(1);
                config.listeners[0].backlog = 100;
                config.listeners[0].connections_max = 5;
                config.listeners[0].freebind = true;
            },
            &["~ listener web: pool web -> app, backlog 16 -> 100, max_connections 100 -> 5, \
               freebind false -> true"],
        );
        check(
            |config| config.listeners[0].addresses[0].address = "0.0.0.0:81".parse().unwrap(),
            &["~ listener web: address 0.0.0.0:80 -> 0.0.0.0:81"],
        );
        // The same pools in another order: a listener is compared by the name of its pool.
        check(
            |config| {
                config.pools.reverse();
                config.listeners[0].pool = PoolIndex(1);
            },
            &[],
        );
    }

    #[test]
    fn pools_come_go_and_change() {
        check(|config| config.pools.push(pool("new", &["a 1"])), &["+ pool new: 1 backend"]);
        check(|config| drop(config.pools.pop()), &["- pool app"]);
        check(
            |config| {
                config.pools[0] = pool("web", &["a 3", "c 1"]);
                config.pools[0].idle_timeout = Duration::from_secs(90);
                config.pools[0].attempts = 2;
                config.pools[0].source = Some("10.1.1.1".parse().unwrap());
                config.pools[0].keepalive.idle = Duration::from_millis(60_500);
            },
            &["~ pool web: + backend c 10.0.0.3:80, - backend b 10.0.0.2:80, weight of a 1 -> 3, \
               attempts 3 -> 2, idle_timeout 1h -> 1m30s, \
               keepalive 1m + 6 x 10s -> 1m500ms + 6 x 10s, source null -> 10.1.1.1"],
        );
        check(|config| config.pools[0].backends.reverse(), &["~ pool web: backends in another order"]);
        check(
            |config| config.pools[0].backends[1].name = "bee".to_owned(),
            &["~ pool web: name of b b -> bee"],
        );
    }

    #[test]
    fn changes_of_routing_are_listed() {
        check(
            |config| {
                let hold = Waiting { connections_max: 7, timeout: Duration::from_secs(5) };
                config.listeners[0].target_role = TargetRole::Primary(hold);
                let pool = &mut config.pools[0];
                pool.balance = Balance::Maglev;
                pool.eject =
                    Some(Eject { failures: 3, base: Duration::from_secs(10), cap: Duration::from_secs(60) });
                pool.on_all_down = OnAllDown::Closed;
                pool.tiers.failback = Failback::Manual;
                pool.tiers.backups = Backups::First;
                pool.queue.connections_max = 0;
                pool.backends[0].tier = Tier::Backup;
                pool.backends[1].connections_max = NonZeroU32::new(9);
            },
            &[
                "~ listener web: role null -> primary, held: 7 clients at most, each up to 5s",
                "~ pool web: tier of a active -> backup, max_connections of b 0 -> 9, \
                 balance round_robin -> maglev, \
                 eject after 3 failed connects, for 10s, at most 5m -> after 3 failed connects, for 10s, at most 1m, \
                 on_all_down open -> closed, backups all -> first, failback auto after 0s -> manual, \
                 queue 1000 clients at most, each up to 10s -> clients do not wait",
            ],
        );
    }

    #[test]
    fn routes_change() {
        let route = |name: &str, takes: &str, pool: usize| Route {
            name: name.to_owned(),
            takes: match takes {
                "" => Takes::NotTls,
                name => Takes::Hello {
                    names: vec![ServerName::Exact(name.to_owned())],
                    protocols: vec!["h2".to_owned()],
                },
            },
            pool: PoolIndex(pool),
        };
        check(
            |config| config.listeners[0].routing.routes = vec![route("api", "api", 1), route("ssh", "", 0)],
            &["~ listener web: + route api -> app, + route ssh -> web"],
        );
        let before = |config: &mut Config| {
            config.listeners[0].routing.routes =
                vec![route("api", "api", 1), route("ssh", "", 0), route("old", "old", 0)];
        };
        let after = |config: &mut Config| {
            config.listeners[0].routing = Routing {
                routes: vec![route("ssh", "", 1), route("api", "app", 1)],
                unknown: Unknown::Refuse,
                silent: Silent::Pool,
            };
        };
        check_both(
            before,
            after,
            &["~ listener web: pool of ssh web -> app, \
               match of api sni api, alpn h2 -> sni app, alpn h2, - route old, routes in another order, \
               unknown pool -> refuse, silent refuse -> pool"],
        );
    }

    #[test]
    fn the_file_of_the_token_changes() {
        check(
            |config| config.admin.token_file = Some("/etc/rondel/token".into()),
            &["~ admin: token_file null -> /etc/rondel/token"],
        );
    }

    #[test]
    fn the_process_changes() {
        check(
            |config| {
                config.runtime.workers = Workers::Number(NonZeroU16::new(2).unwrap());
                config.runtime.drain_timeout = Duration::ZERO;
            },
            &["~ runtime: workers auto -> 2, drain_timeout 30s -> 0s"],
        );
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Config), expected: &[&str]) {
        check_both(|_| {}, change, expected);
    }

    #[track_caller]
    fn check_both(before: impl Fn(&mut Config), change: impl Fn(&mut Config), expected: &[&str]) {
        let listeners = vec![listener("web", "0.0.0.0:80", 0)];
        let pools = vec![pool("web", &["a 1", "b 1"]), pool("app", &["a 1"])];
        let mut previous = Config { listeners, pools, ..defaults() };
        before(&mut previous);
        let mut next = previous.clone();
        change(&mut next);
        let changes = Changes::between(&previous, &next);
        assert_eq!(changes.lines().collect::<Vec<_>>(), expected);
        assert_eq!(changes.to_string(), expected.join("\n"));
        assert_eq!(changes.is_empty(), expected.is_empty());
    }

    fn listener(name: &str, address: &str, pool: usize) -> Listener {
        Listener {
            name: name.to_owned(),
            addresses: vec![address.parse::<SocketAddr>().unwrap().into()],
            pool: PoolIndex(pool),
            backlog: 16,
            connections_max: 100,
            ..defaults().listeners.remove(0)
        }
    }

    /// A pool of backends `LETTER WEIGHT`; `a` is 10.0.0.1:80, `b` is 10.0.0.2:80, and so on.
    fn pool(name: &str, backends: &[&str]) -> Pool {
        let backends = backends.iter().map(|words| backend(words)).collect();
        Pool { name: name.to_owned(), backends, ..defaults().pools.remove(0) }
    }

    fn backend(words: &str) -> Backend {
        let (name, weight) = words.split_once(' ').unwrap();
        let address = SocketAddr::from(([10, 0, 0, name.as_bytes()[0] - b'a' + 1], 80));
        let backend = defaults().pools.remove(0).backends.remove(0);
        Backend { name: name.to_owned(), address, weight: weight.parse().unwrap(), ..backend }
    }

    fn defaults() -> Config {
        let address = SocketAddr::from(([10, 0, 0, 1], 80));
        Config::forward(address, &[address])
    }
}
