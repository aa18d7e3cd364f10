//! Which pool clients get, by what they ask for.

use std::sync::Arc;

use config::Config;
use driver::{ListenGroup, Owner};
use proptest::prelude::*;
use table::{Route, Routes, Table};

/// A table with a listener that has these routes and these other keys, and pools `web`, `api` and `other`.
fn table(routes: &str, keys: &str, previous: Option<&Table>) -> Table {
    let pools = ["web", "api", "other"].map(|name| format!("{{ name: {name}, backends: ['10.0.0.1:443'] }}"));
    let text = format!(
        "listeners: [{{ address: ':443', pool: web, routes: [{routes}]{keys} }}]\npools: [{}]\n",
        pools.join(", ")
    );
    let config = Config::parse("rondel.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let sockets = previous.map_or_else(
        || Arc::new(ListenGroup::new(Vec::new(), Owner::Process)),
        |table| Arc::clone(&table.listeners[0].endpoints[0].sockets),
    );
    Table::build(&config, vec![sockets], 2, None, previous)
}

fn routes(table: &Table) -> &Routes {
    table.listeners[0].routes.as_ref().unwrap()
}

/// `ROUTE > POOL`, or `refused`.
fn said(route: Option<&Arc<Route>>) -> String {
    route.map_or_else(|| "refused".to_owned(), |route| format!("{} > {}", route.name, route.pool.name))
}

/// What a client says: a name or `-`, and protocols.
fn of_hello(routes: &Routes, hello: &str) -> String {
    let mut words = hello.split(' ');
    let name = words.next().filter(|name| *name != "-");
    let protocols: Vec<&str> = words.collect();
    said(routes.of_hello(name, |protocol| protocols.iter().any(|offered| offered.as_bytes() == protocol)))
}

#[track_caller]
fn check(given: &str, hellos: &[(&str, &str)]) {
    let table = table(given, "", None);
    for (hello, expected) in hellos {
        assert_eq!(of_hello(routes(&table), hello), *expected, "{hello}");
    }
}

#[test]
fn a_name_is_matched_whole() {
    check(
        "{ sni: [api.example.com, b.example.com], pool: api }",
        &[
            ("api.example.com", "api.example.com > api"),
            ("b.example.com h2", "api.example.com > api"),
            ("x.api.example.com", "unknown > web"),
            ("example.com", "unknown > web"),
            ("api.example.com.evil", "unknown > web"),
            ("-", "unknown > web"),
            ("- h2", "unknown > web"),
        ],
    );
}

#[test]
fn a_wildcard_is_exactly_one_label() {
    check(
        "{ sni: ['*.example.com'], pool: api }, { sni: ['*.2.1'], pool: other }",
        &[
            ("a.example.com", "*.example.com > api"),
            ("example.com", "unknown > web"),
            ("a.b.example.com", "unknown > web"),
            (".example.com", "*.example.com > api"),
            ("aexample.com", "unknown > web"),
            ("a.2.1", "*.2.1 > other"),
            // An address is no name.
            ("192.0.2.1", "unknown > web"),
        ],
    );
    check("{ sni: ['*.0.2.1'], pool: api }", &[("192.0.2.1", "unknown > web"), ("x.0.2.1", "*.0.2.1 > api")]);
}

#[test]
fn the_first_route_that_matches_takes_a_connection() {
    check(
        "{ name: acme, alpn: [acme-tls/1], pool: other }, { sni: [a.example], pool: api }, \
         { sni: ['*.example'], pool: web }",
        &[
            ("a.example acme-tls/1", "acme > other"),
            ("- acme-tls/1", "acme > other"),
            ("a.example h2 acme-tls/1", "acme > other"),
            ("a.example", "a.example > api"),
            ("b.example", "*.example > web"),
        ],
    );
    // Another order.
    check(
        "{ sni: ['*.example'], pool: web }, { sni: [a.example], pool: api }, { alpn: [h2], pool: other }",
        &[("a.example h2", "*.example > web"), ("a.x h2", "h2 > other")],
    );
}

#[test]
fn a_route_with_names_and_protocols_needs_one_of_both() {
    check(
        "{ sni: [a, b], alpn: [h2, http/1.1], pool: api }, { sni: [a], pool: other }",
        &[
            ("a h2", "a/h2 > api"),
            ("b http/1.1", "a/h2 > api"),
            ("a h3", "a > other"),
            ("a", "a > other"),
            ("b", "unknown > web"),
            ("- h2", "unknown > web"),
            ("a H2", "a > other"),
        ],
    );
}

