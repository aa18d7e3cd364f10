//! The keys of a pool and of its backends.

use crate::config::{Backups, Balance, OnAllDown, OnDemotion, OnLoss, Tier};
use crate::limits;
use crate::reference::key::Absent::{Otherwise, Required, Written};
use crate::reference::key::{ADDRESS, Key, NAME, Section, Value, key, numbers, words};

pub(super) fn pool() -> Section {
    let keys = [connecting_of_pool(), health_of_pool(), tiers_of_pool(), rest_of_pool()];
    Section {
        path: "pools[]",
        about: "Backends that do the same work.",
        keys: keys.into_iter().flatten().collect(),
    }
}

fn connecting_of_pool() -> Vec<Key> {
    vec![
        key(
            "name",
            NAME,
            Required,
            "The name in logs, metrics and commands. A pool with another name is another pool to a reload.",
        ),
        key("balance", words(Balance::ALL), Written("round_robin"), "The balancing policy."),
        key(
            "connect_timeout",
            Value::Duration(limits::CONNECT_TIMEOUT),
            Written("3s"),
            "How long one attempt to connect may take.",
        ),
        key(
            "attempts",
            Value::Number(numbers(limits::ATTEMPTS)),
            Written("3"),
            "Backends that are tried for one connection, each once.",
        ),
        key(
            "idle_timeout",
            Value::Duration(limits::IDLE_TIMEOUT),
            Written("1h"),
            "A connection without progress in either direction for this long is closed.",
        ),
        key(
            "half_closed_timeout",
            Value::Duration(limits::HALF_CLOSED_TIMEOUT),
            Written("60s"),
            "The same, once one side has finished sending.",
        ),
        key(
            "keepalive",
            Value::Section,
            Otherwise("the defaults of its keys"),
            "TCP keepalive, on both sides.",
        ),
        key(
            "source",
            Value::Text("IP address", "an address of the host"),
            Written("null"),
            "The address to connect from, for connections and probes. Without it the kernel chooses.",
        ),
        key(
            "send_proxy",
            Value::Text("`off`, a version, or section", "`off`, `v1`, `v2`"),
            Written("off"),
            "The header of the PROXY protocol that backends are sent before a client's bytes, and by probes.",
        ),
    ]
}

fn health_of_pool() -> Vec<Key> {
    vec![
        key(
            "probe",
            Value::Text("word or section", "`tcp`, `http`, `redis`, or a section"),
            Written("null"),
            "How backends are probed.",
        ),
        key(
            "eject",
            Value::Section,
            Otherwise("the defaults of its keys"),
            "Ejects a backend after failed connects. `off` ejects none.",
        ),
        key(
            "on_all_down",
            words(OnAllDown::ALL),
            Otherwise("`open`; `closed` if a listener of the pool has a role"),
            "When every backend is down, `open` keeps using all of them, and `closed` rejects new \
             connections.",
        ),
        key(
            "on_down",
            words(OnLoss::ALL),
            Written("keep"),
            "Established connections to a backend that goes down. `close` needs a probe.",
        ),
        key(
            "slow_start",
            Value::Duration(limits::SLOW_START),
            Written("0s"),
            "How long a backend that came up gets less than its share. Needs a probe; not with `maglev`.",
        ),
    ]
}

fn tiers_of_pool() -> Vec<Key> {
    vec![
        key(
            "min_active",
            Value::Number(numbers(limits::MIN_ACTIVE)),
            Written("1"),
            "The backup tier serves while fewer backends of the active tier are available.",
        ),
        key(
            "backups",
            words(Backups::ALL),
            Written("all"),
            "`all` backups serve together; or only the `first` one of the file that is available, and never two.",
        ),
        key(
            "failback",
            Value::Word(vec!["auto".into(), "manual".into()]),
            Written("auto"),
            "`auto` returns to the active tier when it is available; `manual` waits for `rondel failback`.",
        ),
        key(
            "failback_delay",
            Value::Duration(limits::FAILBACK_DELAY),
            Written("0s"),
            "How long the active tier must be available before it takes over again. Only with `failback: \
             auto`.",
        ),
        key(
            "on_demotion",
            words(OnDemotion::ALL),
            Written("keep"),
            "Established connections to a tier that stops serving.",
        ),
    ]
}

