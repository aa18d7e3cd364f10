//! The sections of a file and their keys.

/// One kind of section and the keys it may have.
#[derive(Debug)]
pub(crate) struct Section {
    /// With its article: "a listener".
    pub(crate) name: &'static str,
    /// In the order in which messages list them.
    pub(crate) keys: &'static [&'static str],
    /// An example.
    pub(crate) example: &'static str,
}

pub(crate) const FILE: Section = Section {
    name: "the file",
    keys: &["version", "runtime", "admin", "access_log", "access", "limits", "listeners", "pools"],
    example: "listeners:",
};

pub(crate) const RUNTIME: Section = Section {
    name: "`runtime`",
    keys: &["workers", "max_connections", "drain_timeout", "state"],
    example: "runtime: { workers: auto }",
};

pub(crate) const ADMIN: Section = Section {
    name: "`admin`",
    keys: &["socket", "http"],
    example: "admin: { socket: auto, http: \"127.0.0.1:9907\" }",
};

pub(crate) const ADMIN_HTTP: Section = Section {
    name: "`http` of `admin`",
    keys: &["address", "token_file"],
    example: "http: { address: \":9907\", token_file: /etc/rondel/token }",
};

pub(crate) const ACCESS_LOG: Section = Section {
    name: "`access_log`",
    keys: &["to", "facility", "format", "fields", "skip_empty"],
    example: "access_log: { to: /var/log/rondel/access.log, format: json }",
};

pub(crate) const ACCESS: Section = Section {
    name: "an access list",
    keys: &["name", "rules", "otherwise", "refuse", "dry_run"],
    example: "- { name: internet, rules: [{ deny: [\"203.0.113.0/24\"] }] }",
};

pub(crate) const ACCESS_RULE: Section = Section {
    name: "a rule",
    keys: &["allow", "deny", "allow_file", "deny_file"],
    example: "- { deny: [\"203.0.113.0/24\"] }",
};

pub(crate) const LIMITS: Section = Section {
    name: "`limits`",
    keys: &["name", "connections", "rate", "burst", "source", "exempt", "refuse", "dry_run"],
    example: "- { name: visitors, connections: 256, rate: 20/s }",
};

pub(crate) const SOURCE: Section =
    Section { name: "`source`", keys: &["v4", "v6"], example: "source: { v4: 32, v6: 64 }" };

pub(crate) const LISTENER: Section = Section {
    name: "a listener",
    keys: &[
        "name",
        "address",
        "pool",
        "role",
        "hold",
        "fallback",
        "proxy_protocol",
        "opening",
        "access",
        "limits",
        "rate",
        "routes",
        "unknown",
        "silent",
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
        "send_proxy",
        "probe",
        "eject",
        "on_all_down",
        "on_down",
        "slow_start",
        "min_active",
        "backups",
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

pub(crate) const PROXY_PROTOCOL: Section = Section {
    name: "`proxy_protocol`",
    keys: &["from", "others", "versions"],
    example: "proxy_protocol: { from: [\"10.0.0.0/8\"] }",
};

pub(crate) const OPENING: Section = Section {
    name: "`opening`",
    keys: &["timeout", "connections"],
    example: "opening: { timeout: 5s, connections: 1000 }",
};

pub(crate) const ROUTE: Section = Section {
    name: "a route",
    keys: &["name", "sni", "alpn", "tls", "pool"],
    example: "- { sni: [\"api.example.com\"], pool: api }",
};

pub(crate) const SEND_PROXY: Section = Section {
    name: "`send_proxy`",
    keys: &["version", "tlvs"],
    example: "send_proxy: { version: v2, tlvs: [unique_id, crc32c] }",
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

pub(crate) const PROBE: Section = Section {
    name: "`probe`",
    keys: &[
        "tcp",
        "http",
        "exchange",
        "postgres",
        "mysql",
        "redis",
        "port",
        "send_proxy",
        "interval",
        "fast_interval",
        "timeout",
        "rise",
        "fall",
        "jitter",
    ],
    example: "probe: { tcp: {}, interval: 2s }",
};

pub(crate) const TCP: Section = Section { name: "`tcp`", keys: &[], example: "tcp: {}" };

pub(crate) const HTTP: Section = Section {
    name: "`http`",
    keys: &["path", "method", "host", "expect", "roles", "tls"],
    example: "http: { path: /health }",
};

pub(crate) const EXPECT: Section =
    Section { name: "`expect`", keys: &["status", "body"], example: "expect: { status: 200-399, body: ok }" };

pub(crate) const ROLES: Section = Section {
    name: "`roles`",
    keys: &["primary", "replica"],
    example: "roles: { primary: /primary, replica: /replica }",
};

pub(crate) const EXCHANGE: Section = Section {
    name: "`exchange`",
    keys: &["send", "expect", "goodbye", "tls"],
    example: "exchange: { send: 'PING\\r\\n', expect: '+PONG' }",
};

pub(crate) const POSTGRES: Section = Section {
    name: "`postgres`",
    keys: &["user", "database", "password_file", "password_env", "tls"],
    example: "postgres: { user: rondel }",
};

pub(crate) const MYSQL: Section = Section {
    name: "`mysql`",
    keys: &["user", "password_file", "password_env", "tls"],
    example: "mysql: { user: rondel }",
};

pub(crate) const REDIS: Section = Section {
    name: "`redis`",
    keys: &["user", "password_file", "password_env", "tls"],
    example: "redis: {}",
};

pub(crate) const TLS: Section = Section {
    name: "`tls`",
    keys: &["authority", "name"],
    example: "tls: { authority: /etc/rondel/ca.pem, name: db.example.org }",
};
