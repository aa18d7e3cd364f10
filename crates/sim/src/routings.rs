//! The routes of listeners in a run.

use config::{PoolIndex, Route, Routing, ServerName, Silent, Takes, Unknown};

use crate::random::Random;

/// Routes to the two pools of a run.
pub(crate) fn routing(random: &mut Random) -> Routing {
    let exact = |name: &str| ServerName::Exact(name.to_owned());
    let route = |(number, takes): (usize, Takes), random: &mut Random| Route {
        name: format!("route {number}"),
        takes,
        pool: PoolIndex(random.index(2)),
    };
    let takes = [
        Takes::Hello { names: vec![exact("a.x"), exact("b.x")], protocols: vec!["h2".to_owned()] },
        Takes::Hello { names: vec![exact("a.x")], protocols: Vec::new() },
        Takes::Hello { names: vec![ServerName::Wildcard("x".to_owned())], protocols: Vec::new() },
        Takes::Hello { names: Vec::new(), protocols: vec!["p".to_owned()] },
        Takes::NotTls,
    ];
    let mut routes: Vec<_> = takes.into_iter().enumerate().map(|takes| route(takes, random)).collect();
    routes.retain(|_| random.chance(800));
    if routes.is_empty() {
        // Every listener has routes, so that every client is asked.
        routes.push(route((0, Takes::NotTls), random));
    }
    Routing {
        routes,
        unknown: random.pick(&[Unknown::Pool, Unknown::Refuse]),
        silent: random.pick(&[Silent::Refuse, Silent::Pool]),
    }
}

/// No routes: nothing that clients send is read.
pub(crate) fn none() -> Routing {
    Routing { routes: Vec::new(), unknown: Unknown::Pool, silent: Silent::Refuse }
}
