//! The rows of the pages: pools with their backends, listeners, connections.

use std::cmp::Reverse;
use std::collections::HashMap;

use api::{
    BackendState, BackendStatus, ConnectionId, ConnectionStatus, ListenerStatus, PoolStatus, Problem,
    Severity, Status, Tier,
};
use config::show_addresses;
use ratatui::style::Style;

use crate::text::overrides;
use crate::top::colours::Colours;
use crate::top::columns::{Column, Kind, Row, column};
use crate::top::rates::Rates;
use crate::top::units::{age, size};

/// What a row is about. A selected row stays selected while others come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Pool(String),
    Backend { pool: String, backend: String },
    Listener(String),
    Connection(ConnectionId),
}

pub(super) type Rows = Vec<(Subject, Row)>;

/// The order of rows. It is stable: equal ones keep the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Those with problems first.
    Problems,
    /// The order of the file.
    File,
    /// The most connections first.
    Connections,
    /// The most new connections per second first.
    Rate,
    /// The most failed connects first.
    Failed,
}

impl Sort {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Problems => Self::File,
            Self::File => Self::Connections,
            Self::Connections => Self::Rate,
            Self::Rate => Self::Failed,
            Self::Failed => Self::Problems,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Problems => "problems",
            Self::File => "file",
            Self::Connections => "CONNS",
            Self::Rate => "NEW/s",
            Self::Failed => "FAILED",
        }
    }
}

pub(super) const POOLS: [Column; 15] = [
    column("POOL/BACKEND", 0, Kind::Word),
    column("STATE", 1, Kind::Word),
    column("ROLE", 4, Kind::Word),
    column("OVERRIDE", 5, Kind::Word),
    column("TIER", 13, Kind::Word),
    column("ADDRESS", 7, Kind::Word),
    column("CONNS", 2, Kind::Number),
    column("NEW/s", 3, Kind::Number),
    column("QUEUED", 6, Kind::Number),
    column("OUT/s", 8, Kind::Number),
    column("IN/s", 9, Kind::Number),
    column("FAILED", 10, Kind::Number),
    column("WEIGHT", 11, Kind::Number),
    column("LAG", 12, Kind::Number),
    column("ERROR", 14, Kind::Text),
];

pub(super) const LISTENERS: [Column; 9] = [
    column("LISTENER", 0, Kind::Word),
    column("ADDRESS", 1, Kind::Word),
    column("POOL", 4, Kind::Word),
    column("CONNS", 2, Kind::Number),
    column("MAX", 5, Kind::Number),
    column("NEW/s", 3, Kind::Number),
    column("HELD", 6, Kind::Number),
    column("OUT/s", 7, Kind::Number),
    column("IN/s", 8, Kind::Number),
];

pub(super) const CONNECTIONS: [Column; 8] = [
    column("CLIENT", 0, Kind::Word),
    column("STATE", 1, Kind::Word),
    column("BACKEND", 2, Kind::Word),
    column("ID", 4, Kind::Word),
    column("LISTENER", 7, Kind::Word),
    column("AGE", 3, Kind::Number),
    column("TO-BACKEND", 5, Kind::Number),
    column("TO-CLIENT", 6, Kind::Number),
];

/// Which pools and backends are shown.
pub(super) struct Shown<'s> {
    /// Text that a row must have, in small letters; empty for all.
    pub(super) filter: &'s str,
    pub(super) sort: Sort,
    /// Whether the backends of a pool are shown.
    pub(super) is_open: &'s dyn Fn(&str) -> bool,
}

/// The pools, each followed by its backends if it is open. A filter shows the backends that match it.
pub(super) fn pools(status: &Status, rates: &Rates<'_>, shown: &Shown<'_>, colours: Colours) -> Rows {
    // Problems of a listener are not of its pool.
    let severities =
        Severities::new(status, |problem| problem.pool.as_deref().filter(|_| problem.listener.is_none()));
    let mut pools: Vec<&PoolStatus> = status.pools.iter().collect();
    match shown.sort {
        Sort::File => {}
        Sort::Problems => pools.sort_by_key(|pool| severities.rank(&pool.name)),
        Sort::Connections => pools.sort_by_key(|pool| Reverse(sum(pool, |backend| backend.active))),
        Sort::Rate => pools.sort_by(|a, b| rate(b).total_cmp(&rate(a))),
        Sort::Failed => pools.sort_by_key(|pool| Reverse(sum(pool, |backend| backend.connect_failed))),
    }
    let mut rows = Vec::new();
    for pool in pools {
        let is_found = matches(shown.filter, [pool.name.as_str()]);
        let mut backends: Vec<&BackendStatus> = pool.backends.iter().collect();
        if shown.filter.is_empty() || is_found {
            if !(shown.is_open)(&pool.name) {
                backends.clear();
            }
        } else {
            backends.retain(|backend| matches(shown.filter, words(backend)));
            if backends.is_empty() {
                continue;
            }
        }
        let sign = if backends.is_empty() { '+' } else { '-' };
        sort(&mut backends, shown.sort);
        rows.push((
            Subject::Pool(pool.name.clone()),
            pool_row(pool, severities.of(&pool.name), sign, rates, colours),
        ));
        rows.extend(backends.into_iter().map(|backend| {
            let subject = Subject::Backend { pool: pool.name.clone(), backend: backend.name.clone() };
            (subject, backend_row(pool, backend, rates, colours))
        }));
    }
    rows
}

