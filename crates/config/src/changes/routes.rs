//! The differences between the routes of a listener. Routes are identified by name.

use std::fmt::Display;

use crate::config::{Config, Listener};
use crate::route::Route;

pub(super) fn parts(
    parts: &mut Vec<String>,
    (previous, before): (&Config, &Listener),
    (next, after): (&Config, &Listener),
) {
    let (before, after) = (&before.routing, &after.routing);
    let pool_of = |config: &Config, route: &Route| config.pools[route.pool.0].name.clone();
    let has = |routes: &[Route], name: &str| routes.iter().any(|route| route.name == name);
    for route in &after.routes {
        let Some(known) = before.routes.iter().find(|known| known.name == route.name) else {
            parts.push(format!("+ route {} -> {}", route.name, pool_of(next, route)));
            continue;
        };
        let of = |what| format!("{what} of {}", route.name);
        setting(parts, &of("match"), &known.takes, &route.takes);
        setting(parts, &of("pool"), &pool_of(previous, known), &pool_of(next, route));
    }
    for route in before.routes.iter().filter(|route| !has(&after.routes, &route.name)) {
        parts.push(format!("- route {}", route.name));
    }
    let stayed = |routes: &[Route], others: &[Route]| {
        routes
            .iter()
            .filter(|route| has(others, &route.name))
            .map(|route| route.name.clone())
            .collect::<Vec<_>>()
    };
    if stayed(&before.routes, &after.routes) != stayed(&after.routes, &before.routes) {
        parts.push("routes in another order".to_owned());
    }
    setting(parts, "unknown", &before.unknown, &after.unknown);
    setting(parts, "silent", &before.silent, &after.silent);
}

/// Adds `name before -> after` if they differ.
fn setting<T: PartialEq + Display>(parts: &mut Vec<String>, name: &str, before: &T, after: &T) {
    if before != after {
        parts.push(format!("{name} {before} -> {after}"));
    }
}
