//! The keys by which connections are routed.

use crate::limits;
use crate::reference::key::Absent::{Otherwise, Required, Written};
use crate::reference::key::{Key, NAME, Section, Value, key, words};
use crate::route::{Silent, Unknown};

/// Those of a listener.
pub(super) fn of_listener() -> [Key; 3] {
    [
        key(
            "routes",
            Value::List("list of sections", limits::ROUTES_MAX),
            Otherwise("all connections go to `pool`"),
            "Pools by what clients ask for in their TLS hello, which is read and passed on as it is. The first that \
             matches takes a connection; what none takes goes to `pool`.",
        ),
        key(
            "unknown",
            words(Unknown::ALL),
            Written("pool"),
            "Clients with a name that no route has, and without one: `pool` takes them, `refuse` resets them. Only \
             with `routes`.",
        ),
        key(
            "silent",
            words(Silent::ALL),
            Written("refuse"),
            "Clients that send nothing until `opening.timeout`: `refuse` resets them, `pool` takes them, for servers \
             that speak first. Only with `routes`.",
        ),
    ]
}

pub(super) fn route() -> Section {
    Section {
        path: "listeners[].routes[]",
        about: "A route. It takes connections that have one of its names and one of its protocols, or that are no TLS.",
        keys: vec![
            key(
                "name",
                NAME,
                Otherwise("what it takes first: `api.example.com`, `api.example.com/h2`, `no-tls`"),
                "The name in logs, metrics and commands. Other than `unknown` and `silent`.",
            ),
            key(
                "sni",
                Value::List("list of names", limits::ROUTE_NAMES_MAX),
                Otherwise("the name does not matter"),
                "Names that clients ask for (SNI): `api.example.com`, or `*.example.com` for exactly one label more.",
            ),
            key(
                "alpn",
                Value::List("list of protocols", limits::ROUTE_PROTOCOLS_MAX),
                Otherwise("protocols do not matter"),
                "Protocols that clients offer (ALPN), such as `h2`, `acme-tls/1` or `postgresql`.",
            ),
            key(
                "tls",
                Value::Word(vec!["none".into()]),
                Otherwise("it takes TLS"),
                "`none` takes what does not begin as TLS does, and goes with neither `sni` nor `alpn`.",
            ),
            key("pool", NAME, Required, "The pool that its connections go to."),
        ],
    }
}
