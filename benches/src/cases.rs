//! The closed list of cases, and their goals.

use crate::figures::{Figure, Phase, Unit};
use crate::peers::{Guard, Peer};

/// All cases, in the order in which they run and are reported.
pub(crate) static CASES: [Case; 17] = [
    Case {
        name: "small-64",
        title: "small requests, kept alive, 64 connections",
        unit: Unit::Request,
        work: Work::Requests(Requests { connections: 64, ..SMALL }),
        goals: &[cpu(0.80), CPU_FIXED, ADDED_P99, ADDED_P999],
        bars: CPU_BARS,
    },
    Case {
        name: "small-500",
        title: "small requests, kept alive, 500 connections",
        unit: Unit::Request,
        work: Work::Requests(Requests { connections: 500, ..SMALL }),
        goals: &[cpu(0.60), CPU_FIXED, ADDED_P99, ADDED_P999],
        bars: CPU_BARS,
    },
    Case {
        name: "small-4000",
        title: "small requests, kept alive, 4 000 connections",
        unit: Unit::Request,
        // Longer, so that opening them matters little.
        work: Work::Requests(Requests { connections: 4000, stretch: 2, ..SMALL }),
        goals: &[cpu(0.60), CPU_FIXED, ADDED_P99, ADDED_P999],
        bars: CPU_BARS,
    },
    Case {
        name: "page-16k",
        title: "16 KiB responses, kept alive, 64 connections",
        unit: Unit::Mib,
        work: Work::Requests(Requests { connections: 64, page: Page::Kib16, ..SMALL }),
        goals: &[cpu(0.65), CPU_FIXED, ADDED_P99, ADDED_P999],
        bars: CPU_BARS,
    },
    Case {
        name: "bulk-1m",
        title: "1 MiB responses, kept alive, 16 connections",
        unit: Unit::Mib,
        work: Work::Requests(Requests { connections: 16, page: Page::Mib1, ..SMALL }),
        goals: &[cpu(0.40), CPU_FIXED, ADDED_P99, ADDED_P999],
        bars: CPU_BARS,
    },
    Case {
        name: "upload-1",
        title: "one upload stream",
        unit: Unit::Gib,
        work: Work::Streams { streams: 1 },
        goals: &[cpu(0.40)],
        bars: CPU_BARS,
    },
    Case {
        name: "upload-16",
        title: "16 upload streams",
        unit: Unit::Gib,
        work: Work::Streams { streams: 16 },
        goals: &[cpu(0.40)],
        bars: CPU_BARS,
    },
    Case {
        name: "close-64",
        title: "a new connection for each request, 64 at a time",
        unit: Unit::Connection,
        work: Work::Requests(Requests { connections: 64, close: true, ..SMALL }),
        goals: &[cpu(0.65), CPU_FIXED, ADDED_P99, ADDED_P999],
        bars: CPU_BARS,
    },
    Case {
        name: "idle-4000",
        title: "4 000 idle connections",
        unit: Unit::Connection,
        work: Work::Idle { connections: 4000 },
        goals: &[WaitFor { rule: Rule::Best(Phase::Idle, Figure::ConnectionMemory), at_most: Some(0.20) }],
        bars: &[(Figure::ConnectionMemory, Phase::Idle)],
    },
    Case {
        name: "fixed-256",
        title: "small requests at a fixed rate, kept alive, 256 connections",
        unit: Unit::Request,
        work: Work::Requests(Requests { connections: 256, ..SMALL }),
        goals: &[
            WaitFor { at_most: Some(0.70), ..ADDED_P99 },
            WaitFor { at_most: Some(0.70), ..ADDED_P999 },
            CPU_FIXED,
            CPU_FULL,
        ],
        bars: &[(Figure::P99Us, Phase::Fixed), (Figure::P999Us, Phase::Fixed)],
    },
    Case {
        name: "reload",
        title: "reloads under load, rondel 50 a second, others one: new connections, 64 at a time",
        unit: Unit::Connection,
        work: Work::Reload(Requests { connections: 64, close: true, ..SMALL }),
        goals: &[
            WaitFor { rule: Rule::NoneFailed(Phase::Reloading), at_most: Some(0.0) },
            WaitFor { rule: Rule::Own(Figure::P99Us, Phase::Reloading, Phase::Fixed), at_most: Some(1.10) },
            WaitFor { rule: Rule::Own(Figure::CpuUs, Phase::Reloading, Phase::Fixed), at_most: None },
        ],
        bars: &[(Figure::P99Us, Phase::Fixed), (Figure::P99Us, Phase::Reloading)],
    },
    Case {
        name: "beside-stuck",
        title: "small requests at a fixed rate beside 1 000 clients that do not read their responses",
        unit: Unit::Request,
        work: Work::Beside { requests: Requests { connections: 64, ..SMALL }, stuck: 1000 },
        goals: &[
            WaitFor { rule: Rule::Own(Figure::P99Us, Phase::Beside, Phase::Fixed), at_most: Some(1.10) },
            WaitFor { rule: Rule::Own(Figure::P50Us, Phase::Beside, Phase::Fixed), at_most: None },
            WaitFor { rule: Rule::Own(Figure::CpuUs, Phase::Beside, Phase::Fixed), at_most: None },
            WaitFor { rule: Rule::NoneFailed(Phase::Beside), at_most: Some(0.0) },
            WaitFor { rule: Rule::Best(Phase::Beside, Figure::Memory), at_most: None },
        ],
        bars: &[(Figure::P99Us, Phase::Fixed), (Figure::P99Us, Phase::Beside)],
    },
    Case {
        name: "two-workers",
        title: "two workers against one, all on both cores: small requests, kept alive, 64 connections",
        unit: Unit::Request,
        work: Work::TwoWorkers(Requests { connections: 64, ..SMALL }),
        goals: &[WaitFor {
            rule: Rule::Own(Figure::Throughput, Phase::TwoWorkers, Phase::Full),
            at_most: None,
        }],
        bars: &[(Figure::Throughput, Phase::Full), (Figure::Throughput, Phase::TwoWorkers)],
    },
    Case {
        name: "watched-64",
        title: "metrics scraped each second, access log to a file: small requests, 64 connections",
        unit: Unit::Request,
        work: Work::Watched(Requests { connections: 64, ..SMALL }),
        goals: WATCHED_GOALS,
        bars: WATCHED_BARS,
    },
    Case {
        name: "watched-new",
        title: "the same: a new connection for each request, 64 at a time",
        unit: Unit::Connection,
        work: Work::Watched(Requests { connections: 64, close: true, ..SMALL }),
        goals: WATCHED_GOALS,
        bars: WATCHED_BARS,
    },
    Case {
        name: "prefixes-new",
        title: "100 000 prefixes denied: a new connection for each request, 64 at a time",
        unit: Unit::Connection,
        work: Work::Guarded(Requests { connections: 64, close: true, ..SMALL }, Guard::Prefixes),
        goals: GUARDED_GOALS,
        bars: GUARDED_BARS,
    },
    Case {
        name: "limits-new",
        title: "connections of each source counted: a new connection for each request, 64 at a time",
        unit: Unit::Connection,
        work: Work::Guarded(Requests { connections: 64, close: true, ..SMALL }, Guard::Limits),
        goals: GUARDED_GOALS,
        bars: GUARDED_BARS,
    },
];

