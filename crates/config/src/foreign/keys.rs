//! Keys of other programs, and the matching keys of rondel.

use crate::sections::{
    ACCESS_LOG, ADMIN, ADMIN_HTTP, BACKEND, EJECT, EXCHANGE, FILE, HOLD, HTTP, KEEPALIVE, LISTENER, MYSQL,
    POOL, POSTGRES, PROBE, QUEUE, REDIS, ROUTE, RUNTIME, Section,
};

/// Keys of other programs with one meaning.
pub(super) struct Foreign {
    /// Separated by spaces, in any style: `max_conns` is also `max-conns` and `maxConns`.
    pub(super) words: &'static str,
    /// The sections in which they are likely to be written.
    pub(super) within: &'static [&'static Section],
    pub(super) here: Here,
}

/// What matches them here.
pub(super) enum Here {
    /// A key of some section. The example is a valid line of it.
    Key { section: &'static Section, key: &'static str, example: &'static str },
    /// Nothing yet.
    NotYet(&'static str),
    /// Something else, or nothing for a reason.
    Other(&'static str),
}

const fn is(
    words: &'static str,
    within: &'static [&'static Section],
    section: &'static Section,
    key: &'static str,
    example: &'static str,
) -> Foreign {
    Foreign { words, within, here: Here::Key { section, key, example } }
}

const fn not_yet(
    words: &'static str,
    within: &'static [&'static Section],
    sentence: &'static str,
) -> Foreign {
    Foreign { words, within, here: Here::NotYet(sentence) }
}

const fn other(words: &'static str, within: &'static [&'static Section], sentence: &'static str) -> Foreign {
    Foreign { words, within, here: Here::Other(sentence) }
}

const TRAFFIC: &[&Section] = &[&FILE, &LISTENER, &POOL, &BACKEND];
const PROCESS: &[&Section] = &[&FILE, &RUNTIME];
const BALANCED: &[&Section] = &[&LISTENER, &POOL, &BACKEND];
const SERVED: &[&Section] = &[&POOL, &BACKEND];
const LOGINS: &[&Section] = &[&POSTGRES, &MYSQL, &REDIS];
const ASKED: &[&Section] = &[&HTTP, &EXCHANGE, &POSTGRES, &MYSQL, &REDIS];

const PROXY_PROTOCOL_HERE: &str = "headers of proxies in front are `proxy_protocol` of a listener, those for backends `send_proxy` of a pool";
const SEND_PROXY_HERE: &str =
    "write `send_proxy` in the pool, as in `send_proxy: v2`: its probes send the header too";

/// The first match is used.
pub(super) const KEYS: &[Foreign] = &[
    // Not available yet.
    not_yet(
        "tls ssl https tls_context transport_socket certificate certificates cert certs crt ssl_certificate \
         ssl_certificate_key ssl_protocols ciphers ca_file verify proxy_ssl tls_options",
        TRAFFIC,
        "rondel does not have TLS yet: what clients and backends send is relayed unchanged, TLS too",
    ),
    other("accept_proxy use_proxy_proto", TRAFFIC, PROXY_PROTOCOL_HERE),
    other("proxy_protocol", &[&FILE, &POOL, &BACKEND], PROXY_PROTOCOL_HERE),
    other("send_proxy_v2 check_send_proxy proxy_protocol_version", TRAFFIC, SEND_PROXY_HERE),
    other("send_proxy", &[&FILE, &LISTENER, &BACKEND], SEND_PROXY_HERE),
    other(
        "allow deny acl acls rbac whitelist blacklist allowlist allow_list denylist deny_list source_ranges \
         ip_allow_list src tcp_request",
        TRAFFIC,
        "rules by client address are lists under `access:`, and a listener names one, as in `access: internet`",
    ),
    other(
        "rate_limit rate_limits limit_conn limit_conn_zone stick_table per_client",
        TRAFFIC,
        "what one client may have is under `limits:`, and a listener names it, as in `limits: visitors`",
    ),
    is(
        "rate_limit_sessions limit_rate max_conn_rate maxconnrate",
        &[&FILE, &LISTENER, &RUNTIME],
        &LISTENER,
        "rate",
        "rate: 5000/s",
    ),
    other(
        "route route_config routers rules sni alpn ssl_preread use_backend filter_chains filter_chain_match \
         filters server_name server_names virtual_hosts hostnames match",
        TRAFFIC,
        "names and protocols of TLS are matched by `routes` of a listener; rondel does not read other content",
    ),
    other("routes", &[&FILE, &POOL, &BACKEND], "`routes` are keys of a listener"),
    is(
        "server_name server_names host hosts hostname domain domains name_match",
        &[&ROUTE],
        &ROUTE,
        "sni",
        "sni: [\"api.example.com\"]",
    ),
    is("protocol protocols application_protocols", &[&ROUTE], &ROUTE, "alpn", "alpn: [h2]"),
    is("backend upstream cluster to", &[&ROUTE], &ROUTE, "pool", "pool: web"),
    not_yet(
        "resolve resolver resolvers dns dns_resolvers dns_refresh_rate dns_lookup_family init_addr hostname fqdn \
         service_discovery discovery server_template",
        TRAFFIC,
        "rondel does not resolve names yet: write the IP address of each backend",
    ),
    // The file.
    is(
        "frontend frontends listen bind entry_points listener static_resources",
        &[&FILE],
        &FILE,
        "listeners",
        "listeners: [{ address: \":8080\", pool: web }]",
    ),
    is(
        "backend upstream upstreams cluster clusters server servers services stream",
        &[&FILE],
        &FILE,
        "pools",
        "pools: [{ name: web, backends: [\"10.0.0.1:80\"] }]",
    ),
    is("global process main", &[&FILE], &FILE, "runtime", "runtime: { workers: auto }"),
    other(
        "defaults default default_server",
        TRAFFIC,
        "rondel has no section for defaults: a key that is left out has the default that `configs/full.yaml` shows",
    ),
    other("rondel config configuration spec data", &[&FILE], "move what is below it to the top level"),
    other(
        "enabled enable disabled disable",
        &[&LISTENER, &POOL],
        "remove what is not used, or comment it out",
    ),
    other("include includes import conf_d", &[&FILE], "a configuration is one file"),
    other(
        "mode protocol protocols",
        TRAFFIC,
        "leave it out: rondel relays TCP with any protocol over it, and no UDP",
    ),
    other(
        "option options",
        TRAFFIC,
        "the options of HAProxy are keys of a pool here, such as `probe` and `keepalive`",
    ),
    // The process.
    is(
        "nbthread nbproc worker_processes threads concurrency cpus",
        PROCESS,
        &RUNTIME,
        "workers",
        "workers: 4",
    ),
    is(
        "maxconn worker_connections max_conn max_conns ulimit_n",
        PROCESS,
        &RUNTIME,
        "max_connections",
        "max_connections: 10000",
    ),
    is(
        "hard_stop_after worker_shutdown_timeout shutdown_timeout graceful_timeout drain_time grace_period \
         termination_grace_period grace",
        PROCESS,
        &RUNTIME,
        "drain_timeout",
        "drain_timeout: 30s",
    ),
    other(
        "worker_rlimit_nofile nofile rlimit_nofile",
        PROCESS,
        "it is the limit of the process: `LimitNOFILE=` of its systemd unit, or `ulimit -n`",
    ),
    other(
        "cpu_map worker_cpu_affinity cpu_affinity",
        PROCESS,
        "workers are pinned to the CPUs that the process may run on: `CPUAffinity=` of its systemd unit",
    ),
    other(
        "user group uid gid chroot daemon pidfile pid master_worker",
        PROCESS,
        "rondel runs in the foreground as the user that starts it: set these in its systemd unit",
    ),
    other(
        "error_log log_level loglevel level debug",
        PROCESS,
        "what the process does is logged to stderr; the environment variable `RUST_LOG` sets the level",
    ),
    is(
        "log logs logging access_logs",
        &[&FILE, &RUNTIME, &POOL],
        &FILE,
        "access_log",
        "access_log: syslog://127.0.0.1:514",
    ),
    is("log access_logs logging", &[&LISTENER], &LISTENER, "access_log", "access_log: true"),
    // The admin interface.
    is(
        "stats_socket admin_socket control_socket",
        &[&FILE, &RUNTIME, &ADMIN],
        &ADMIN,
        "socket",
        "socket: /run/rondel/admin.sock",
    ),
    is("path unix", &[&ADMIN], &ADMIN, "socket", "socket: /run/rondel/admin.sock"),
    is(
        "stats metrics prometheus status dashboard api monitoring",
        &[&FILE, &RUNTIME, &LISTENER],
        &ADMIN,
        "http",
        "http: \"127.0.0.1:9907\"",
    ),
    is(
        "address listen bind port stats metrics prometheus dashboard",
        &[&ADMIN],
        &ADMIN,
        "http",
        "http: \"127.0.0.1:9907\"",
    ),
    other(
        "token auth password user username users",
        &[&ADMIN],
        "`http` has a token: `http: { address: \":9907\", token_file: /etc/rondel/token }`",
    ),
    other(
        "token bearer_token auth authorization credentials password secret",
        &[&ADMIN_HTTP],
        "secrets must not be in this file: write the path of one, as in `token_file: /etc/rondel/token`",
    ),
    is(
        "bearer_token_file credentials_file password_file auth_file htpasswd users_file",
        &[&ADMIN_HTTP],
        &ADMIN_HTTP,
        "token_file",
        "token_file: /etc/rondel/token",
    ),
    is("listen bind addr port host", &[&ADMIN_HTTP], &ADMIN_HTTP, "address", "address: \"127.0.0.1:9907\""),
    // The access log.
    is(
        "path file target output destination location",
        &[&ACCESS_LOG],
        &ACCESS_LOG,
        "to",
        "to: /var/log/rondel/access.log",
    ),
    other(
        "server address host udp",
        &[&ACCESS_LOG],
        "a server is a target: `to: \"syslog://127.0.0.1:514\"`",
    ),
    is("log_format type style", &[&ACCESS_LOG], &ACCESS_LOG, "format", "format: json"),
    is(
        "field columns values fields_to_log json_format keys",
        &[&ACCESS_LOG],
        &ACCESS_LOG,
        "fields",
        "fields: [accepted_at, client, backend, duration_ms, code]",
    ),
    is("dontlognull dont_log_null", &[&ACCESS_LOG], &ACCESS_LOG, "skip_empty", "skip_empty: true"),
    // A listener.
    is(
        "bind listen port addr ip host socket_address listen_address",
        &[&LISTENER],
        &LISTENER,
        "address",
        "address: \":8080\"",
    ),
    is(
        "default_backend backend proxy_pass upstream cluster service target pools forward_to",
        &[&LISTENER],
        &LISTENER,
        "pool",
        "pool: web",
    ),
    is(
        "maxconn max_conn max_conns connection_limit",
        &[&LISTENER],
        &LISTENER,
        "max_connections",
        "max_connections: 10000",
    ),
    is("transparent ip_freebind", &[&LISTENER], &LISTENER, "freebind", "freebind: true"),
    is("ipv6only ipv6_only ipv4_compat v4v6", &[&LISTENER], &LISTENER, "v6only", "v6only: false"),
    other(
        "reuseport so_reuseport enable_reuse_port deferred defer_accept tcp_nodelay nodelay",
        BALANCED,
        "leave it out: rondel sets this itself",
    ),
    is("bind listen port", &[&POOL], &LISTENER, "address", "address: \":8080\""),
    // A pool.
    is(
        "server servers endpoints lb_endpoints load_assignment hosts members targets nodes peers instances upstreams",
        &[&LISTENER, &POOL],
        &POOL,
        "backends",
        "backends: [\"10.0.0.1:80\", \"10.0.0.2:80\"]",
    ),
    is(
        "lb_policy lb algorithm lb_algorithm load_balancing load_balancer method policy strategy least_conn \
         leastconn roundrobin random",
        &[&LISTENER, &POOL],
        &POOL,
        "balance",
        "balance: least_connections",
    ),
    is(
        "hash ip_hash hash_type hash_policy hash_key maglev ring_hash_lb_config consistent_hash stick sticky \
         session_affinity affinity persistence cookie",
        BALANCED,
        &POOL,
        "balance",
        "balance: maglev",
    ),
    is(
        "timeout_connect proxy_connect_timeout connection_timeout conn_timeout dial_timeout",
        BALANCED,
        &POOL,
        "connect_timeout",
        "connect_timeout: 3s",
    ),
    is(
        "timeout_client timeout_server timeout_tunnel proxy_timeout client_timeout server_timeout tunnel_timeout \
         read_timeout inactivity_timeout max_idle",
        BALANCED,
        &POOL,
        "idle_timeout",
        "idle_timeout: 1h",
    ),
    is(
        "timeout_client_fin timeout_server_fin timeout_fin client_fin fin_timeout",
        BALANCED,
        &POOL,
        "half_closed_timeout",
        "half_closed_timeout: 60s",
    ),
    is("timeout_check check_timeout", SERVED, &PROBE, "timeout", "timeout: 1s"),
    is(
        "timeout_queue queue_timeout maxqueue max_queue max_pending_requests",
        BALANCED,
        &POOL,
        "queue",
        "queue: { size: 1000, timeout: 10s }",
    ),
    other(
        "timeout timeouts",
        BALANCED,
        "a pool has `connect_timeout`, `idle_timeout` and `half_closed_timeout`, as in `connect_timeout: 3s`",
    ),
    is(
        "retries num_retries redispatch max_connect_attempts proxy_next_upstream_tries tries",
        BALANCED,
        &POOL,
        "attempts",
        "attempts: 3",
    ),
    is(
        "check checks health_check health_checks health tcp_check monitor health_checker active_health_check \
         liveness_probe readiness_probe",
        BALANCED,
        &POOL,
        "probe",
        "probe: tcp",
    ),
    is("httpchk http_check", BALANCED, &POOL, "probe", "probe: { http: /health }"),
    is("pgsql_check", BALANCED, &POOL, "probe", "probe: { postgres: { user: rondel } }"),
    is("mysql_check", BALANCED, &POOL, "probe", "probe: { mysql: { user: rondel } }"),
    is("redis_check", BALANCED, &POOL, "probe", "probe: redis"),
    is("inter interval check_interval", SERVED, &PROBE, "interval", "interval: 2s"),
    is("fastinter fast_interval", SERVED, &PROBE, "fast_interval", "fast_interval: 500ms"),
    is("rise healthy_threshold", SERVED, &PROBE, "rise", "rise: 2"),
    is("fall unhealthy_threshold", SERVED, &PROBE, "fall", "fall: 3"),
    is("check_port health_check_port probe_port", SERVED, &PROBE, "port", "port: 8008"),
    is("max_fails error_limit consecutive_errors", SERVED, &EJECT, "failures", "failures: 3"),
    is("fail_timeout base_ejection_time", SERVED, &EJECT, "for", "for: 10s"),
    is(
        "outlier_detection observe on_error passive_health_check",
        SERVED,
        &POOL,
        "eject",
        "eject: { failures: 3, for: 10s }",
    ),
    is("slowstart", &[&BACKEND], &POOL, "slow_start", "slow_start: 30s"),
    is("slow_start_config warmup", SERVED, &POOL, "slow_start", "slow_start: 30s"),
    is("on_marked_down", SERVED, &POOL, "on_down", "on_down: close"),
    is("on_marked_up", SERVED, &POOL, "on_demotion", "on_demotion: close"),
    is(
        "tcpka clitcpka srvtcpka so_keepalive tcp_keepalive proxy_socket_keepalive upstream_connection_options",
        BALANCED,
        &POOL,
        "keepalive",
        "keepalive: { idle: 60s }",
    ),
    is(
        "proxy_bind source_ip source_address upstream_bind_config bind_address",
        SERVED,
        &POOL,
        "source",
        "source: 10.0.0.5",
    ),
    // A backend.
    is(
        "maxconn max_conn max_conns connection_limit circuit_breakers circuit_breaker",
        SERVED,
        &BACKEND,
        "max_connections",
        "max_connections: 100",
    ),
    is("backup standby priority failover", SERVED, &BACKEND, "tier", "tier: backup"),
    is("disabled disable down drain enabled maintenance", &[&BACKEND], &BACKEND, "weight", "weight: 0"),
    is("lb_weight load_balancing_weight weights", SERVED, &BACKEND, "weight", "weight: 1"),
    is(
        "host ip port server addr endpoint url target socket_address",
        &[&BACKEND],
        &BACKEND,
        "address",
        "address: \"10.0.0.1:80\"",
    ),
    is("id label", &[&BACKEND], &BACKEND, "name", "name: a"),
    // A probe.
    other(
        "type kind protocol mode",
        &[&PROBE],
        "the kind is a key: `tcp`, `http`, `exchange`, `postgres`, `mysql` or `redis`, as in `http: /health`",
    ),
    is(
        "uri url httpchk http_get http_check http_health_check http_path endpoint",
        &[&PROBE],
        &PROBE,
        "http",
        "http: /health",
    ),
    is("https ssl check_ssl", &[&PROBE], &HTTP, "tls", TLS_EXAMPLE),
    is("ssl https sslmode ssl_mode", ASKED, &HTTP, "tls", TLS_EXAMPLE),
    is("tcp_check tcp_health_check connect tcp_socket", &[&PROBE], &PROBE, "tcp", "tcp: {}"),
    is("pgsql postgresql pgsql_check pg", &[&PROBE], &PROBE, "postgres", "postgres: { user: rondel }"),
    is("mariadb mysql_check galera", &[&PROBE], &PROBE, "mysql", "mysql: { user: rondel }"),
    is("valkey keydb redis_check", &[&PROBE], &PROBE, "redis", "redis: {}"),
    is("inter period period_seconds frequency every", &[&PROBE], &PROBE, "interval", "interval: 2s"),
    is("fastinter unhealthy_interval", &[&PROBE], &PROBE, "fast_interval", "fast_interval: 500ms"),
    is("healthy_threshold success_threshold passes healthy", &[&PROBE], &PROBE, "rise", "rise: 2"),
    is(
        "unhealthy_threshold failure_threshold fails max_fails retries unhealthy",
        &[&PROBE],
        &PROBE,
        "fall",
        "fall: 3",
    ),
    is("timeout_seconds timeout_check", &[&PROBE], &PROBE, "timeout", "timeout: 1s"),
    is("receive recv response", &[&PROBE, &EXCHANGE], &EXCHANGE, "expect", "expect: '+PONG'"),
    is("uri url endpoint", &[&HTTP], &HTTP, "path", "path: /health"),
    is(
        "status statuses expected_status expected_statuses code codes body match",
        &[&HTTP],
        &HTTP,
        "expect",
        "expect: { status: 200 }",
    ),
    is("headers header hdr", &[&HTTP], &HTTP, "host", "host: www.example.org"),
    is("username login usr", LOGINS, &POSTGRES, "user", "user: rondel"),
    is("db dbname", &[&POSTGRES], &POSTGRES, "database", "database: postgres"),
    // The smaller sections.
    is(
        "max_fails threshold consecutive_errors consecutive_gateway_failure errors after",
        &[&EJECT],
        &EJECT,
        "failures",
        "failures: 3",
    ),
    is("fail_timeout base_ejection_time duration time", &[&EJECT], &EJECT, "for", "for: 10s"),
    is("max_ejection_time cap", &[&EJECT], &EJECT, "max", "max: 300s"),
    is("time keepidle keepalive_time tcp_keepalive_time", &[&KEEPALIVE], &KEEPALIVE, "idle", "idle: 60s"),
    is(
        "keepintvl intvl keepalive_interval tcp_keepalive_intvl",
        &[&KEEPALIVE],
        &KEEPALIVE,
        "interval",
        "interval: 10s",
    ),
    is(
        "keepcnt cnt count keepalive_probes tcp_keepalive_probes",
        &[&KEEPALIVE],
        &KEEPALIVE,
        "probes",
        "probes: 6",
    ),
    is("connections length max maxqueue", &[&QUEUE], &QUEUE, "size", "size: 1000"),
    is("size length max maxqueue", &[&HOLD], &HOLD, "connections", "connections: 1000"),
];

const TLS_EXAMPLE: &str = "tls: { authority: /etc/rondel/ca.pem, name: db.example.org }";