fn rest_of_pool() -> Vec<Key> {
    vec![
        key(
            "on_role_loss",
            words(OnLoss::ALL),
            Written("close"),
            "Established connections of `role: primary` to a backend that lost the role.",
        ),
        key(
            "on_remove",
            Value::Word(vec!["drain".into(), "keep".into(), "close".into()]),
            Written("drain"),
            "Established connections whose backend, listener or pool a reload removes.",
        ),
        key(
            "on_remove_timeout",
            Value::Duration(limits::ON_REMOVE_TIMEOUT),
            Written("300s"),
            "How long they may continue. Only with `on_remove: drain`.",
        ),
        key(
            "max_lag",
            Value::Text("duration or size", "1ms to 24h, or at least 1B"),
            Written("null"),
            "A replica further behind than this gets no readers. PostgreSQL reports both, MySQL and \
             MariaDB time, Redis bytes.",
        ),
        key(
            "queue",
            Value::Section,
            Otherwise("the defaults of its keys"),
            "Clients that wait while all backends are at their `max_connections`. `off` queues none.",
        ),
        key(
            "backends",
            Value::List("list of sections or addresses", limits::BACKENDS_PER_POOL_MAX),
            Required,
            "The servers. A file has at most 65536 in all.",
        ),
    ]
}

pub(super) fn keepalive() -> Section {
    let time = || Value::Seconds(limits::KEEPALIVE_TIME);
    Section {
        path: "pools[].keepalive",
        about: "TCP keepalive, see tcp(7).",
        keys: vec![
            key("idle", time(), Written("60s"), "Silence before the first keepalive probe."),
            key("interval", time(), Written("10s"), "Time between keepalive probes."),
            key(
                "probes",
                Value::Number(numbers(limits::KEEPALIVE_PROBES)),
                Written("6"),
                "Unanswered keepalive probes that end the connection.",
            ),
        ],
    }
}

pub(super) fn eject() -> Section {
    Section {
        path: "pools[].eject",
        about: "When failed connects eject a backend, and for how long.",
        keys: vec![
            key(
                "failures",
                Value::Number(numbers(limits::EJECT_FAILURES)),
                Written("3"),
                "Failed connects in a row that eject a backend.",
            ),
            key(
                "for",
                Value::Duration(limits::EJECT_TIME),
                Written("10s"),
                "How long the first ejection lasts. Each further one lasts longer by as much.",
            ),
            key(
                "max",
                Value::Duration(limits::EJECT_TIME),
                Otherwise("`300s`, or `for` if that is longer"),
                "How long an ejection lasts at most; not shorter than `for`.",
            ),
        ],
    }
}

pub(super) fn queue() -> Section {
    Section {
        path: "pools[].queue",
        about: "How many clients wait for a backend below its `max_connections`, and how long.",
        keys: vec![
            key(
                "size",
                Value::Number(numbers(limits::WAITING)),
                Written("1000"),
                "Clients queued at once; beyond it a client is reset.",
            ),
            key(
                "timeout",
                Value::Duration(limits::WAITING_TIMEOUT),
                Written("10s"),
                "How long a client is queued before it is reset.",
            ),
        ],
    }
}

pub(super) fn backend() -> Section {
    Section {
        path: "pools[].backends[]",
        about: "A server. An address alone, `\"10.0.0.1:80\"`, stands for a section with that `address`.",
        keys: vec![
            key("name", NAME, Otherwise("the address"), "The name in logs, metrics and commands."),
            key("address", ADDRESS, Required, "The address to connect to."),
            key(
                "weight",
                Value::Number(numbers(limits::WEIGHT)),
                Written("1"),
                "Its share of new connections. 0 takes none.",
            ),
            key(
                "tier",
                words(Tier::ALL),
                Written("active"),
                "`backup` serves when fewer than `min_active` active backends are available.",
            ),
            key(
                "max_connections",
                Value::Number(numbers(limits::BACKEND_CONNECTIONS)),
                Written("0"),
                "Connections at once, over all workers. 0 or `off` is no limit.",
            ),
        ],
    }
}