/// A case.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its name on the command line and of its picture.
    pub(crate) name: &'static str,
    /// Its title.
    pub(crate) title: &'static str,
    /// The unit of costs.
    pub(crate) unit: Unit,
    /// The work.
    pub(crate) work: Work,
    /// Its comparisons and goals.
    pub(crate) goals: &'static [WaitFor],
    /// The figures in its picture: one bar each, of one kind.
    pub(crate) bars: &'static [(Figure, Phase)],
}

/// The kinds of work; each has a file in `trials`.
#[derive(Debug)]
pub(crate) enum Work {
    /// HTTP requests: at full load, then at a fixed rate.
    Requests(Requests),
    /// Bytes from the client to the backend, at full load.
    Streams {
        /// Concurrent streams.
        streams: u32,
    },
    /// Idle connections.
    Idle {
        /// Their number.
        connections: u32,
    },
    /// Requests at a fixed rate, without and with reloads of the balancer.
    Reload(Requests),
    /// Requests at a fixed rate, without and with stuck clients.
    Beside {
        /// The clients that read.
        requests: Requests,
        /// The number of clients that request 2^20 bytes and read none.
        stuck: u32,
    },
    /// Requests at full load, with one worker and with two.
    TwoWorkers(Requests),
    /// Requests at full load, without and with all monitoring.
    Watched(Requests),
    /// Requests at full load, without and with rules about addresses that refuse none of them.
    Guarded(Requests, Guard),
}

/// How requests are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requests {
    /// Concurrent requests.
    pub(crate) connections: u32,
    /// The page.
    pub(crate) page: Page,
    /// Whether each request has its own connection.
    pub(crate) close: bool,
    /// How many times longer than others it runs.
    pub(crate) stretch: u32,
}

