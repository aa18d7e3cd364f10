//! Settings that are valid, and probably not intended.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::access::{AccessList, Action};
use crate::config::{Config, Listener, Pool};
use crate::own::{OwnBackend, OwnPlace};
use crate::probe::Kind;
use crate::proxy::Proxies;
use crate::shadowed;
use crate::warned::Warning;

impl Config {
    /// The warnings, in the order of the file, for a host that holds the addresses for which `is_held` returns
    /// true.
    pub fn warnings(&self, is_held: impl Fn(IpAddr) -> bool) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = self.listeners.iter().filter_map(proxies_of_any).collect();
        warnings.extend(self.access.iter().enumerate().flat_map(|(index, list)| {
            let is_used =
                self.listeners.iter().any(|listener| listener.access.is_some_and(|own| own.0 == index));
            access_list(list, is_used)
        }));
        warnings.extend(self.unused_limits());
        warnings.extend(self.listeners.iter().flat_map(|listener| shadowed::of_routes(self, listener)));
        warnings.extend(self.pools.iter().flat_map(probes_by_connect));
        warnings.extend(self.own_backends(is_held).iter().filter_map(|own| self.chain(own)));
        warnings
    }

    /// Limits that no listener names.
    fn unused_limits(&self) -> impl Iterator<Item = Warning> {
        let is_used =
            |index| self.listeners.iter().any(|listener| listener.limits.is_some_and(|own| own.0 == index));
        let unused = self.limits.iter().enumerate().filter(move |(index, _)| !is_used(*index));
        unused.map(|(_, limits)| Warning {
            subject: format!("limits {}", limits.name),
            found: "no listener names them: they limit nothing".to_owned(),
            cure: format!("add `limits: {}` to a listener", limits.name),
        })
    }

    /// A backend that is a listener of this process, and leads to another pool.
    fn chain(&self, own: &OwnBackend) -> Option<Warning> {
        let OwnPlace::Chain { listener } = own.is else { return None };
        let (pool, listener) = (&self.pools[own.pool.0], &self.listeners[listener]);
        Some(Warning {
            subject: format!("pool {}, backend {}", pool.name, pool.backends[own.backend].name),
            found: format!(
                "it is this process's own listener {}: each of its connections counts twice",
                listener.name
            ),
            cure:
                "keep it if one listener should lead to another; otherwise write the address of the intended \
                   server"
                    .to_owned(),
        })
    }
}

/// A listener that believes every peer.
fn proxies_of_any(listener: &Listener) -> Option<Warning> {
    let proxy_protocol = listener.proxy_protocol.as_ref()?;
    (proxy_protocol.from == Proxies::Any).then(|| Warning {
        subject: format!("listener {}", listener.name),
        found: "`proxy_protocol` has `from: any`: every client that reaches it may claim any address".to_owned(),
        cure: "write the addresses of the proxies, such as `from: [\"10.0.0.0/8\"]`, unless nothing else can reach \
               it"
            .to_owned(),
    })
}

/// A list that no listener names or that denies nothing, and rules that never decide.
fn access_list(list: &AccessList, is_used: bool) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |found: String, cure: String| {
        warnings.push(Warning { subject: format!("access list {}", list.name), found, cure });
    };
    if !is_used {
        let cure = format!("add `access: {}` to a listener", list.name);
        warn("no listener names it: it decides about nothing".to_owned(), cure);
    }
    let denies = list.otherwise == Action::Deny || list.rules.iter().any(|rule| rule.action == Action::Deny);
    if !denies {
        let cure = "write `otherwise: deny` if only these may connect".to_owned();
        warn(
            "every address may connect: no rule denies, and what no rule matches is allowed".to_owned(),
            cure,
        );
    }
    let deciding = list.ranges.deciding(list.rules.len());
    for (index, rule) in list.rules.iter().enumerate() {
        if !deciding[index] && rule.prefixes.number() > 0 {
            let found = format!("rule {} ({rule}) never decides: earlier rules match all of it", index + 1);
            warn(found, "move it before them, or remove it".to_owned());
        }
    }
    warnings
}

/// `tcp` probes of a server that logs or penalizes clients that close without a request.
fn probes_by_connect(pool: &Pool) -> impl Iterator<Item = Warning> {
    let probe = pool.probe.as_ref().filter(|probe| probe.kind == Kind::Tcp);
    let ports: BTreeSet<u16> = probe.map_or_else(BTreeSet::new, |probe| {
        pool.backends.iter().map(|backend| probe.port.unwrap_or_else(|| backend.address.port())).collect()
    });
    ports.into_iter().filter_map(|port| {
        let (_, server, harm, cure) = TALKATIVE.iter().find(|(usual, ..)| *usual == port)?;
        Some(Warning {
            subject: format!("pool {}", pool.name),
            found: format!("`tcp` probes of port {port}, which is usually {server}: {harm}"),
            cure: format!("use its own protocol: {cure}"),
        })
    })
}