fn sort(backends: &mut [&BackendStatus], sort: Sort) {
    match sort {
        Sort::File => {}
        Sort::Problems => backends.sort_by_key(|backend| backend.is_available()),
        Sort::Connections => backends.sort_by_key(|backend| Reverse(backend.active)),
        Sort::Rate => backends.sort_by(|a, b| b.rate.total_cmp(&a.rate)),
        Sort::Failed => backends.sort_by_key(|backend| Reverse(backend.connect_failed)),
    }
}

/// The most severe problem of each pool or listener that has one, by its name.
///
/// With its place among all problems, of which the most severe are first.
struct Severities<'s>(HashMap<&'s str, (usize, Severity)>);

impl<'s> Severities<'s> {
    fn new(status: &'s Status, subject: impl Fn(&'s Problem) -> Option<&'s str>) -> Self {
        let mut severities = HashMap::new();
        for (place, problem) in status.problems.iter().enumerate() {
            if let Some(name) = subject(problem) {
                // The first is the most severe.
                severities.entry(name).or_insert((place, problem.severity));
            }
        }
        Self(severities)
    }

    fn of(&self, name: &str) -> Option<Severity> {
        self.0.get(name).map(|(_, severity)| *severity)
    }

    /// Its place in the order by problems. A note is no problem.
    fn rank(&self, name: &str) -> usize {
        match self.0.get(name) {
            Some((place, Severity::Error | Severity::Warning)) => *place,
            Some((_, Severity::Note)) | None => usize::MAX,
        }
    }
}

fn pool_row(
    pool: &PoolStatus,
    severity: Option<Severity>,
    sign: char,
    rates: &Rates<'_>,
    colours: Colours,
) -> Row {
    let total = pool.backends.len();
    let up = pool.backends.iter().filter(|backend| backend.is_available()).count();
    let unknown = pool.backends.iter().filter(|backend| backend.state == BackendState::Unknown).count();
    let has_probe = pool.backends.iter().any(|backend| backend.probe.is_some());
    let state = match (up, unknown) {
        (up, unknown) if up == unknown && up > 0 && has_probe => format!("{unknown} unknown"),
        (up, unknown) if up == unknown && up > 0 => format!("{unknown} without probe"),
        (up, _) if up == total => format!("{total} up"),
        (up, _) => format!("{up} of {total} up"),
    };
    let style = match severity {
        Some(Severity::Error) => colours.error(),
        Some(Severity::Warning) => colours.warning(),
        Some(Severity::Note) | None if unknown == total => Style::new(),
        Some(Severity::Note) | None => colours.good(),
    };
    let tier = if pool.serving == Tier::Backup { "backup serves".to_owned() } else { String::new() };
    let queued = if pool.queue_size > 0 { pool.queued.to_string() } else { String::new() };
    let none = String::new;
    let cells = vec![
        format!("{sign} {}", pool.name),
        state,
        none(),
        none(),
        tier,
        none(),
        sum(pool, |backend| backend.active).to_string(),
        format!("{:.0}", rate(pool)),
        queued,
        bytes(rates.of_pool(pool, |backend| backend.bytes_to_client)),
        bytes(rates.of_pool(pool, |backend| backend.bytes_to_backend)),
        sum(pool, |backend| backend.connect_failed).to_string(),
        none(),
        none(),
        none(),
    ];
    Row { cells, style }
}

fn backend_row(pool: &PoolStatus, backend: &BackendStatus, rates: &Rates<'_>, colours: Colours) -> Row {
    let since = backend.probe.as_ref().map(|probe| age(probe.since_seconds));
    let state = match (backend.state, since, backend.ejected_for_seconds) {
        (BackendState::Ejected, _, Some(left)) => format!("ejected, {} left", age(left)),
        (state, Some(since), _) => format!("{state} {since}"),
        (_, None, _) => backend.state_in_words(),
    };
    let style = match backend.state {
        BackendState::Up => colours.good(),
        BackendState::Down | BackendState::Ejected => colours.error(),
        BackendState::Unknown => Style::new(),
    };
    let override_ = overrides(backend.overrides);
    let has_tiers = pool.backends.iter().any(|backend| backend.tier == Tier::Backup);
    let has_weights = pool.backends.iter().any(|backend| backend.weight != pool.backends[0].weight);
    let some = |is: bool, text: String| if is { text } else { String::new() };
    let cells = vec![
        format!("  {}/{}", pool.name, backend.name),
        state,
        backend.role.map(|role| role.to_string()).unwrap_or_default(),
        some(override_ != "-", override_.clone()),
        some(has_tiers, backend.tier.to_string()),
        some(backend.name != backend.address.to_string(), backend.address.to_string()),
        match backend.connections_max {
            Some(max) => format!("{}/{max}", backend.active),
            None => backend.active.to_string(),
        },
        format!("{:.0}", backend.rate),
        String::new(),
        bytes(rates.of_backend(pool, backend, |backend| backend.bytes_to_client)),
        bytes(rates.of_backend(pool, backend, |backend| backend.bytes_to_backend)),
        backend.connect_failed.to_string(),
        some(has_weights, backend.weight.to_string()),
        backend.lag_seconds.map(|lag| format!("{lag:.1}s")).unwrap_or_default(),
        backend.probe.as_ref().and_then(|probe| probe.error.clone()).unwrap_or_default(),
    ];
    Row { cells, style }
}

