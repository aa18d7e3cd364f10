//! The metrics: a [`Status`] in the text format of `OpenMetrics`.
//!
//! Every number is read when it is asked for. No label ever has a client's address, so there are as many series as the
//! configuration has listeners and backends, and those of a backend that is gone are gone.

use std::fmt;

use api::{
    BackendRole, BackendState, BackendStatus, Durations, ListenerStatus, Override, Phase, PoolStatus,
    ProbeStatus, RemovedKind, Status, Tier, WorkerStatus,
};
use connection::CloseReason;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// What the text is, for the header of the answer.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of `status`.
pub(crate) fn encode(status: Status) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(status)));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a String takes everything");
    text
}

/// A metric: what it is called, what it means, and which numbers of a status it is.
pub(crate) struct Metric {
    /// Its name, of a counter without the `_total` at its end.
    name: &'static str,
    kind: Kind,
    /// The names of its labels.
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Status, &mut Sink<'_>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Collects the metrics of a status.
#[derive(Debug)]
struct Metrics(Status);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            // The registry ends each help with a full stop of its own.
            let help = metric.help.trim_end_matches('.');
            let encoder = encoder.encode_descriptor(metric.name, help, None, kind)?;
            let mut sink = Sink { metric, encoder, result: Ok(()) };
            (metric.samples)(&self.0, &mut sink);
            sink.result?;
        }
        Ok(())
    }
}

/// What a metric is, for the documentation.
#[derive(Debug)]
pub struct DescribedMetric {
    /// As it is asked for in queries.
    pub name: String,
    /// The type: `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts or measures, as a sentence.
    pub help: &'static str,
}

/// Every metric, in the order in which they are shown.
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

/// Takes the samples of one metric.
struct Sink<'a> {
    metric: &'a Metric,
    encoder: MetricEncoder<'a>,
    result: fmt::Result,
}

impl Sink<'_> {
    /// One sample; `labels` are the values, in the order of the names.
    fn put(&mut self, labels: &[&str], value: impl Into<Value>) {
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
            (Kind::Histogram, Value::Whole(_) | Value::Real(_)) => unreachable!("its samples are durations"),
        }
    }
}

enum Value {
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

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Status, &mut Sink<'_>),
) -> Metric {
    Metric { name, kind, labels, help, samples }
}

fn each_worker(status: &Status, sink: &mut Sink<'_>, number: impl Fn(&WorkerStatus) -> u64) {
    for (index, worker) in status.workers.iter().enumerate() {
        sink.put(&[&index.to_string()], number(worker));
    }
}

fn each_listener(status: &Status, sink: &mut Sink<'_>, put: impl Fn(&ListenerStatus, &str, &mut Sink<'_>)) {
    status.listeners.iter().for_each(|listener| put(listener, &listener.name, sink));
}

fn each_pool(status: &Status, sink: &mut Sink<'_>, put: impl Fn(&PoolStatus, &mut Sink<'_>)) {
    status.pools.iter().for_each(|pool| put(pool, sink));
}

fn each_backend(
    status: &Status,
    sink: &mut Sink<'_>,
    put: impl Fn(&BackendStatus, [&str; 2], &mut Sink<'_>),
) {
    for pool in &status.pools {
        pool.backends.iter().for_each(|backend| put(backend, [&pool.name, &backend.name], sink));
    }
}

/// Of the backends that have a probe.
fn each_probe(status: &Status, sink: &mut Sink<'_>, put: impl Fn(&ProbeStatus, [&str; 2], &mut Sink<'_>)) {
    each_backend(status, sink, |backend, names, sink| {
        backend.probe.iter().for_each(|probe| put(probe, names, sink));
    });
}

