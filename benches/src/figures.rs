//! The terms of the results: figures, phases and units.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::peers::Peer;

/// A unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    /// One HTTP request and its response.
    #[serde(rename = "request")]
    Request,
    /// A connection: opened, used once, closed; or held.
    #[serde(rename = "connection")]
    Connection,
    /// 2^20 bytes.
    #[serde(rename = "MiB")]
    Mib,
    /// 2^30 bytes.
    #[serde(rename = "GiB")]
    Gib,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Connection => "connection",
            Self::Mib => "MiB",
            Self::Gib => "GiB",
        }
    }
}

/// What a balancer does while it is measured. A case has one or two phases, and a table for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// Full load.
    Full,
    /// The same rate for all.
    Fixed,
    /// The same rate, during reloads.
    Reloading,
    /// The same rate, beside stuck connections.
    Beside,
    /// Idle connections.
    Idle,
    /// Full load, with two workers.
    TwoWorkers,
    /// Full load, without monitoring.
    Unwatched,
    /// Full load, with all monitoring.
    Watched,
    /// Full load, without rules about addresses.
    Unguarded,
    /// Full load, with such rules.
    Guarded,
}

impl Phase {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Full => "at full load",
            Self::Fixed => "at a fixed rate",
            Self::Reloading => "at the same rate, reloading",
            Self::Beside => "at the same rate, beside stuck readers",
            Self::Idle => "idle",
            Self::TwoWorkers => "at full load, two workers",
            Self::Unwatched => "at full load, not watched",
            Self::Watched => "at full load, watched",
            Self::Unguarded => "at full load, without rules",
            Self::Guarded => "at full load, with rules",
        }
    }
}

/// A figure of a trial, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Requested requests per second.
    Asked,
    /// Completed reloads.
    Reloads,
    /// Units of work per second.
    Throughput,
    /// CPU time of the balancer per unit, in microseconds.
    CpuUs,
    /// CPU time of the whole machine per unit, in microseconds.
    MachineUs,
    /// How busy the core of load and backends was, in percent.
    LoadCorePercent,
    /// Context switches of the balancer per unit.
    Switches,
    /// Involuntary ones of them.
    SwitchesForced,
    /// Its private memory under load, in bytes.
    Memory,
    /// Its private memory per held connection, in bytes.
    ConnectionMemory,
    /// The median latency, in microseconds.
    P50Us,
    /// The 99th percentile.
    P99Us,
    /// The 99.9th percentile.
    P999Us,
    /// Failed requests.
    Failed,
}

impl Figure {
    /// The title of its column.
    pub(crate) fn label(self, unit: Unit) -> String {
        let unit = unit.name();
        match self {
            Self::Asked => "asked, 1/s".to_owned(),
            Self::Reloads => "reloads done".to_owned(),
            Self::Throughput => format!("{unit}/s"),
            Self::CpuUs => format!("CPU, us/{unit}"),
            Self::MachineUs => format!("whole machine, us/{unit}"),
            Self::LoadCorePercent => "load's core, %".to_owned(),
            Self::Switches => format!("switches/{unit}"),
            Self::SwitchesForced => "of them forced".to_owned(),
            Self::Memory => "memory, KiB".to_owned(),
            Self::ConnectionMemory => format!("memory, bytes/{unit}"),
            Self::P50Us => "p50, us".to_owned(),
            Self::P99Us => "p99, us".to_owned(),
            Self::P999Us => "p99.9, us".to_owned(),
            Self::Failed => "failed".to_owned(),
        }
    }

    /// In the unit of its column.
    pub(crate) fn shown(self, value: f64) -> String {
        number(if self == Self::Memory { value / 1024.0 } else { value })
    }
}

/// Three digits or the whole integer part, in groups of three.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude.fract() == 0.0 && magnitude < 1000.0 {
        return format!("{value}");
    }
    let decimals = match magnitude {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let plain = format!("{value:.decimals$}");
    let Some(start) = plain.find(|c: char| c.is_ascii_digit()).filter(|_| decimals == 0) else {
        return plain;
    };
    let (sign, digits) = plain.split_at(start);
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    format!("{sign}{}", groups.join(" "))
}

/// The figures of one trial.
pub(crate) type Figures = BTreeMap<Figure, f64>;

/// One trial: a peer in one phase of one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Starting at 1.
    pub(crate) round: u32,
    /// The peer.
    pub(crate) peer: Peer,
    /// The phase.
    pub(crate) phase: Phase,
    /// The figures.
    pub(crate) figures: Figures,
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_as_long_as_they_are_exact() {
        let shown: Vec<String> =
            [0.0, 7.0, 0.1234, 1.234, 12.34, 123.4, 1234.0, 1_234_567.8, -12_345.0].map(number).to_vec();
        assert_eq!(shown, ["0", "7", "0.123", "1.23", "12.3", "123", "1 234", "1 234 568", "-12 345"]);
    }
}
