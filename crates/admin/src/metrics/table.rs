//! The table of metrics.

use api::{
    BackendRole, BackendState, BackendStatus, ListenerStatus, Override, Phase, PoolStatus, ProbeStatus,
    RemovedKind, RuleView, Status, Tier, WorkerStatus,
};
use connection::CloseReason;

use super::metric::{Kind, Metric, Sink};

/// Every metric, in the order of the output.
pub(crate) const METRICS: &[Metric] = &[
    Metric::new("rondel_build_info", Kind::Gauge, &["version"], "Always 1.", |status, sink| {
        sink.put(&[&status.version], true);
    }),
    Metric::new(
        "rondel_start_time_seconds",
        Kind::Gauge,
        &[],
        "When the process started, in seconds since 1970.",
        |status, sink| {
            sink.put(&[], status.started_at);
        },
    ),
    Metric::new(
        "rondel_uptime_seconds",
        Kind::Gauge,
        &[],
        "Seconds since the process started.",
        |status, sink| {
            sink.put(&[], status.uptime_seconds);
        },
    ),
    Metric::new(
        "rondel_serving",
        Kind::Gauge,
        &[],
        "1 while new connections are accepted, 0 during a drain.",
        |status, sink| {
            sink.put(&[], status.phase == Phase::Serving);
        },
    ),
    Metric::new(
        "rondel_connections_active",
        Kind::Gauge,
        &[],
        "Connections of the process.",
        |status, sink| {
            sink.put(&[], status.connections.active);
        },
    ),
    Metric::new(
        "rondel_connections_max",
        Kind::Gauge,
        &[],
        "The limit of connections of the process.",
        |status, sink| {
            sink.put(&[], status.connections.max);
        },
    ),
    Metric::new(
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
    Metric::new(
        "rondel_worker_connections_active",
        Kind::Gauge,
        &["worker"],
        "Connections by worker.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.active);
        },
    ),
    Metric::new(
        "rondel_worker_turns",
        Kind::Counter,
        &["worker"],
        "Turns of a worker's loop.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.turns);
        },
    ),
    Metric::new(
        "rondel_worker_early_submits",
        Kind::Counter,
        &["worker"],
        "How often the submission queue was full, so that it was submitted before the end of the turn.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.early_submits);
        },
    ),
    Metric::new(
        "rondel_worker_completion_overflows",
        Kind::Counter,
        &["worker"],
        "How often the completion queue was full at the end of a wait, so that the kernel kept the rest.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.overflows);
        },
    ),
    Metric::new("rondel_worker_buffers", Kind::Gauge, &["worker"], "Receive buffers.", |status, sink| {
        each_worker(status, sink, |worker| worker.buffers);
    }),
    Metric::new(
        "rondel_worker_buffers_free",
        Kind::Gauge,
        &["worker"],
        "Receive buffers that are free.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.buffers_free);
        },
    ),
    Metric::new(
        "rondel_worker_pipes_open",
        Kind::Gauge,
        &["worker"],
        "Open pipes for splicing.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.pipes_open);
        },
    ),
    Metric::new(
        "rondel_worker_pipes_free",
        Kind::Gauge,
        &["worker"],
        "Open pipes that no connection uses.",
        |status, sink| {
            each_worker(status, sink, |worker| worker.pipes_free);
        },
    ),
    Metric::new(
        "rondel_admin_requests_refused",
        Kind::Counter,
        &[],
        "Requests to `admin.http` that were refused, because they had no valid token.",
        |status, sink| {
            sink.put(&[], status.admin_refused);
        },
    ),
    Metric::new(
        "rondel_access_log_lines",
        Kind::Counter,
        &["result"],
        "Lines of the access log that were `written`, `lost`, or `left_out`: of clients refused for their address, beyond \
         a hundred a second and worker.",
        |status, sink| {
            sink.put(&["written"], status.access_log.written);
            sink.put(&["lost"], status.access_log.lost);
            sink.put(&["left_out"], status.access_log.left_out);
        },
    ),
    Metric::new(
        "rondel_config_last_reload_successful",
        Kind::Gauge,
        &[],
        "0 if the last reload was refused, otherwise 1.",
        |status, sink| {
            sink.put(&[], status.config.last_error.is_none());
        },
    ),
    Metric::new(
        "rondel_config_last_reload_success_timestamp_seconds",
        Kind::Gauge,
        &[],
        "When the configuration in force was read, in seconds since 1970.",
        |status, sink| {
            sink.put(&[], status.config.loaded_at);
        },
    ),
    Metric::new(
        "rondel_config_last_reload_duration_seconds",
        Kind::Gauge,
        &[],
        "How long the last reload took, in seconds; absent before the first.",
        |status, sink| {
            status.config.last_seconds.into_iter().for_each(|seconds| sink.put(&[], seconds));
        },
    ),
    Metric::new(
        "rondel_config_reloads",
        Kind::Counter,
        &["result"],
        "Reloads that were `applied` or `refused`.",
        |status, sink| {
            sink.put(&["applied"], status.config.applied);
            sink.put(&["refused"], status.config.refused);
        },
    ),
    Metric::new(
        "rondel_access_prefixes",
        Kind::Gauge,
        &["list", "rule"],
        "Prefixes of a rule of an access list; rules count from 1.",
        |status, sink| {
            each_rule(status, sink, |rule, labels, sink| sink.put(&labels, rule.prefixes));
        },
    ),
    Metric::new(
        "rondel_access_hits",
        Kind::Counter,
        &["list", "rule"],
        "Clients that a rule decided about. `otherwise` is no rule; `allowed` and `denied` is what operators said, and \
         the list `*` that of listeners without one.",
        |status, sink| {
            each_rule(status, sink, |rule, labels, sink| sink.put(&labels, rule.hits));
            for list in &status.access {
                let name = list.name.as_deref().unwrap_or(UNLISTED);
                sink.put(&[name, "otherwise"], list.otherwise_hits);
                sink.put(&[name, "allowed"], list.allowed_hits);
                sink.put(&[name, "denied"], list.denied_hits);
            }
        },
    ),
    Metric::new(
        "rondel_sources_known",
        Kind::Gauge,
        &[],
        "Sources of which something is known, over all limits, about.",
        |status, sink| {
            sink.put(&[], status.sources.known);
        },
    ),
    Metric::new(
        "rondel_sources_capacity",
        Kind::Gauge,
        &[],
        "The number of sources that there is room for.",
        |status, sink| {
            sink.put(&[], status.sources.capacity);
        },
    ),
    Metric::new(
        "rondel_limits_overflow",
        Kind::Counter,
        &["limits"],
        "Connections let in without being counted, as there was no place for their source.",
        |status, sink| {
            for limits in &status.limits {
                sink.put(&[&limits.name], limits.overflow);
            }
        },
    ),
    Metric::new(
        "rondel_limits_evicted",
        Kind::Counter,
        &["limits"],
        "Sources forgotten for others while their arrivals still counted.",
        |status, sink| {
            for limits in &status.limits {
                sink.put(&[&limits.name], limits.evicted);
            }
        },
    ),
    Metric::new(
        "rondel_listener_connections",
        Kind::Counter,
        &["listener"],
        "Connections accepted.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.accepted));
        },
    ),
    Metric::new(
        "rondel_listener_connections_active",
        Kind::Gauge,
        &["listener"],
        "Connections that exist.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.active));
        },
    ),
    Metric::new(
        "rondel_listener_connections_max",
        Kind::Gauge,
        &["listener"],
        "The limit of connections.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.connections_max));
        },
    ),
    Metric::new(
        "rondel_listener_clients_held",
        Kind::Gauge,
        &["listener"],
        "Clients that wait for a primary.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.held));
        },
    ),
    Metric::new(
        "rondel_listener_openings_active",
        Kind::Gauge,
        &["listener"],
        "Clients that have yet to show themselves, by a PROXY header or a TLS hello.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.openings));
        },
    ),
    Metric::new(
        "rondel_listener_openings_max",
        Kind::Gauge,
        &["listener"],
        "The limit of those, `opening.connections`.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.openings_max));
        },
    ),
    Metric::new(
        "rondel_listener_routed",
        Kind::Counter,
        &["listener", "route"],
        "Connections by the route that took them, of listeners with routes. `unknown` and `silent` are those that no \
         route took and that went to the pool of the listener. Those that were refused are counted by close reason.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| {
                for route in &listener.routes {
                    sink.put(&[name, &route.name], route.taken);
                }
            });
        },
    ),
    Metric::new(
        "rondel_proxy_headers",
        Kind::Counter,
        &["listener", "version"],
        "PROXY headers accepted: `v1`, `v2`, or `local` for connections of the proxy itself. Others are counted by \
         close reason.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| {
                sink.put(&[name, "v1"], listener.proxy_headers.v1);
                sink.put(&[name, "v2"], listener.proxy_headers.v2);
                sink.put(&[name, "local"], listener.proxy_headers.local);
            });
        },
    ),
    Metric::new(
        "rondel_listener_would_refuse",
        Kind::Counter,
        &["listener", "reason"],
        "Clients served that would have been refused without `dry_run`. Those refused are counted by close reason.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| {
                sink.put(&[name, CloseReason::Denied.name()], listener.would_refuse.denied);
                sink.put(&[name, CloseReason::SourceLimit.name()], listener.would_refuse.source_limit);
                sink.put(&[name, CloseReason::SourceRate.name()], listener.would_refuse.source_rate);
            });
        },
    ),
    Metric::new(
        "rondel_listener_rate_pauses",
        Kind::Counter,
        &["listener"],
        "How often accepting paused, as connections came faster than the `rate` of the listener.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.rate_pauses));
        },
    ),
    Metric::new(
        "rondel_listener_accept_errors",
        Kind::Counter,
        &["listener"],
        "How often accept(2) failed.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| sink.put(&[name], listener.accept_errors));
        },
    ),
    Metric::new(
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
    Metric::new(
        "rondel_listener_connections_closed",
        Kind::Counter,
        &["listener", "reason"],
        "Connections that ended, by reason.",
        |status, sink| {
            each_listener(status, sink, |listener, name, sink| {
                // Reasons that never occurred are included, so that `increase()` counts the first occurrence.
                for reason in CloseReason::ALL {
                    sink.put(&[name, reason.name()], listener.closed.get(reason));
                }
            });
        },
    ),
    Metric::new(
        "rondel_pool_backup_serving",
        Kind::Gauge,
        &["pool"],
        "1 while the backup tier serves.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], pool.serving == Tier::Backup));
        },
    ),
    Metric::new(
        "rondel_pool_proxy_fields_left_out",
        Kind::Counter,
        &["pool"],
        "TLVs of `send_proxy` that were left out, as the header would have become longer than 1024 bytes.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], pool.proxy_fields_left_out));
        },
    ),
    Metric::new(
        "rondel_pool_clients_queued",
        Kind::Gauge,
        &["pool"],
        "Clients that wait for a backend that is not full.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], pool.queued));
        },
    ),
    Metric::new(
        "rondel_pool_primaries_in_conflict",
        Kind::Gauge,
        &["pool"],
        "Backends that report that they are the primary, if there is more than one; otherwise 0.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], pool.conflict.len() as u64));
        },
    ),
    Metric::new(
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
    Metric::new(
        "rondel_pool_connect_duration_seconds",
        Kind::Histogram,
        &["pool"],
        "How long successful attempts to connect took.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], &pool.connect));
        },
    ),
    Metric::new(
        "rondel_pool_connection_duration_seconds",
        Kind::Histogram,
        &["pool"],
        "How long connections lived that ended, from the accept on.",
        |status, sink| {
            each_pool(status, sink, |pool, sink| sink.put(&[&pool.name], &pool.life));
        },
    ),
    Metric::new(
        "rondel_backend_up",
        Kind::Gauge,
        &["pool", "backend"],
        "0 if the backend is down or ejected, otherwise 1.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.is_available()));
        },
    ),
    Metric::new(
        "rondel_backend_state",
        Kind::Gauge,
        &["pool", "backend", "state"],
        "1 for its state, 0 for the others: `unknown`, `up`, `down` or `ejected`.",
        |status, sink| {
            each_backend(status, sink, |backend, [pool, name], sink| {
                for state in BackendState::ALL {
                    sink.put(&[pool, name, state.name()], backend.state == state);
                }
            });
        },
    ),
    Metric::new(
        "rondel_backend_role",
        Kind::Gauge,
        &["pool", "backend", "role"],
        "1 for its role, 0 for the others: `primary`, `replica` or `lagging`; absent if no role is known.",
        |status, sink| {
            each_backend(status, sink, |backend, [pool, name], sink| {
                let Some(has) = backend.role else { return };
                for role in BackendRole::ALL {
                    sink.put(&[pool, name, role.name()], has == role);
                }
            });
        },
    ),
    Metric::new(
        "rondel_backend_lag_seconds",
        Kind::Gauge,
        &["pool", "backend"],
        "How far a replica is behind the primary; absent if its probe does not report it.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| {
                backend.lag_seconds.into_iter().for_each(|lag| sink.put(&names, lag));
            });
        },
    ),
    Metric::new(
        "rondel_backend_weight",
        Kind::Gauge,
        &["pool", "backend"],
        "Its share of new connections, overrides included.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, u32::from(backend.weight)));
        },
    ),
    Metric::new(
        "rondel_backend_overridden",
        Kind::Gauge,
        &["pool", "backend"],
        "1 if an operator overrides the file: drained, disabled, or another weight.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| {
                sink.put(&names, backend.overrides != Override::default());
            });
        },
    ),
    Metric::new(
        "rondel_backend_connections_active",
        Kind::Gauge,
        &["pool", "backend"],
        "Connections that exist.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.active));
        },
    ),
    Metric::new(
        "rondel_backend_picks",
        Kind::Counter,
        &["pool", "backend"],
        "Attempts to connect, which is how often the backend was picked.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.picked));
        },
    ),
    Metric::new(
        "rondel_backend_connections",
        Kind::Counter,
        &["pool", "backend"],
        "Attempts that succeeded.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.connected));
        },
    ),
    Metric::new(
        "rondel_backend_connect_errors",
        Kind::Counter,
        &["pool", "backend"],
        "Attempts that failed.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.connect_failed));
        },
    ),
    Metric::new(
        "rondel_backend_retries",
        Kind::Counter,
        &["pool", "backend"],
        "Failed attempts that were followed by one at another backend.",
        |status, sink| {
            each_backend(status, sink, |backend, names, sink| sink.put(&names, backend.retried));
        },
    ),
    Metric::new(
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
    Metric::new(
        "rondel_backend_connections_closed",
        Kind::Counter,
        &["pool", "backend", "reason"],
        "Connections that ended, by reason; without reasons that never occurred.",
        |status, sink| {
            each_backend(status, sink, |backend, [pool, name], sink| {
                for (reason, count) in backend.closed.iter() {
                    sink.put(&[pool, name, reason.name()], count);
                }
            });
        },
    ),
    Metric::new(
        "rondel_probes",
        Kind::Counter,
        &["pool", "backend", "result"],
        "Probes that `passed`, `failed`, or were `inconclusive`, which does not count against the backend.",
        |status, sink| {
            each_probe(status, sink, |probe, [pool, name], sink| {
                sink.put(&[pool, name, "passed"], probe.passed);
                sink.put(&[pool, name, "failed"], probe.failed);
                sink.put(&[pool, name, "inconclusive"], probe.inconclusive);
            });
        },
    ),
    Metric::new(
        "rondel_probe_errors",
        Kind::Counter,
        &["pool", "backend", "error"],
        "Probes that failed or were inconclusive, by error; without errors that never occurred.",
        |status, sink| {
            each_probe(status, sink, |probe, [pool, name], sink| {
                for (error, count) in &probe.errors {
                    sink.put(&[pool, name, error], *count);
                }
            });
        },
    ),
    Metric::new(
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
    Metric::new(
        "rondel_probe_late_seconds",
        Kind::Gauge,
        &["pool", "backend"],
        "How late the last probe began.",
        |status, sink| {
            each_probe(status, sink, |probe, names, sink| sink.put(&names, probe.late_seconds));
        },
    ),
];

fn each_worker(status: &Status, sink: &mut Sink<'_>, number: impl Fn(&WorkerStatus) -> u64) {
    for (index, worker) in status.workers.iter().enumerate() {
        sink.put(&[&index.to_string()], number(worker));
    }
}

/// The list of listeners that name none; it is no name that a list can have.
const UNLISTED: &str = "*";

/// Each rule with its labels: the list, and its number.
fn each_rule(status: &Status, sink: &mut Sink<'_>, put: impl Fn(&RuleView, [&str; 2], &mut Sink<'_>)) {
    for list in &status.access {
        for (index, rule) in list.rules.iter().enumerate() {
            let name = list.name.as_deref().unwrap_or(UNLISTED);
            put(rule, [name, &(index + 1).to_string()], sink);
        }
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

/// Calls `put` for each backend with a probe.
fn each_probe(status: &Status, sink: &mut Sink<'_>, put: impl Fn(&ProbeStatus, [&str; 2], &mut Sink<'_>)) {
    each_backend(status, sink, |backend, names, sink| {
        backend.probe.iter().for_each(|probe| put(probe, names, sink));
    });
}
