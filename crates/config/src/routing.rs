//! The keys of a listener by which its connections are routed, as written: `routes`, `unknown` and `silent`.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::IpAddr;

use crate::defaults;
use crate::fields::{Fields, Value};
use crate::limits;
use crate::problem::{Finding, Problems, Quoted, Wrong};
use crate::route::{
    PoolIndex, Route, Routing, SILENT_ROUTE, ServerName, Silent, Takes, UNKNOWN_ROUTE, Unknown,
};
use crate::sections::{LISTENER, POOL, ROUTE};
use crate::span::{At, Span};

/// The routes of a listener, whose pools are not resolved yet.
pub(crate) struct WrittenRouting {
    pub(crate) routes: Vec<WrittenRoute>,
    unknown: Unknown,
    silent: Silent,
}

/// A route whose pool is not resolved yet.
pub(crate) struct WrittenRoute {
    name: At<String>,
    takes: Takes,
    pub(crate) pool: At<String>,
}

impl WrittenRouting {
    /// The routes, with their pools resolved.
    pub(crate) fn bind(self, pools: Vec<PoolIndex>) -> Routing {
        let route = |(written, pool): (WrittenRoute, _)| Route {
            name: written.name.value,
            takes: written.takes,
            pool,
        };
        let routes = self.routes.into_iter().zip(pools).map(route).collect();
        Routing { routes, unknown: self.unknown, silent: self.silent }
    }
}

pub(crate) fn routing(fields: &Fields<'_>, problems: &mut Problems) -> WrittenRouting {
    let written = fields.get("routes").filter(|value| !value.is_off());
    let routes = written.map_or_else(Vec::new, |value| routes(value, problems));
    let unknown = fields
        .get("unknown")
        .and_then(|value| value.choice("treatment of unknown names", Unknown::ALL, problems));
    let silent = fields
        .get("silent")
        .and_then(|value| value.choice("treatment of silent clients", Silent::ALL, problems));
    let (unknown, silent) = (unknown.unwrap_or(defaults::UNKNOWN), silent.unwrap_or(defaults::SILENT));
    if written.is_none() {
        let mut needs_routes = |key: &str, value: &dyn Display| {
            let Some(at) = fields.get(key) else { return };
            let finding = Finding::at(at.span(), format!("`{key}: {value}` has no meaning without routes"));
            problems.push(finding.help("add `routes`, or remove it"));
        };
        if unknown != defaults::UNKNOWN {
            needs_routes("unknown", &unknown);
        }
        if silent != defaults::SILENT {
            needs_routes("silent", &silent);
        }
    }
    WrittenRouting { routes, unknown, silent }
}

fn routes(value: Value<'_>, problems: &mut Problems) -> Vec<WrittenRoute> {
    let Some(items) = value.items("routes", Some(&ROUTE), problems) else { return Vec::new() };
    if items.len() == 0 || items.len() > limits::ROUTES_MAX {
        let help = format!("write 1 to {} of them, or remove the key", limits::ROUTES_MAX);
        problems.push(Finding::at(value.span(), format!("{} routes", items.len())).help(help));
        return Vec::new();
    }
    let mut routes = Vec::new();
    let mut known = Known::default();
    for value in items {
        if problems.is_full() {
            break;
        }
        if let Some(fields) = value.fields(&ROUTE, &[&LISTENER, &POOL], problems) {
            routes.extend(route(&fields, &mut known, problems));
        }
    }
    routes
}

/// What the routes so far have, and where.
#[derive(Default)]
struct Known {
    names: HashMap<String, Span>,
    /// What is matched: a name or none, with protocols in the order of the alphabet.
    matched: HashMap<(Option<ServerName>, Vec<String>), Span>,
    not_tls: Option<Span>,
}

