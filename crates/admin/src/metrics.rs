//! The metrics: a [`Status`] in one of two text formats.
//!
//! Values are computed at each request. No label has a client's address, so the number of series depends only on the
//! configuration. The series of a removed backend disappear.

mod format;
mod metric;
mod table; // Every metric. Start here.

use std::fmt;

use api::Status;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

pub(crate) use self::format::Format;
use self::metric::Kind;
use self::table::METRICS;

/// Encodes all metrics of `status`.
pub(crate) fn encode(status: Status, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(status)));
    let mut text = String::new();
    let encoded = match format {
        Format::OpenMetrics => text::encode(&mut text, &registry),
        Format::Prometheus => text::encode_registry(&mut text, &registry),
    };
    encoded.expect("writing to a String does not fail");
    match format {
        Format::OpenMetrics => text,
        Format::Prometheus => older(&text),
    }
}

/// Turns `OpenMetrics` without its end mark into the older format: the family of a counter has the name of its
/// samples there. The rest is the same in both.
fn older(text: &str) -> String {
    let is_counter =
        |name: &str| METRICS.iter().any(|metric| metric.kind == Kind::Counter && metric.name == name);
    let mut older = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["#", mark, name, rest] if is_counter(name) => {
                older.extend(["# ", mark, " ", name, COUNTER_SUFFIX, " ", rest]);
            }
            _ => older.push_str(line),
        }
    }
    older
}

/// What the samples of a counter have after its name.
const COUNTER_SUFFIX: &str = "_total";

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
            Kind::Counter => (COUNTER_SUFFIX, "counter"),
            Kind::Gauge => ("", "gauge"),
            Kind::Histogram => ("", "histogram"),
        };
        let name = format!("{}{suffix}", metric.name);
        DescribedMetric { name, kind, labels: metric.labels, help: metric.help }
    })
}

#[cfg(test)]
mod tests {
    use super::{DescribedMetric, Format, described_metrics, encode};
    use crate::samples::status;

    #[test]
    fn the_text_has_every_metric_and_the_end_mark() {
        let text = encode(status(), Format::OpenMetrics);
        for DescribedMetric { name, .. } in described_metrics() {
            assert!(text.lines().any(|line| line.starts_with(&name)), "{name} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn the_older_format_has_the_same_samples_and_names_counters_in_full() {
        let [open_metrics, older] =
            [Format::OpenMetrics, Format::Prometheus].map(|format| encode(status(), format));
        let samples = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(samples(&older), samples(&open_metrics));
        assert!(!older.contains("# EOF"), "{older}");
        for DescribedMetric { name, kind, .. } in described_metrics() {
            for line in [format!("# HELP {name} "), format!("# TYPE {name} {kind}\n")] {
                assert!(older.contains(&line), "{line} is not in\n{older}");
            }
        }
    }

    #[test]
    fn samples_have_values_and_labels() {
        let text = encode(status(), Format::OpenMetrics);
        for line in [
            "rondel_serving 1",
            "rondel_config_reloads_total{result=\"refused\"} 1",
            "rondel_listener_connections_total{listener=\"web\"} 5",
            "rondel_listener_connections_closed_total{listener=\"web\",reason=\"done\"} 3",
            "rondel_listener_routed_total{listener=\"web\",route=\"api.example.com\"} 4",
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