const WATCHED_GOALS: &[WaitFor] =
    &[WaitFor { rule: Rule::Own(Figure::CpuUs, Phase::Watched, Phase::Unwatched), at_most: Some(1.03) }];

const WATCHED_BARS: &[(Figure, Phase)] =
    &[(Figure::CpuUs, Phase::Unwatched), (Figure::CpuUs, Phase::Watched)];

const GUARDED_GOALS: &[WaitFor] = &[
    WaitFor { rule: Rule::Own(Figure::CpuUs, Phase::Guarded, Phase::Unguarded), at_most: Some(1.02) },
    WaitFor { rule: Rule::Best(Phase::Guarded, Figure::CpuUs), at_most: None },
];

const GUARDED_BARS: &[(Figure, Phase)] =
    &[(Figure::CpuUs, Phase::Unguarded), (Figure::CpuUs, Phase::Guarded)];

const CPU_BARS: &[(Figure, Phase)] = &[(Figure::CpuUs, Phase::Full)];

const SMALL: Requests = Requests { connections: 1, page: Page::Small, close: false, stretch: 1 };

/// A page of the backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// One line.
    Small,
    /// 2^14 bytes.
    Kib16,
    /// 2^20 bytes.
    Mib1,
}

impl Page {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Small => "/",
            Self::Kib16 => "/16k",
            Self::Mib1 => "/1m",
        }
    }

    /// How many units of its case one page is.
    pub(crate) fn units(self) -> f64 {
        match self {
            Self::Small | Self::Mib1 => 1.0,
            Self::Kib16 => 1.0 / 64.0,
        }
    }
}

/// A comparison, and its limit if there is a goal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitFor {
    /// What is compared.
    pub(crate) rule: Rule,
    /// The goal: the median over the rounds is at most this.
    pub(crate) at_most: Option<f64>,
}

/// How a round becomes one number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// Ours divided by the best rival.
    Best(Phase, Figure),
    /// Ours divided by our previous revision.
    Before(Phase, Figure),
    /// As the first, for what is added to the figure without a balancer.
    Added(Phase, Figure),
    /// Ours in the first phase divided by ours in the second.
    Own(Figure, Phase, Phase),
    /// Our failed requests.
    NoneFailed(Phase),
}

const fn cpu(at_most: f64) -> WaitFor {
    WaitFor { rule: Rule::Best(Phase::Full, Figure::CpuUs), at_most: Some(at_most) }
}

// Neither latency nor CPU time may be improved at the cost of the other; so both are listed if one has a goal.
const CPU_FULL: WaitFor = WaitFor { rule: Rule::Best(Phase::Full, Figure::CpuUs), at_most: None };
const CPU_FIXED: WaitFor = WaitFor { rule: Rule::Best(Phase::Fixed, Figure::CpuUs), at_most: None };
const ADDED_P99: WaitFor = WaitFor { rule: Rule::Added(Phase::Fixed, Figure::P99Us), at_most: None };
const ADDED_P999: WaitFor = WaitFor { rule: Rule::Added(Phase::Fixed, Figure::P999Us), at_most: None };

impl Work {
    /// Whether a peer can take part.
    pub(crate) fn suits(&self, peer: Peer) -> bool {
        match self {
            Self::Requests(_) | Self::Streams { .. } => true,
            // The other two need no memory for them, and splicing does not matter to idle connections.
            Self::Idle { .. } => !matches!(peer, Peer::Direct | Peer::Kernel | Peer::HaproxySplice),
            Self::Reload(_) | Self::Beside { .. } | Self::TwoWorkers(_) => {
                matches!(peer, Peer::Haproxy | Peer::Nginx | Peer::Rondel | Peer::RondelBefore)
            }
            // nginx walks its list for each connection.
            Self::Guarded(_, Guard::Prefixes | Guard::None) => {
                matches!(peer, Peer::Haproxy | Peer::Rondel | Peer::RondelBefore)
            }
            Self::Guarded(_, Guard::Limits) => {
                matches!(peer, Peer::Haproxy | Peer::Nginx | Peer::Rondel | Peer::RondelBefore)
            }
            // Each of the others has other monitoring.
            Self::Watched(_) => matches!(peer, Peer::Rondel | Peer::RondelBefore),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CASES;

    #[test]
    fn names_are_short_and_each_is_one_case() {
        let mut names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        assert!(names.iter().all(|name| name.len() <= 12), "{names:?}");
        // A longer title does not fit above a picture.
        assert!(CASES.iter().all(|case| case.title.len() <= 90));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }

    #[test]
    fn every_case_compares_something() {
        assert!(CASES.iter().all(|case| !case.goals.is_empty()));
    }
}