/// The listeners. Only those with a problem can come first; failed connects are of backends.
pub(super) fn listeners(status: &Status, rates: &Rates<'_>, shown: &Shown<'_>, colours: Colours) -> Rows {
    let severities = Severities::new(status, |problem| problem.listener.as_deref());
    let found = |listener: &&ListenerStatus| {
        let address = show_addresses(&listener.addresses);
        matches(shown.filter, listener.pools().into_iter().chain([listener.name.as_str(), address.as_str()]))
    };
    let mut listeners: Vec<_> = status.listeners.iter().filter(found).collect();
    match shown.sort {
        Sort::File | Sort::Failed => {}
        Sort::Problems => listeners.sort_by_key(|listener| severities.rank(&listener.name)),
        Sort::Connections => listeners.sort_by_key(|listener| Reverse(listener.active)),
        Sort::Rate => listeners.sort_by(|a, b| b.rate.total_cmp(&a.rate)),
    }
    let row = |listener: &ListenerStatus| {
        let cells = vec![
            listener.name.clone(),
            show_addresses(&listener.addresses),
            pools_of(listener),
            listener.active.to_string(),
            listener.connections_max.to_string(),
            format!("{:.0}", listener.rate),
            if listener.role.is_some() { listener.held.to_string() } else { String::new() },
            bytes(rates.of_listener(listener, |listener| listener.bytes_to_client)),
            bytes(rates.of_listener(listener, |listener| listener.bytes_to_backend)),
        ];
        let style = match severities.of(&listener.name) {
            Some(Severity::Error) => colours.error(),
            Some(Severity::Warning) => colours.warning(),
            Some(Severity::Note) | None => Style::new(),
        };
        (Subject::Listener(listener.name.clone()), Row { cells, style })
    };
    listeners.into_iter().map(row).collect()
}

/// The pool of a listener, and how many others its routes lead to.
fn pools_of(listener: &ListenerStatus) -> String {
    match listener.pools().len() - 1 {
        0 => listener.pool.clone(),
        others => format!("{} +{others}", listener.pool),
    }
}

/// The connections, in the order of the answer: the oldest first.
pub(super) fn connections(connections: &[ConnectionStatus], filter: &str) -> Rows {
    let rows = connections.iter().map(|connection| {
        let spliced = if connection.spliced { ",spliced" } else { "" };
        let cells = vec![
            connection.client.map_or_else(|| "-".to_owned(), |client| client.to_string()),
            format!("{}{spliced}", connection.state),
            format!("{}/{}", connection.pool, connection.backend.as_deref().unwrap_or("-")),
            connection.id.to_string(),
            connection.listener.clone(),
            age(connection.age_seconds),
            #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
            size(connection.bytes_to_backend as f64),
            #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
            size(connection.bytes_to_client as f64),
        ];
        (Subject::Connection(connection.id), Row { cells, style: Style::new() })
    });
    rows.filter(|(_, row)| matches(filter, row.cells.iter().map(String::as_str))).collect()
}

/// Whether one of the words has the filter in it. The filter is in small letters.
fn matches<'w>(filter: &str, words: impl IntoIterator<Item = &'w str>) -> bool {
    filter.is_empty() || words.into_iter().any(|word| word.to_lowercase().contains(filter))
}

/// What a filter finds a backend by.
fn words(backend: &BackendStatus) -> impl Iterator<Item = &str> {
    let role = backend.role.map(api::BackendRole::name);
    let error = backend.probe.as_ref().and_then(|probe| probe.error.as_deref());
    [Some(backend.name.as_str()), Some(backend.state.name()), role, error].into_iter().flatten()
}

fn sum(pool: &PoolStatus, of: fn(&BackendStatus) -> u64) -> u64 {
    pool.backends.iter().map(of).sum()
}

fn rate(pool: &PoolStatus) -> f64 {
    pool.backends.iter().map(|backend| backend.rate).sum()
}

fn bytes(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), size)
}

#[cfg(test)]
mod tests {
    use super::POOLS;

    #[test]
    fn the_documentation_has_the_order_in_which_columns_are_left_out() {
        let mut columns: Vec<_> = POOLS.iter().filter(|column| column.rank > 0).collect();
        columns.sort_by_key(|column| std::cmp::Reverse(column.rank));
        let titles: Vec<_> = columns.iter().map(|column| column.title).collect();
        let page = include_str!("../../../../docs/admin.md");
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let order = format!("They are left out in this order: {}.", titles.join(", "));
        assert!(page.contains(&order), "docs/admin.md does not say: {order}");
    }
}