fn route(fields: &Fields<'_>, known: &mut Known, problems: &mut Problems) -> Option<WrittenRoute> {
    let pool = fields.require("pool", "pool: web", problems).and_then(|value| value.name(problems));
    let names = fields.get("sni").map(|value| {
        texts(value, ("names", "sni: [\"api.example.com\"]"), limits::ROUTE_NAMES_MAX, server_name, problems)
    });
    let protocols = fields.get("alpn").map(|value| {
        texts(value, ("protocols", "alpn: [h2]"), limits::ROUTE_PROTOCOLS_MAX, protocol, problems)
    });
    let tls = fields.get("tls");
    let is_none = tls.and_then(|value| without_tls(value, problems));
    if names.is_none() && protocols.is_none() && tls.is_none() {
        let finding = Finding::at(fields.span(), "a route without anything that it takes");
        problems.push(
            finding
                .help("add `sni`, `alpn` or `tls: none`; what no route takes goes to the listener's `pool`"),
        );
        return None;
    }
    if let (Some(tls), Some(other)) = (tls, fields.get("sni").or_else(|| fields.get("alpn"))) {
        let finding = Finding::at(tls.span(), "what is not TLS has neither a name nor protocols");
        problems.push(finding.see(other.span(), "the other key").help("write two routes"));
        return None;
    }
    let takes = match tls {
        Some(value) => {
            is_none?;
            if let Some(first) = known.not_tls.replace(value.span()) {
                problems.push(twice("what is not TLS is matched twice".to_owned(), value.span(), first));
            }
            Takes::NotTls
        }
        None => hello(names.unwrap_or_default(), protocols.unwrap_or_default(), known, problems)?,
    };
    let name = name(fields, &takes, known, problems)?;
    Some(WrittenRoute { name, takes, pool: pool? })
}

/// Reads a list of distinct texts, of which each has its own grammar; `what` names them, and an example shows them.
fn texts<T: PartialEq + Display>(
    value: Value<'_>,
    (what, example): (&str, &str),
    most: usize,
    read: fn(&str) -> Result<T, Wrong>,
    problems: &mut Problems,
) -> Vec<At<T>> {
    if value.scalar().is_some() {
        let finding = value.mismatch(&format!("a list of {what}"));
        problems.push(finding.help(format!("write it as `{example}`")));
        return Vec::new();
    }
    let Some(items) = value.items(what, None, problems) else { return Vec::new() };
    if items.len() == 0 || items.len() > most {
        let help = format!("write 1 to {most} of them, or remove the key");
        problems.push(Finding::at(value.span(), format!("{} {what}", items.len())).help(help));
        return Vec::new();
    }
    items
        .map_while(|value| (!problems.is_full()).then(|| value.parse("a text", read, problems)))
        .flatten()
        .collect()
}

/// What a route takes that has names, protocols or both; none if a list is empty, which was reported.
fn hello(
    names: Vec<At<ServerName>>,
    protocols: Vec<At<String>>,
    known: &mut Known,
    problems: &mut Problems,
) -> Option<Takes> {
    let span = names.first().map(|name| name.span).or_else(|| Some(protocols.first()?.span))?;
    let mut offered: Vec<_> = protocols.iter().map(|protocol| protocol.value.clone()).collect();
    offered.sort_unstable();
    let matched = names.iter().map(|name| (Some(name.value.clone()), name.span));
    let matched: Vec<_> = if names.is_empty() { vec![(None, span)] } else { matched.collect() };
    for (name, span) in matched {
        let message = match &name {
            Some(name) => format!("the name {} is matched twice", Quoted(&name.to_string())),
            None => format!("the protocols {} are matched twice", Quoted(&offered.join(" "))),
        };
        if let Some(first) = known.matched.insert((name, offered.clone()), span) {
            problems.push(twice(message, span, first));
        }
    }
    let names = names.into_iter().map(|name| name.value).collect();
    Some(Takes::Hello { names, protocols: protocols.into_iter().map(|protocol| protocol.value).collect() })
}

fn twice(message: String, span: Span, first: Span) -> Finding {
    Finding::at(span, message)
        .see(first, "the other one")
        .help("remove one of the two: the first one would take all")
}

