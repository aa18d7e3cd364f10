//! The metrics: a [`Status`] in the text format of `OpenMetrics`.
//!
//! Values are computed at each request. No label has a client's address, so the number of series depends only on the
//! configuration. The series of a removed backend disappear.

mod metric;
mod table; // Every metric. Start here.

use std::fmt;

use api::Status;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use self::metric::Kind;
use self::table::METRICS;

/// The media type of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Encodes all metrics of `status`.
pub(crate) fn encode(status: Status) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(status)));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("writing to a String does not fail");
    text
}

/// Collects the metrics of a status.
#[derive(Debug)]
struct Metrics(Status);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        METRICS.iter().try_for_each(|metric| metric.encode(&self.0, &mut encoder))
    }
}

/// A metric, for the documentation.
#[derive(Debug)]
pub struct DescribedMetric {
    /// The name in queries.
    pub name: String,
    /// The type: `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The description, a sentence.
    pub help: &'static str,
}

/// Every metric, in the order of the output.
pub fn described_metrics() -> impl Iterator<Item = DescribedMetric> {
    METRICS.iter().map(|metric| {
        let (suffix, kind) = match metric.kind {
            Kind::Counter => ("_total", "counter"),
            Kind::Gauge => ("", "gauge"),
            Kind::Histogram => ("", "histogram"),
        };
        let name = format!("{}{suffix}", metric.name);
        DescribedMetric { name, kind, labels: metric.labels, help: metric.help }
    })
}

#[cfg(test)]
mod tests {
    use super::{DescribedMetric, described_metrics, encode};
    use crate::samples::status;

    #[test]
    fn the_text_has_every_metric_and_the_end_mark() {
        let text = encode(status());
        for DescribedMetric { name, .. } in described_metrics() {
            assert!(text.lines().any(|line| line.starts_with(&name)), "{name} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn samples_have_values_and_labels() {
        let text = encode(status());
        for line in [
            "rondel_serving 1",
            "rondel_config_reloads_total{result=\"refused\"} 1",
            "rondel_listener_connections_total{listener=\"web\"} 5",
            "rondel_listener_connections_closed_total{listener=\"web\",reason=\"done\"} 3",
            "rondel_listener_connections_closed_total{listener=\"web\",reason=\"idle\"} 0",
            "rondel_backend_weight{pool=\"app\",backend=\"a\"} 7",
            "rondel_backend_overridden{pool=\"app\",backend=\"a\"} 1",
            "rondel_backend_state{pool=\"app\",backend=\"a\",state=\"down\"} 1",
            "rondel_backend_state{pool=\"app\",backend=\"a\",state=\"up\"} 0",
            "rondel_backend_up{pool=\"app\",backend=\"a\"} 0",
            "rondel_worker_turns_total{worker=\"1\"} 1",
            "rondel_access_log_lines_total{result=\"lost\"} 1",
            "rondel_pool_connect_duration_seconds_sum{pool=\"app\"} 12.25",
            "rondel_pool_connect_duration_seconds_count{pool=\"app\"} 5",
            "rondel_pool_connect_duration_seconds_bucket{le=\"0.1\",pool=\"app\"} 1",
            "rondel_pool_connect_duration_seconds_bucket{le=\"1.0\",pool=\"app\"} 4",
            "rondel_pool_connect_duration_seconds_bucket{le=\"+Inf\",pool=\"app\"} 5",
            "rondel_probe_errors_total{pool=\"app\",backend=\"a\",error=\"refused\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
