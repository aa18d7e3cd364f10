//! Values of other programs, and the matching values of rondel.

/// The choice, other programs' words, and the word here; or a sentence, if there is none.
pub(super) const WORDS: &[(&[&str], &str, &str)] = &[
    (
        POLICY,
        "leastconn least_conn leastconns least_request weighted_least_request least_time lc wlc",
        "least_connections",
    ),
    (
        POLICY,
        "source hash ip_hash ring_hash source_ip source_hash client_ip consistent consistent_hash ketama sh mh sticky",
        "maglev",
    ),
    (POLICY, "rr wrr static_rr weighted weighted_round_robin", "round_robin"),
    (POLICY, "p2c power_of_two power_of_two_choices random_two two", "random"),
    (
        POLICY,
        "failover active_passive active_backup",
        "give the first one `tier: active` and the others `tier: backup`",
    ),
    (
        POLICY,
        "uri url_param hdr rdp_cookie cookie",
        "rondel does not read what is sent: `maglev` uses the client's address",
    ),
    (&["role"], "master leader writer write rw read_write", "primary"),
    (&["role"], "slave standby secondary follower reader read ro read_only replicas", "replica"),
    (&["role"], "any all none off false", "leave the key out: then any backend is eligible"),
    (&["tier"], "standby passive spare secondary slave fallback", "backup"),
    (&["tier"], "main primary master hot default", "active"),
    (&["`failback`"], "off false no never none nopreempt", "manual"),
    (&["`failback`"], "on true yes always immediate preempt", "auto"),
    (LOSS, "shutdown_sessions shutdown_backup_sessions kill reset shutdown terminate", "close"),
    (LOSS, "none ignore nothing leave off false no", "keep"),
    (&["`on_remove`"], "graceful wait", "drain"),
    (&["`on_all_down`"], "fail_open all panic", "open"),
    (&["`on_all_down`"], "fail_closed none refuse reject", "closed"),
    (&["format"], "plain tcplog haproxy clf", "text"),
    (&["format"], "jsonl ndjson", "json"),
    (&["probe"], "postgresql pgsql pg", "write it as `probe: { postgres: { user: rondel } }`"),
    (&["probe"], "mariadb galera", "write it as `probe: { mysql: { user: rondel } }`"),
    (&["probe"], "valkey keydb", "redis"),
    (&["probe"], "connect port l4 tcp_check", "tcp"),
    (&["probe"], "httpchk http_get", "http"),
];

const POLICY: &[&str] = &["balancing policy"];
const LOSS: &[&str] = &["`on_down`", "`on_role_loss`", "`on_demotion`", "`on_remove`"];
