//! The sections of a file and their keys. Those of a probe stand with it, in `probing`.

use crate::fields::Section;

pub(crate) const FILE: Section = Section {
    name: "the file",
    keys: &["version", "runtime", "admin", "access_log", "listeners", "pools"],
    example: "listeners:",
};

pub(crate) const RUNTIME: Section = Section {
    name: "`runtime`",
    keys: &["workers", "max_connections", "drain_timeout"],
    example: "runtime: { workers: auto }",
};

pub(crate) const ADMIN: Section = Section {
    name: "`admin`",
    keys: &["socket", "http"],
    example: "admin: { socket: auto, http: \"127.0.0.1:9907\" }",
};

pub(crate) const ACCESS_LOG: Section = Section {
    name: "`access_log`",
    keys: &["to", "format", "skip_empty"],
    example: "access_log: { to: /var/log/rondel/access.log, format: json }",
};

pub(crate) const LISTENER: Section = Section {
    name: "a listener",
    keys: &[
        "name",
        "address",
        "pool",
        "role",
        "hold",
        "fallback",
        "access_log",
        "backlog",
        "max_connections",
        "freebind",
        "v6only",
    ],
    example: "- { address: \"0.0.0.0:8080\", pool: web }",
};

pub(crate) const POOL: Section = Section {
    name: "a pool",
    keys: &[
        "name",
        "balance",
        "connect_timeout",
        "attempts",
        "idle_timeout",
        "half_closed_timeout",
        "keepalive",
        "source",
        "probe",
        "eject",
        "on_all_down",
        "on_down",
        "slow_start",
        "min_active",
        "failback",
        "failback_delay",
        "on_demotion",
        "on_role_loss",
        "on_remove",
        "on_remove_timeout",
        "max_lag",
        "queue",
        "backends",
    ],
    example: "- { name: web, backends: [{ address: \"10.0.0.1:80\" }] }",
};

pub(crate) const KEEPALIVE: Section = Section {
    name: "`keepalive`",
    keys: &["idle", "interval", "probes"],
    example: "keepalive: { idle: 60s, interval: 10s, probes: 6 }",
};

pub(crate) const HOLD: Section = Section {
    name: "`hold`",
    keys: &["connections", "timeout"],
    example: "hold: { connections: 1000, timeout: 10s }",
};

pub(crate) const QUEUE: Section =
    Section { name: "`queue`", keys: &["size", "timeout"], example: "queue: { size: 1000, timeout: 10s }" };

pub(crate) const EJECT: Section = Section {
    name: "`eject`",
    keys: &["failures", "for", "max"],
    example: "eject: { failures: 3, for: 10s, max: 300s }` or as `eject: off",
};

pub(crate) const BACKEND: Section = Section {
    name: "a backend",
    keys: &["name", "address", "weight", "tier", "max_connections"],
    example: "- { address: \"10.0.0.1:80\" }",
};
