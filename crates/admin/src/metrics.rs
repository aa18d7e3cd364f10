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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::metric::{Kind, Metric};
    use super::{METRICS, encode};
    use crate::samples::status;

    #[test]
    fn the_text_has_every_metric_and_the_end_mark() {
        let text = encode(status());
        for metric in METRICS {
            let name = full_name(metric);
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

    #[test]
    fn the_readme_lists_every_metric() {
        let readme =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
        let listed: Vec<_> = readme.lines().filter(|line| line.starts_with("| `rondel_")).collect();
        let rows: Vec<_> = METRICS.iter().map(row).collect();
        assert_eq!(listed, rows, "README.md must have these rows:\n{}", rows.join("\n"));
    }

    /// A row of the table in README.md.
    fn row(metric: &Metric) -> String {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} |", full_name(metric), labels.join(", "), metric.help)
    }

    /// The name in queries.
    fn full_name(metric: &Metric) -> String {
        match metric.kind {
            Kind::Counter => format!("{}_total", metric.name),
            Kind::Gauge | Kind::Histogram => metric.name.to_owned(),
        }
    }
}
