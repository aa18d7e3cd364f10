//! Routes that can never match, because one before them takes all that they would.

use std::collections::HashMap;

use crate::config::{Config, Listener};
use crate::probe::Kind;
use crate::route::{Route, ServerName, Silent, Takes};
use crate::warned::Warning;

/// The warnings about the routes of a listener.
pub(crate) fn of_routes(config: &Config, listener: &Listener) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut before = Before::default();
    for route in &listener.routing.routes {
        let Takes::Hello { names, protocols } = &route.takes else { continue };
        let names: Vec<_> = if names.is_empty() { vec![None] } else { names.iter().map(Some).collect() };
        for name in &names {
            if let Some(first) = before.takes(*name, protocols) {
                warnings.push(never(listener, route, *name, first));
            }
        }
        for name in names {
            before.by_name.entry(name).or_default().push((&route.name, protocols));
        }
    }
    warnings.extend(speaks_first(config, listener));
    warnings
}

/// The routes before one, by name; none is any.
#[derive(Default)]
struct Before<'a> {
    by_name: HashMap<Option<&'a ServerName>, Vec<(&'a str, &'a [String])>>,
}

impl<'a> Before<'a> {
    /// The first route that takes all that has this name and offers one of these protocols.
    fn takes(&self, name: Option<&ServerName>, protocols: &[String]) -> Option<&'a str> {
        let parent = match name {
            Some(ServerName::Exact(name)) => name.split_once('.').map(|(_, parent)| parent.to_owned()),
            Some(ServerName::Wildcard(_)) | None => None,
        };
        let parent = parent.map(ServerName::Wildcard);
        let names = [name, parent.as_ref(), None];
        let routes = names.iter().filter_map(|name| self.by_name.get(name)).flatten();
        let mut covering = routes.filter(|(_, of_route)| {
            let all_of_ours = || protocols.iter().all(|protocol| of_route.contains(protocol));
            of_route.is_empty() || (!protocols.is_empty() && all_of_ours())
        });
        covering.next().map(|(name, _)| *name)
    }
}

fn never(listener: &Listener, route: &Route, name: Option<&ServerName>, first: &str) -> Warning {
    let what = name.map_or_else(|| "it".to_owned(), |name| format!("`{name}`"));
    Warning {
        subject: format!("listener {}, route {}", listener.name, route.name),
        found: format!("{what} can never match: the route {first} before it takes the same connections"),
        cure: "move it before that route, or remove it".to_owned(),
    }
}

/// A pool whose servers speak first, behind a listener that waits for the client to.
fn speaks_first(config: &Config, listener: &Listener) -> Option<Warning> {
    let routing = &listener.routing;
    if routing.routes.is_empty() || routing.silent == Silent::Pool {
        return None;
    }
    let not_tls = routing.routes.iter().filter(|route| route.takes == Takes::NotTls).map(|route| route.pool);
    let mut pools = not_tls.chain([listener.pool]).map(|pool| &config.pools[pool.0]);
    let pool = pools.find(|pool| match pool.probe.as_ref().map(|probe| &probe.kind) {
        Some(Kind::Mysql(_)) => true,
        Some(Kind::Exchange(exchange)) => exchange.send.is_empty(),
        _ => pool.backends.iter().any(|backend| SPEAK_FIRST.contains(&backend.address.port())),
    })?;
    Some(Warning {
        subject: format!("listener {}", listener.name),
        found: format!(
            "the servers of pool {} speak first, and with `routes` a client that waits for them is reset after {}",
            pool.name,
            crate::duration::show(listener.opening.timeout)
        ),
        cure: format!(
            "write `silent: pool`, with `pool: {}`: such clients get there after that time",
            pool.name
        ),
    })
}

/// Usual ports of servers that speak first and whose clients wait for it: FTP, SMTP, POP3, IMAP, MySQL.
const SPEAK_FIRST: &[u16] = &[21, 25, 110, 143, 587, 3306];

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// The warnings about routes, each `ROUTE NAME` or `speaks POOL`.
    #[track_caller]
    fn check(routes: &str, expected: &[&str]) {
        check_listener(&format!("pool: web, routes: [{routes}]"), expected);
    }

    #[track_caller]
    fn check_listener(keys: &str, expected: &[&str]) {
        let text = format!(
            "listeners: [{{ name: edge, address: ':443', {keys} }}]\n\
             pools:\n- {{ name: web, backends: ['10.0.0.1:443'] }}\n- {{ name: ssh, backends: ['10.0.0.1:22'] }}\n\
             - {{ name: db, probe: {{ mysql: {{ user: a }} }}, backends: ['10.0.0.1:3307'] }}\n\
             - {{ name: mail, probe: {{ exchange: {{ expect: '220 ' }} }}, backends: ['10.0.0.1:2500'] }}\n"
        );
        let config = Config::parse("rondel.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let warnings = config.warnings(|_| false);
        let short = warnings.iter().map(|warning| match warning.subject.split_once(", route ") {
            Some((_, route)) => format!("{route} {}", warning.found.split(' ').next().unwrap()),
            None => format!("speaks {}", warning.found.split(' ').nth(4).unwrap()),
        });
        assert_eq!(short.collect::<Vec<_>>(), expected, "{warnings:?}");
    }

    #[test]
    fn a_route_that_one_before_it_covers_can_never_match() {
        check("{ sni: [a.x, b.x], pool: web }, { sni: [c.x], pool: web }", &[]);
        check("{ sni: ['*.x'], pool: web }, { sni: [a.x, x, a.b.x], pool: web }", &["a.x `a.x`"]);
        check("{ sni: [a.x], pool: web }, { sni: ['*.x'], pool: web }", &[]);
        check("{ sni: [a.x], pool: web }, { sni: [a.x, b.x], alpn: [h2], pool: web }", &["a.x/h2 `a.x`"]);
        check("{ sni: [a.x], alpn: [h2], pool: web }, { sni: [a.x], pool: web }", &[]);
        check("{ alpn: [h2], pool: web }, { sni: [a.x], pool: web }", &[]);
        check("{ alpn: [h2, h3], pool: web }, { sni: [a.x], alpn: [h2], pool: web }", &["a.x/h2 `a.x`"]);
        check("{ alpn: [h2], pool: web }, { sni: [a.x], alpn: [h2, h3], pool: web }", &[]);
        check("{ alpn: [h2, h3], pool: web }, { name: n, alpn: [h3], pool: web }", &["n it"]);
        check("{ tls: none, pool: web }, { sni: [a.x], pool: web }", &[]);
    }

    #[test]
    fn servers_that_speak_first_need_silent_clients() {
        check("{ sni: [a], pool: db }", &[]);
        check("{ sni: [a], pool: web }, { tls: none, pool: ssh }", &[]);
        check("{ tls: none, pool: db }", &["speaks db"]);
        for pool in ["db", "mail"] {
            let routes = format!("pool: {pool}, routes: [{{ sni: [a], pool: web }}]");
            check_listener(&routes, &[&format!("speaks {pool}")]);
            check_listener(&format!("{routes}, silent: pool"), &[]);
            check_listener(&format!("pool: {pool}"), &[]);
        }
    }
}