#[test]
fn what_no_route_takes_goes_where_the_listener_says() {
    let given = "{ sni: [a], pool: api }";
    for (keys, unknown, silent) in [
        ("", "unknown > web", "refused"),
        (", unknown: refuse", "refused", "refused"),
        (", unknown: refuse, silent: pool", "refused", "silent > web"),
        (", silent: pool", "unknown > web", "silent > web"),
    ] {
        let table = table(given, keys, None);
        let routes = routes(&table);
        assert_eq!(of_hello(routes, "x"), unknown, "{keys}");
        assert_eq!(of_hello(routes, "-"), unknown, "{keys}");
        assert_eq!(said(routes.silent()), silent, "{keys}");
        assert_eq!(said(routes.not_tls()), "refused", "{keys}");
    }
    let table = table("{ tls: none, pool: other }", "", None);
    assert_eq!(said(routes(&table).not_tls()), "no-tls > other");
}

#[test]
fn counts_outlive_a_reload_by_the_name_of_the_route() {
    let before = table("{ sni: [a], pool: api }, { tls: none, pool: web }", ", silent: pool", None);
    let after = table(
        "{ name: new, sni: [b], pool: api }, { name: a, sni: [c], pool: other }",
        ", silent: pool",
        Some(&before),
    );
    let counters = |table: &Table, name: &str| {
        let route = routes(table).iter().find(|route| route.name == name);
        Arc::clone(&route.unwrap_or_else(|| panic!("no route {name}")).taken)
    };
    for name in ["a", "unknown", "silent"] {
        assert!(Arc::ptr_eq(&counters(&before, name), &counters(&after, name)), "{name}");
    }
    assert!(!Arc::ptr_eq(&counters(&after, "new"), &counters(&after, "a")));
    assert_eq!(
        routes(&after).iter().map(|route| route.name.as_str()).collect::<Vec<_>>(),
        ["new", "a", "unknown", "silent"]
    );
}

#[test]
fn without_routes_nothing_is_compiled() {
    let text =
        "listeners: [{ address: ':443', pool: web }]\npools: [{ name: web, backends: ['10.0.0.1:443'] }]\n";
    let config = Config::parse("rondel.yaml", text.as_bytes()).unwrap();
    let sockets = vec![Arc::new(ListenGroup::new(Vec::new(), Owner::Process))];
    assert!(Table::build(&config, sockets, 2, None, None).listeners[0].routes.is_none());
}

/// A route by its names and protocols, of which each is one of a few.
fn given() -> impl Strategy<Value = (Vec<&'static str>, Vec<&'static str>)> {
    let names = prop::sample::subsequence(vec!["a.x", "b.x", "*.x", "*.b.x", "a.b.x", "x"], 0..3);
    let protocols = prop::sample::subsequence(vec!["h2", "h3", "p"], 0..3);
    (names, protocols)
        .prop_filter("it takes something", |(names, protocols)| names.len() + protocols.len() > 0)
}

proptest! {
    /// One look-up finds what trying each route in turn finds.
    #[test]
    fn the_lookup_finds_the_first_route_that_matches(
        routes_given in prop::collection::vec(given(), 1..6),
        name in prop::sample::select(vec!["-", "a.x", "b.x", "c.x", "a.b.x", "c.b.x", "x", "y"]),
        offered in prop::sample::subsequence(vec!["h2", "h3", "p", "q"], 0..4),
    ) {
        let written = routes_given.iter().enumerate().map(|(number, (names, protocols))| {
            let list = |key: &str, of: &[&str]| match of {
                [] => String::new(),
                of => format!(", {key}: [{}]", of.iter().map(|one| format!("'{one}'")).collect::<Vec<_>>().join(", ")),
            };
            format!("{{ name: r{number}, pool: api{}{} }}", list("sni", names), list("alpn", protocols))
        });
        let text = written.collect::<Vec<_>>().join(", ");
        let mut seen = std::collections::HashSet::new();
        let is_distinct = routes_given.iter().all(|(names, protocols)| {
            let names = if names.is_empty() { vec![""] } else { names.clone() };
            names.iter().all(|name| seen.insert((*name, protocols.clone())))
        });
        prop_assume!(is_distinct);
        let table = table(&text, "", None);
        let matches = |(names, protocols): &(Vec<&str>, Vec<&str>)| {
            let of_name = |of: &&str| match of.strip_prefix("*.") {
                Some(parent) => name.split_once('.').is_some_and(|(_, behind)| behind == parent),
                None => *of == name,
            };
            (names.is_empty() || names.iter().any(of_name))
                && (protocols.is_empty() || protocols.iter().any(|protocol| offered.contains(protocol)))
        };
        let expected = routes_given.iter().position(matches);
        let expected = expected.map_or("unknown > web".to_owned(), |number| format!("r{number} > api"));
        let hello = [&[name][..], &offered].concat().join(" ");
        prop_assert_eq!(of_hello(routes(&table), &hello), expected);
    }
}