/// Every metric, in the order in which they are shown.
pub(crate) const METRICS: &[Metric] = &[
    metric("rondel_build_info", Kind::Gauge, &["version"], "Always 1.", |status, sink| {
        sink.put(&[&status.version], true);
    }),
    metric(
        "rondel_start_time_seconds",
        Kind::Gauge,
        &[],
        "When the process started, in seconds since 1970.",
        |status, sink| {
            sink.put(&[], status.started_at);
        },
    ),
    metric("rondel_uptime_seconds", Kind::Gauge, &[], "How long ago that is.", |status, sink| {
        sink.put(&[], status.uptime_seconds);
    }),
    metric(
        "rondel_serving",
        Kind::Gauge,
        &[],
        "1 while connections are accepted, 0 in a drain.",
        |status, sink| {
            sink.put(&[], status.phase == Phase::Serving);
        },
    ),
    metric("rondel_connections_active", Kind::Gauge, &[], "Connections of the process.", |status, sink| {
        sink.put(&[], status.connections.active);
    }),
    metric("rondel_connections_max", Kind::Gauge, &[], "How many there may be at once.", |status, sink| {
        sink.put(&[], status.connections.max);
    }),
    metric(
        "rondel_removed_connections_active",
        Kind::Gauge,
        &["kind"],
        "Connections of a `backend` or a `listener` that reloads removed.",
        |status, sink| {
            for kind in RemovedKind::ALL {
                let of_kind = status.removed.iter().filter(|removed| removed.kind == kind);
                sink.put(&[kind.name()], of_kind.map(|removed| removed.active).sum::<u64>());
            }
        },
    ),
    metric(
        "rondel_worker_connections_active",
        Kind::Gauge,
        &["worker"],
        "Connections by worker.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.active);
        },
    ),
    metric(
        "rondel_worker_turns",
        Kind::Counter,
        &["worker"],
        "Passes of a worker's loop.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.turns);
        },
    ),
    metric(
        "rondel_worker_early_submits",
        Kind::Counter,
        &["worker"],
        "The submission queue was full, and went to the kernel before the turn's end.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.early_submits);
        },
    ),
    metric(
        "rondel_worker_completion_overflows",
        Kind::Counter,
        &["worker"],
        "The completion queue was full at the end of a wait, and the kernel kept the rest.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.overflows);
        },
    ),
    metric("rondel_worker_buffers", Kind::Gauge, &["worker"], "Receive buffers.", |status, sink| {
        each_worker(status, sink, |worker| worker.buffers);
    }),
    metric(
        "rondel_worker_buffers_free",
        Kind::Gauge,
        &["worker"],
        "Of them, those that could be received into.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.buffers_free);
        },
    ),
    metric(
        "rondel_worker_pipes_open",
        Kind::Gauge,
        &["worker"],
        "Pipes for splicing that are open.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.pipes_open);
        },
    ),
    metric(
        "rondel_worker_pipes_free",
        Kind::Gauge,
        &["worker"],
        "Of them, those that no connection has.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.pipes_free);
        },
    ),
    metric(
        "rondel_access_log_lines",
        Kind::Counter,
        &["result"],
        "Lines of the access log that were `written`, and those that were `lost`.",
        |status, sink| {
            sink.put(&["written"], status.access_log.written);
            sink.put(&["lost"], status.access_log.lost);
        },
    ),
    metric(
        "rondel_config_last_reload_successful",
        Kind::Gauge,
        &[],
        "0 if the last reload was refused, otherwise 1.",
        |status, sink| {
            sink.put(&[], status.config.last_error.is_none());
        },
    ),
    metric(
        "rondel_config_last_reload_success_timestamp_seconds",
        Kind::Gauge,
        &[],
        "When the configuration in force was read, in seconds since 1970.",
        |status, sink| {
            sink.put(&[], status.config.loaded_at);
        },
    ),
    metric(
        "rondel_config_last_reload_duration_seconds",
        Kind::Gauge,
        &[],
        "How long the last reload took; not there before the first.",
        |status, sink| {
            status.config.last_seconds.into_iter().for_each(|seconds| sink.put(&[], seconds));
        },
    ),
    metric(
        "rondel_config_reloads",
        Kind::Counter,
        &["result"],
        "Reloads that were `applied` or `refused`.",
        |status, sink| {
            sink.put(&["applied"], status.config.applied);
            sink.put(&["refused"], status.config.refused);
        },
    ),
    metric(
        "rondel_listener_connections",
        Kind::Counter,
        &["listener"],
        "Connections accepted.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.accepted));
        },
    ),
    metric(
        "rondel_listener_connections_active",
        Kind::Gauge,
        &["listener"],
        "Connections that exist.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.active));
        },
    ),
    metric(
        "rondel_listener_connections_max",
        Kind::Gauge,
        &["listener"],
        "How many there may be at once.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.connections_max));
        },
    ),
    metric(
        "rondel_listener_clients_held",
        Kind::Gauge,
        &["listener"],
        "Clients that wait for a primary.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.held));
        },
    ),
    metric(
        "rondel_listener_accept_errors",
        Kind::Counter,
        &["listener"],
        "accept(2) failed.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.accept_errors));
        },
    ),
    metric(
        "rondel_listener_bytes",
        Kind::Counter,
        &["listener", "direction"],
        "Bytes relayed `to_backend` and `to_client`.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| {
                sink.put(&[name, "to_backend"], listener.bytes_to_backend);
                sink.put(&[name, "to_client"], listener.bytes_to_client);
            });
        },
    ),
    metric(
        "rondel_listener_connections_closed",
        Kind::Counter,
        &["listener", "reason"],
        "Connections that ended, by the reason.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| {
                // All of them, so that the first of a kind is an increase.
                for reason in CloseReason::ALL {
                    sink.put(&[name, reason.name()], listener.closed.get(reason));
                }
            });
        },
    ),
    metric(
        "rondel_pool_backup_serving",
        Kind::Gauge,
        &["pool"],
        "1 while the backup tier serves.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], pool.serving == Tier::Backup));
        },
    ),
    metric(
        "rondel_pool_clients_queued",
        Kind::Gauge,
        &["pool"],
        "Clients that wait for a backend that is not full.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], pool.queued));
        },
    ),
    metric(
        "rondel_pool_primaries_in_conflict",
        Kind::Gauge,
        &["pool"],
        "Backends that all say they are the primary; 0 unless that is more than one.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], pool.conflict.len() as u64));
        },
    ),
    metric(
        "rondel_pool_backends_available",
        Kind::Gauge,
        &["pool"],
        "Backends with a weight that are neither down nor ejected.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| {
                let available =
                    pool.backends.iter().filter(|backend| backend.weight > 0 && backend.is_available());
                sink.put(&[&pool.name], available.count() as u64);
            });
        },
    ),
    metric(
        "rondel_pool_connect_duration_seconds",
        Kind::Histogram,
        &["pool"],
        "How long attempts to connect took that succeeded.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], &pool.connect));
        },
    ),
    metric(
        "rondel_pool_connection_duration_seconds",
        Kind::Histogram,
        &["pool"],
        "How long connections lived that have ended, from when the client was accepted.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], &pool.life));
        },
    ),
    metric(
        "rondel_backend_up",
        Kind::Gauge,
        &["pool", "backend"],
        "0 if it is down or ejected, otherwise 1.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.is_available()));
        },
    ),
    metric(
        "rondel_backend_state",
        Kind::Gauge,
        &["pool", "backend", "state"],
        "1 for the state it is in: `unknown`, `up`, `down` or `ejected`.",
        |status, sink| {
            each_backend(status, sink, |backend, [pool, name], sink| {
                for state in BackendState::ALL {
                    sink.put(&[pool, name, state.name()], backend.state == state);
                }
            });
        },
    ),
    metric(
        "rondel_backend_role",
        Kind::Gauge,
        &["pool", "backend", "role"],
        "1 for the role it has: `primary`, `replica`, or `lagging`; only where its probe asks.",
        |status, sink| {
            each_backend(status, sink, |backend, [pool, name], sink| {
                let Some(has) = backend.role else { return };
                for role in BackendRole::ALL {
                    sink.put(&[pool, name, role.name()], has == role);
                }
            });
        },
    ),
    metric(
        "rondel_backend_lag_seconds",
        Kind::Gauge,
        &["pool", "backend"],
        "How far a replica is behind; only where its probe says so.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| {
                backend.lag_seconds.into_iter().for_each(|lag| sink.put(&names, lag));
            });
        },
    ),
    metric(
        "rondel_backend_weight",
        Kind::Gauge,
        &["pool", "backend"],
        "Its share of new connections, as the file and operators say it.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, u32::from(backend.weight)));
        },
    ),
    metric(
        "rondel_backend_overridden",
        Kind::Gauge,
        &["pool", "backend"],
        "1 while what an operator said holds over the file: a drain, a weight, disabled.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| {
                sink.put(&names, backend.overrides != Override::default());
            });
        },
    ),
    metric(
        "rondel_backend_connections_active",
        Kind::Gauge,
        &["pool", "backend"],
        "Connections that exist.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.active));
        },
    ),
    metric(
        "rondel_backend_picks",
        Kind::Counter,
        &["pool", "backend"],
        "Attempts to connect: how often it was picked.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.picked));
        },
    ),
    metric(
        "rondel_backend_connections",
        Kind::Counter,
        &["pool", "backend"],
        "Attempts that succeeded.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.connected));
        },
    ),
    metric(
        "rondel_backend_connect_errors",
        Kind::Counter,
        &["pool", "backend"],
        "Attempts that failed.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.connect_failed));
        },
    ),
    metric(
        "rondel_backend_retries",
        Kind::Counter,
        &["pool", "backend"],
        "Attempts that failed and were followed by one at another backend.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.retried));
        },
    ),
    metric(
        "rondel_backend_bytes",
        Kind::Counter,
        &["pool", "backend", "direction"],
        "Bytes relayed `to_backend` and `to_client`.",
        |status, sink| {
            each_backend(status, sink, |backend, [pool, name], sink| {
                sink.put(&[pool, name, "to_backend"], backend.bytes_to_backend);
                sink.put(&[pool, name, "to_client"], backend.bytes_to_client);
            });
        },
    ),
    metric(
        "rondel_backend_connections_closed",
        Kind::Counter,
        &["pool", "backend", "reason"],
        "Connections that ended, by the reason; without those that never occurred.",
        |status, sink| {
            each_backend(status, sink, |backend, [pool, name], sink| {
                for (reason, count) in backend.closed.iter() {
                    sink.put(&[pool, name, reason.name()], count);
                }
            });
        },
    ),
    metric(
        "rondel_probes",
        Kind::Counter,
        &["pool", "backend", "result"],
        "Probes that `passed`, `failed`, or were `inconclusive`: those say nothing of the backend.",
        |status, sink| {
            each_probe(status, sink, |probe, [pool, name], sink| {
                sink.put(&[pool, name, "passed"], probe.passed);
                sink.put(&[pool, name, "failed"], probe.failed);
                sink.put(&[pool, name, "inconclusive"], probe.inconclusive);
            });
        },
    ),
    metric(
        "rondel_probe_errors",
        Kind::Counter,
        &["pool", "backend", "error"],
        "Probes without an answer, by why; without errors that never occurred.",
        |status, sink| {
            each_probe(status, sink, |probe, [pool, name], sink| {
                for (error, count) in &probe.errors {
                    sink.put(&[pool, name, error], *count);
                }
            });
        },
    ),
    metric(
        "rondel_probe_duration_seconds",
        Kind::Gauge,
        &["pool", "backend"],
        "How long the last probe took.",
        |status, sink| {
            each_probe(status, sink, |probe, names, sink| {
                probe.latency_seconds.into_iter().for_each(|seconds| sink.put(&names, seconds));
            });
        },
    ),
    metric(
        "rondel_probe_late_seconds",
        Kind::Gauge,
        &["pool", "backend"],
        "How long after its time the last probe began.",
        |status, sink| {
            each_probe(status, sink, |probe, names, sink| sink.put(&names, probe.late_seconds));
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::{DescribedMetric, described_metrics, encode};
    use crate::samples::status;

    #[test]
    fn every_metric_is_in_the_text_and_the_text_has_an_end() {
        let text = encode(status());
        for DescribedMetric { name, .. } in described_metrics() {
            assert!(text.lines().any(|line| line.starts_with(&name)), "{name} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn numbers_stand_with_their_labels() {
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
