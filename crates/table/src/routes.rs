//! The routes of a listener, compiled so that a name is looked up once, however many routes there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use config::{Routing, SILENT_ROUTE, ServerName, Silent, Takes, UNKNOWN_ROUTE, Unknown};

use crate::counter::{Counter, PerWorker};
use crate::pool::Pool;

/// Where connections of a listener go, by what their clients send first.
#[derive(Debug)]
pub struct Routes {
    /// In the order of the config; the first that matches takes a connection.
    of_hellos: Vec<HelloRoute>,
    /// Routes with this name, by their position, in order.
    by_name: HashMap<Box<str>, Vec<usize>>,
    /// Routes with `*.` before this name.
    by_parent: HashMap<Box<str>, Vec<usize>>,
    /// Routes for which the name does not matter.
    of_any_name: Vec<usize>,
    not_tls: Option<Arc<Route>>,
    unknown: Option<Arc<Route>>,
    silent: Option<Arc<Route>>,
}

/// A route, or what takes connections that no route does.
#[derive(Debug)]
pub struct Route {
    /// Its name in logs and counters.
    pub name: String,
    /// Where its connections go.
    pub pool: Arc<Pool>,
    /// How many connections it took; outlives swaps.
    pub taken: Arc<PerWorker<Counter>>,
}

/// A route for TLS.
#[derive(Debug)]
struct HelloRoute {
    route: Arc<Route>,
    /// If it is empty, protocols do not matter.
    protocols: Box<[Box<[u8]>]>,
}

impl Routes {
    /// The routes that `routing` asks for, with pools of `pools`; none if it has no route. `own` is the pool of the
    /// listener, whose routes were `before`.
    pub(crate) fn build(
        routing: &Routing,
        own: &Arc<Pool>,
        pools: &[Arc<Pool>],
        workers: usize,
        before: Option<&Self>,
    ) -> Option<Self> {
        if routing.routes.is_empty() {
            return None;
        }
        let route = |name: &str, pool: &Arc<Pool>| {
            let known = before.and_then(|before| before.iter().find(|route| route.name == name));
            let taken =
                known.map_or_else(|| Arc::new(PerWorker::new(workers)), |route| Arc::clone(&route.taken));
            Arc::new(Route { name: name.to_owned(), pool: Arc::clone(pool), taken })
        };
        let mut routes = Self {
            of_hellos: Vec::new(),
            by_name: HashMap::new(),
            by_parent: HashMap::new(),
            of_any_name: Vec::new(),
            not_tls: None,
            unknown: (routing.unknown == Unknown::Pool).then(|| route(UNKNOWN_ROUTE, own)),
            silent: (routing.silent == Silent::Pool).then(|| route(SILENT_ROUTE, own)),
        };
        for settings in &routing.routes {
            routes.add(route(&settings.name, &pools[settings.pool.0]), &settings.takes);
        }
        Some(routes)
    }

    fn add(&mut self, route: Arc<Route>, takes: &Takes) {
        let Takes::Hello { names, protocols } = takes else {
            self.not_tls = Some(route);
            return;
        };
        let number = self.of_hellos.len();
        for name in names {
            let (names, name) = match name {
                ServerName::Exact(name) => (&mut self.by_name, name),
                ServerName::Wildcard(parent) => (&mut self.by_parent, parent),
            };
            names.entry(name.as_str().into()).or_default().push(number);
        }
        if names.is_empty() {
            self.of_any_name.push(number);
        }
        let protocols = protocols.iter().map(|protocol| protocol.as_bytes().into()).collect();
        self.of_hellos.push(HelloRoute { route, protocols });
    }

    /// Each route for TLS in the order of the config, that for what is not TLS, and what takes what no route does.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let of_hellos = self.of_hellos.iter().map(|route| &route.route);
        of_hellos.chain(&self.not_tls).chain(&self.unknown).chain(&self.silent)
    }

    /// The route of a TLS client that asks for this name, in lower case, and offers the protocols for which `offers`
    /// returns true. None if it is to be refused.
    pub fn of_hello(&self, name: Option<&str>, offers: impl Fn(&[u8]) -> bool) -> Option<&Arc<Route>> {
        // An address is no name, and has no parent.
        let name = name.filter(|name| name.parse::<IpAddr>().is_err());
        let parent = name.and_then(|name| name.split_once('.')).map(|(_, parent)| parent);
        let exact = name.and_then(|name| self.by_name.get(name));
        let wildcard = parent.and_then(|parent| self.by_parent.get(parent));
        let matches = |number: &&usize| {
            let protocols = &self.of_hellos[**number].protocols;
            protocols.is_empty() || protocols.iter().any(|protocol| offers(protocol))
        };
        let lists = [exact, wildcard, Some(&self.of_any_name)];
        let first = lists.into_iter().flatten().filter_map(|numbers| numbers.iter().find(matches)).min();
        first.map(|number| &self.of_hellos[*number].route).or(self.unknown.as_ref())
    }

    /// The route of a client that does not begin as TLS does. None if it is to be refused.
    pub fn not_tls(&self) -> Option<&Arc<Route>> {
        self.not_tls.as_ref()
    }

    /// The route of a client that sends nothing. None if it is to be refused.
    pub fn silent(&self) -> Option<&Arc<Route>> {
        self.silent.as_ref()
    }
}
