//! One metric, and the encoding of its samples.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;

use api::{Durations, Status};

/// A metric, and how it is computed from a status.
pub(crate) struct Metric {
    /// The name; of a counter, without the suffix `_total`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The names of the labels.
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
    samples: fn(&Status, &mut Sink<'_>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metric {
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
        samples: fn(&Status, &mut Sink<'_>),
    ) -> Self {
        Self { name, kind, labels, help, samples }
    }

    /// Encodes the metric with its samples from `status`.
    pub(super) fn encode(&self, status: &Status, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        // The registry appends a full stop.
        let help = self.help.trim_end_matches('.');
        let encoder = encoder.encode_descriptor(self.name, help, None, kind)?;
        let mut sink = Sink { metric: self, encoder, result: Ok(()) };
        (self.samples)(status, &mut sink);
        sink.result
    }
}

/// Receives the samples of one metric.
pub(super) struct Sink<'a> {
    metric: &'a Metric,
    encoder: MetricEncoder<'a>,
    result: fmt::Result,
}

impl Sink<'_> {
    /// Adds a sample. `labels` are the values, in the order of the names.
    pub(super) fn put(&mut self, labels: &[&str], value: impl Into<Value>) {
        assert_eq!(labels.len(), self.metric.labels.len(), "{}", self.metric.name);
        let pairs: Vec<(&str, &str)> =
            self.metric.labels.iter().copied().zip(labels.iter().copied()).collect();
        let written = self.write(&pairs, value.into());
        self.result = self.result.and(written);
    }

    fn write(&mut self, pairs: &Vec<(&str, &str)>, value: Value) -> fmt::Result {
        let mut encoder = if pairs.is_empty() {
            return Self::write_one(&mut self.encoder, self.metric.kind, value);
        } else {
            self.encoder.encode_family(pairs)?
        };
        Self::write_one(&mut encoder, self.metric.kind, value)
    }

    fn write_one(encoder: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
        type NoExemplar = Vec<(&'static str, &'static str)>;
        match (kind, value) {
            (Kind::Counter, Value::Whole(value)) => {
                encoder.encode_counter::<NoExemplar, _, u64>(&value, None)
            }
            (Kind::Counter, Value::Real(value)) => encoder.encode_counter::<NoExemplar, _, u64>(&value, None),
            (Kind::Gauge, Value::Whole(value)) => encoder.encode_gauge(&value),
            (Kind::Gauge, Value::Real(value)) => encoder.encode_gauge(&value),
            (_, Value::Durations { sum, count, buckets }) => {
                encoder.encode_histogram::<NoExemplar>(sum, count, &buckets, None)
            }
            (Kind::Histogram, Value::Whole(_) | Value::Real(_)) => {
                unreachable!("samples of histograms are durations")
            }
        }
    }
}

/// The value of a sample.
pub(super) enum Value {
    Whole(u64),
    Real(f64),
    Durations { sum: f64, count: u64, buckets: Vec<(f64, u64)> },
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&Durations> for Value {
    fn from(durations: &Durations) -> Self {
        let (sum, count, buckets) = (durations.sum_seconds, durations.count, durations.all_buckets());
        Self::Durations { sum, count, buckets }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}