/// By the usual port of a server: its name, the effect of a `tcp` probe on it, and a better probe.
const TALKATIVE: &[(u16, &str, &str, &str)] = &[
    (
        22,
        "SSH",
        "they do not detect that it hangs, and it may penalize a host for clients that do not log in",
        "`probe: { exchange: { expect: 'SSH-' } }`, with this host in its `PerSourcePenaltyExemptList`",
    ),
    (
        25,
        "SMTP",
        "they do not detect that it hangs, and it logs each of them",
        "`probe: { exchange: { expect: '220 ', goodbye: 'QUIT\\r\\n' } }`",
    ),
    (
        3306,
        "MySQL or MariaDB",
        "they see only its greeting, and it logs a rejected login for each of them",
        "`probe: { mysql: { user: rondel } }`, which also reports the role",
    ),
    (
        5432,
        "PostgreSQL",
        "they do not detect that it is starting, shutting down or hanging, and it may log each of them",
        "`probe: { postgres: { user: rondel } }`, which also reports the role",
    ),
    (
        6379,
        "Redis or Valkey",
        "they do not detect that it is loading its data or hangs",
        "`probe: { redis: {} }`, which also reports the role",
    ),
];

#[cfg(test)]
mod tests {
    use super::{Config, TALKATIVE};

    /// The warnings of a pool with this probe and backends at these ports.
    fn warned(probe: &str, ports: &[u16]) -> Vec<String> {
        let backends: Vec<_> =
            ports.iter().map(|port| format!("{{ address: \"10.0.0.1:{port}\" }}")).collect();
        let text = format!(
            "listeners: [{{ address: \"127.0.0.1:80\", pool: db }}]\n\
             pools: [{{ name: db, probe: {probe}, backends: [{}] }}]\n",
            backends.join(", ")
        );
        let config = Config::parse("rondel.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        config.warnings(|ip| ip.is_loopback()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tcp_probes_of_a_server_that_logs_them_cause_a_warning_with_its_cure() {
        for (port, cure) in [(22, "SSH-"), (25, "220 "), (3306, "mysql"), (5432, "postgres"), (6379, "redis")]
        {
            for warned in
                [warned("{ tcp: {} }", &[port]), warned(&format!("{{ tcp: {{}}, port: {port} }}"), &[80])]
            {
                let [warning] = &warned[..] else { panic!("{warned:?}") };
                assert!(warning.starts_with("pool db: ") && warning.contains(cure), "{warning}");
                assert!(warning.contains(&port.to_string()), "{warning}");
            }
        }
        assert_eq!(warned("{ tcp: {} }", &[3306, 80, 5432]).len(), 2, "one for each kind of server");
    }

    #[test]
    fn a_listener_that_leads_to_another_causes_a_warning_if_the_host_holds_its_address() {
        let text = "listeners: [{ name: one, address: ':80', pool: p }, { name: two, address: ':81', pool: q }]\n\
                    pools: [{ name: p, backends: ['192.0.2.1:81'] }, { name: q, backends: ['10.0.0.1:80'] }]\n";
        let config = Config::parse("rondel.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.warnings(|ip| ip.is_loopback()), []);
        let warnings = config.warnings(|ip| ip.to_string() == "192.0.2.1");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].to_string().starts_with(
            "pool p, backend 192.0.2.1:81: it is this process's own listener two: each of its connections counts twice"
        ));
    }

    #[test]
    fn other_probes_cause_no_warning() {
        assert_eq!(warned("{ tcp: {} }", &[80, 443]), Vec::<String>::new());
        assert_eq!(warned("{ tcp: {}, port: 9200 }", &[3306]), Vec::<String>::new());
        assert_eq!(warned("null", &[3306]), Vec::<String>::new());
        assert_eq!(warned("{ mysql: { user: rondel } }", &[3306]), Vec::<String>::new());
    }

    #[test]
    fn the_cure_of_a_warning_is_a_valid_probe() {
        for (port, .., cure) in TALKATIVE {
            let probe = cure.split('`').nth(1).unwrap().strip_prefix("probe: ").unwrap();
            assert_eq!(warned(probe, &[*port]), Vec::<String>::new(), "{cure}");
        }
    }
}