/// The name of a route; without one it is what the route takes first.
fn name(
    fields: &Fields<'_>,
    takes: &Takes,
    known: &mut Known,
    problems: &mut Problems,
) -> Option<At<String>> {
    let written = fields.get("name");
    let name = match written {
        Some(value) => value.name(problems)?,
        None => At { value: name_of(takes), span: fields.span() },
    };
    if name.value.len() > limits::NAME_CHARS_MAX {
        let message = format!("a route is named by what it takes, and {} is long", Quoted(&name.value));
        let help = format!("add a `name` of at most {} characters", limits::NAME_CHARS_MAX);
        problems.push(Finding::at(name.span, message).help(help));
    } else if [UNKNOWN_ROUTE, SILENT_ROUTE].contains(&name.value.as_str()) {
        let message = format!("{} is what connections count as that no route takes", Quoted(&name.value));
        problems.push(Finding::at(name.span, message).help("give the route another `name`"));
    } else if let Some(first) = known.names.insert(name.value.clone(), name.span) {
        let message = format!("two routes of this listener have the name {}", Quoted(&name.value));
        let finding = Finding::at(name.span, message).see(first, "the other one");
        problems.push(finding.help("give each a `name` of its own; logs and counters tell them apart by it"));
    }
    Some(name)
}

fn name_of(takes: &Takes) -> String {
    match takes {
        Takes::NotTls => NOT_TLS.to_owned(),
        Takes::Hello { names, protocols } => {
            let name = names.first().map(ToString::to_string);
            name.into_iter().chain(protocols.first().cloned()).collect::<Vec<_>>().join("/")
        }
    }
}

/// The name of a route for what is not TLS.
const NOT_TLS: &str = "no-tls";

/// Reads `none`, the one word for a route that takes what is not TLS.
fn without_tls(value: Value<'_>, problems: &mut Problems) -> Option<()> {
    if value.scalar() == Some("none") {
        return Some(());
    }
    let finding = Finding::at(value.span(), "`tls` of a route is `none`, for what is not TLS");
    problems
        .push(finding.help("remove it to pass TLS to the pool as it is; rondel does not terminate TLS yet"));
    None
}

/// Reads a name of a server, exact or with a wildcard.
fn server_name(text: &str) -> Result<ServerName, Wrong> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Err(Wrong::new(format!("{} is an address, and clients send none as a name", Quoted(text)))
            .help("remove it: clients without a name are those of `unknown`"));
    }
    if name == "*" {
        return Err(
            Wrong::new("`*` is no name").help(format!("{WILDCARD}; all other names are those of `unknown`"))
        );
    }
    let (wildcard, labels) = match name.strip_prefix("*.") {
        Some(parent) => (true, parent),
        None => (false, name.as_str()),
    };
    if labels.contains('*') {
        return Err(
            Wrong::new(format!("{} has a wildcard that matches nothing", Quoted(text))).help(WILDCARD)
        );
    }
    if !text.is_ascii() {
        return Err(Wrong::new(format!("{} is not as clients send it", Quoted(text)))
            .help("write the name in its ASCII form, which begins with `xn--`"));
    }
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((host, _)) = labels.split_once(':').filter(|(host, port)| are_labels(host) && is_port(port)) {
        return Err(Wrong::new(format!("{} has a port", Quoted(text))).help(format!("write `{host}`")));
    }
    if !are_labels(labels) {
        return Err(Wrong::new(format!("{} is no name of a server", Quoted(text)))
            .help("write a name such as `api.example.com`: labels of 1 to 63 letters, digits, `-` and `_`"));
    }
    Ok(if wildcard { ServerName::Wildcard(labels.to_owned()) } else { ServerName::Exact(name) })
}

const WILDCARD: &str = "a wildcard is one label at the left, such as `\"*.example.com\"`";

fn are_labels(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_of = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(is_of)
    };
    name.len() <= limits::SERVER_NAME_CHARS_MAX && name.split('.').all(is_label)
}

/// Reads a protocol as clients offer it by ALPN.
fn protocol(text: &str) -> Result<String, Wrong> {
    if ["http2", "http/2", "http/2.0"].contains(&text.to_ascii_lowercase().as_str()) {
        return Err(Wrong::new(format!("{} is not what clients offer", Quoted(text))).help("write `h2`"));
    }
    let is_protocol = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_protocol {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{} is no protocol", Quoted(text)))
        .help("write it as clients offer it by ALPN: `h2`, `http/1.1`, `acme-tls/1`, `postgresql`"))
}
