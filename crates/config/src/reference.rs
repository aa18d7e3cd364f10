//! Every key of a file with its type, default, range and meaning.
//!
//! `docs/reference/configuration.md` is made of it. The parser does not read this table. The tests compare it with the
//! parser key by key: the keys are those of the sections, each default is what the parser gives, the ends of each
//! range are accepted, and what is beyond them is rejected.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::{Balance, Fallback, LogFormat, OnAllDown, OnDemotion, OnLoss, Tier};
use crate::duration::show;
use crate::limits;
use crate::probe::Method;

use Absent::{Otherwise, Required, Written};

#[cfg(test)]
mod tests;

/// A section of the file.
#[derive(Debug)]
pub struct Section {
    /// Where it is in the file: `pools[].eject`; empty for the file itself.
    pub path: &'static str,
    /// What it is, as sentences.
    pub about: &'static str,
    /// Its keys, in the order in which messages list them.
    pub keys: Vec<Key>,
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    /// As it is written in the file.
    pub name: &'static str,
    /// What its value may be.
    pub value: Value,
    /// What holds without it.
    pub absent: Absent,
    /// What it sets, as sentences.
    pub meaning: &'static str,
}

/// What the value of a key may be.
#[derive(Debug)]
pub enum Value {
    /// A whole number.
    Number(RangeInclusive<u64>),
    /// The same, or `auto`.
    NumberOrAuto(RangeInclusive<u64>),
    /// A duration.
    Duration(RangeInclusive<Duration>),
    /// The same, in whole seconds.
    Seconds(RangeInclusive<Duration>),
    /// One of these words.
    Word(Vec<String>),
    /// `true` or `false`.
    Switch,
    /// Keys of its own.
    Section,
    /// A list of at most so many of these, and of at least one.
    List(&'static str, usize),
    /// A text of this type, within these bounds.
    Text(&'static str, &'static str),
}

/// What holds without a key.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The file is refused.
    Required,
    /// As if this were written.
    Written(&'static str),
    /// What this says.
    Otherwise(&'static str),
}

impl Value {
    /// What the value is, in a word or two.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::NumberOrAuto(_) => "number or `auto`",
            Self::Duration(_) => "duration",
            Self::Seconds(_) => "duration in whole seconds",
            Self::Word(_) => "word",
            Self::Switch => "boolean",
            Self::Section => "section",
            Self::List(of, _) => of,
            Self::Text(name, _) => name,
        }
    }

    /// Which values are accepted; empty if the type says it all.
    pub fn range(&self) -> String {
        match self {
            Self::Number(range) | Self::NumberOrAuto(range) => {
                format!("{} to {}", range.start(), range.end())
            }
            Self::Duration(range) | Self::Seconds(range) => {
                format!("{} to {}", show(*range.start()), show(*range.end()))
            }
            Self::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Switch => "`true`, `false`".to_owned(),
            Self::Section => String::new(),
            Self::List(_, most) => format!("1 to {most} of them"),
            Self::Text(_, range) => (*range).to_owned(),
        }
    }
}

/// Every section that a file can have, from the outermost to the innermost.
pub fn sections() -> Vec<Section> {
    let mut sections = vec![file(), runtime(), admin(), access_log(), listener(), hold(), pool()];
    sections.extend([keepalive(), eject(), queue(), backend(), probe()]);
    sections.extend([http(), expect(), roles(), exchange(), postgres(), mysql(), redis(), tls()]);
    sections
}

fn file() -> Section {
    Section {
        path: "",
        about: "The keys of the file itself.",
        keys: vec![
            key("version", Value::Text("number", "1"), Written("1"), "The version of the format."),
            key("runtime", Value::Section, Otherwise("the defaults of its keys"), "Settings of the process."),
            key(
                "admin",
                Value::Section,
                Otherwise("the defaults of its keys"),
                "The admin interface. A change needs a restart.",
            ),
            key(
                "access_log",
                Value::Text(
                    "`off`, a target, or section",
                    "`off`, `stderr`, `syslog`, `syslog:PATH`, the absolute path of a file",
                ),
                Written("off"),
                "Where one line for each ended connection is written. A target alone stands for a section \
                 with that `to`.",
            ),
            key(
                "listeners",
                Value::List("list of sections", limits::LISTENERS_MAX),
                Required,
                "The addresses to accept on.",
            ),
            key(
                "pools",
                Value::List("list of sections", limits::POOLS_MAX),
                Required,
                "The groups of backends.",
            ),
        ],
    }
}

fn runtime() -> Section {
    Section {
        path: "runtime",
        about: "Settings of the process. A change of any key but `drain_timeout` needs a restart.",
        keys: vec![
            key(
                "workers",
                Value::NumberOrAuto(numbers(limits::WORKERS)),
                Written("auto"),
                "Worker threads. `auto` starts one for each CPU the process may run on.",
            ),
            key(
                "max_connections",
                Value::NumberOrAuto(numbers(limits::CONNECTIONS)),
                Written("auto"),
                "Connections at once, over all listeners. `auto` derives the number from the limit of open \
                 files.",
            ),
            key(
                "drain_timeout",
                Value::Duration(limits::DRAIN_TIMEOUT),
                Written("30s"),
                "How long established connections may continue after SIGTERM or SIGINT.",
            ),
        ],
    }
}

fn admin() -> Section {
    Section {
        path: "admin",
        about: "The admin interface. A change needs a restart.",
        keys: vec![
            key(
                "socket",
                Value::Text("`auto`, `off` or path", "an absolute path of at most 90 bytes"),
                Written("auto"),
                "The Unix socket of the commands. `auto` is `/run/rondel/admin.sock`; if it cannot be \
                 created there, a warning is logged and the process runs without one. If a path cannot be \
                 created, the process does not start.",
            ),
            key(
                "http",
                Value::Text("address or `off`", "`IP:PORT`, `:PORT`"),
                Written("off"),
                "The TCP address where metrics, status and the dashboard can be read. Nothing can be \
                 changed through it.",
            ),
        ],
    }
}

fn access_log() -> Section {
    Section {
        path: "access_log",
        about: "The access log, where more than its target is set.",
        keys: vec![
            key(
                "to",
                Value::Text(
                    "target",
                    "`off`, `stderr`, `syslog`, `syslog:PATH`, the absolute path of a file",
                ),
                Required,
                "Where lines are written. `syslog` is `/dev/log`.",
            ),
            key(
                "format",
                words(LogFormat::ALL),
                Written("text"),
                "`text` has the fields of HAProxy's `option tcplog`; `json` writes one object a line.",
            ),
            key(
                "skip_empty",
                Value::Switch,
                Written("false"),
                "Leaves out connections that moved no byte and that the client ended.",
            ),
        ],
    }
}

fn listener() -> Section {
    Section {
        path: "listeners[]",
        about: "An address to accept on.",
        keys: vec![
            key("name", NAME, Otherwise("the address"), "The name in logs, metrics and commands."),
            key("address", LISTEN, Required, "The address to bind. `:PORT` is every address of the host."),
            key("pool", NAME, Required, "The pool its connections go to."),
            key(
                "role",
                Value::Word(vec!["primary".into(), "replica".into()]),
                Written("null"),
                "Connections go only to backends with this role. The probe of the pool must report roles.",
            ),
            key(
                "hold",
                Value::Section,
                Otherwise("the defaults of its keys"),
                "Clients that wait for a primary. Only with `role: primary`; `off` holds none.",
            ),
            key(
                "fallback",
                words(Fallback::ALL),
                Written("none"),
                "Where readers go while there is no replica. Only with `role: replica`.",
            ),
            key(
                "access_log",
                Value::Switch,
                Written("true"),
                "`false` leaves its connections out of the access log.",
            ),
            key(
                "backlog",
                Value::Number(numbers(limits::BACKLOG)),
                Written("4096"),
                "Connections the kernel queues for each worker; `net.core.somaxconn` limits it.",
            ),
            key(
                "max_connections",
                Value::Number(numbers(limits::CONNECTIONS)),
                Written("10000"),
                "Connections at once. At the limit the listener stops accepting, and clients wait in the \
                 backlog.",
            ),
            key(
                "freebind",
                Value::Switch,
                Written("false"),
                "Binds an address that the host does not hold yet.",
            ),
            key(
                "v6only",
                Value::Switch,
                Written("false"),
                "Keeps a listener at `[::]` from taking IPv4 connections too.",
            ),
        ],
    }
}

fn hold() -> Section {
    Section {
        path: "listeners[].hold",
        about: "How many clients wait for a primary, and how long.",
        keys: vec![
            key(
                "connections",
                Value::Number(numbers(limits::WAITING)),
                Written("1000"),
                "Clients held at once; beyond it a client is reset.",
            ),
            key(
                "timeout",
                Value::Duration(limits::WAITING_TIMEOUT),
                Written("10s"),
                "How long a client is held before it is reset.",
            ),
        ],
    }
}

fn pool() -> Section {
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

fn keepalive() -> Section {
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

fn eject() -> Section {
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

fn queue() -> Section {
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

fn backend() -> Section {
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

fn probe() -> Section {
    let answers = || Value::Number(numbers(limits::PROBE_ANSWERS));
    let none = Otherwise("-");
    Section {
        path: "pools[].probe",
        about: "How backends are probed: one key of a kind, and when. `probe: tcp`, `probe: http` and \
                `probe: redis` stand for the defaults of that kind.",
        keys: vec![
            key("tcp", Value::Section, none, "Connects. Without keys: `tcp: {}`."),
            key(
                "http",
                Value::Text("path or section", ""),
                none,
                "Sends an HTTP/1.1 request. A path alone stands for a section with that `path`.",
            ),
            key("exchange", Value::Section, none, "Sends bytes and looks for others in the answer."),
            key(
                "postgres",
                Value::Section,
                none,
                "Logs in to PostgreSQL 10 or later and reads its role and lag.",
            ),
            key("mysql", Value::Section, none, "Logs in to MySQL or MariaDB and reads its role and lag."),
            key("redis", Value::Section, none, "Reads the role and lag of Redis or Valkey."),
            key(
                "port",
                Value::Number(1..=65_535),
                Written("null"),
                "The port to probe; without it, the port of the backend.",
            ),
            key(
                "interval",
                Value::Duration(limits::PROBE_INTERVAL),
                Written("2s"),
                "From the start of a probe to the start of the next.",
            ),
            key(
                "fast_interval",
                Value::Duration(limits::PROBE_INTERVAL),
                Otherwise("`500ms`, or `interval` if that is shorter"),
                "The same, while answers disagree with the state; not longer than `interval`.",
            ),
            key(
                "timeout",
                Value::Duration(limits::PROBE_TIMEOUT),
                Written("1s"),
                "How long one probe may take.",
            ),
            key("rise", answers(), Written("2"), "Passed probes in a row that bring a backend up."),
            key("fall", answers(), Written("3"), "Failed probes in a row that take a backend down."),
            key(
                "jitter",
                Value::Text("percentage", "0% to 50%"),
                Written("10%"),
                "How far intervals vary at random, so that probes do not coincide.",
            ),
        ],
    }
}

fn http() -> Section {
    Section {
        path: "pools[].probe.http",
        about: "A probe by HTTP/1.1.",
        keys: vec![
            key("path", PATH, Written("/"), "The path to request. Not with `roles`."),
            key("method", words(Method::ALL), Written("GET"), "The method."),
            key("host", VISIBLE, Written("localhost"), "The `Host` header."),
            key(
                "expect",
                Value::Section,
                Otherwise("the defaults of its keys"),
                "Which answer passes. Not with `roles`.",
            ),
            key(
                "roles",
                Value::Section,
                Otherwise("none: roles are not requested"),
                "Paths that answer for a role. Without keys, those of Patroni.",
            ),
            TLS,
        ],
    }
}

fn expect() -> Section {
    Section {
        path: "pools[].probe.http.expect",
        about: "Which HTTP answer passes.",
        keys: vec![
            key(
                "status",
                Value::Text("status, range or list", "100 to 599; a list has at most 64"),
                Written("200-399"),
                "The statuses that pass.",
            ),
            key(
                "body",
                TEXT,
                Otherwise("any body"),
                "Text within the first 64 KiB of the body. Without it the body is not waited for.",
            ),
        ],
    }
}

fn roles() -> Section {
    Section {
        path: "pools[].probe.http.roles",
        about: "Paths that answer for a role: a status of 200 to 299 says yes, 503 says no, and any other \
                fails the probe.",
        keys: vec![
            key("primary", PATH, Written("/primary"), "Answers on the primary."),
            key("replica", PATH, Written("/replica"), "Answers on a replica that readers may use."),
        ],
    }
}

fn exchange() -> Section {
    let bytes =
        || Value::Text("text", "at most 4096 bytes, with `\\r`, `\\n`, `\\t`, `\\0`, `\\\\`, `\\xHH`");
    Section {
        path: "pools[].probe.exchange",
        about: "A probe by bytes.",
        keys: vec![
            key("send", bytes(), Written("''"), "What is sent first. Nothing where the server speaks first."),
            key("expect", bytes(), Required, "What the first 64 KiB of the answer must contain."),
            key("goodbye", bytes(), Written("''"), "What is sent before the probe disconnects."),
            TLS,
        ],
    }
}

fn postgres() -> Section {
    Section {
        path: "pools[].probe.postgres",
        about: "A probe of PostgreSQL.",
        keys: vec![
            key("user", TEXT, Required, "The user. It needs no privilege but to log in."),
            key("database", TEXT, Written("postgres"), "The database to log in to."),
            PASSWORD_FILE,
            PASSWORD_ENV,
            TLS,
        ],
    }
}

fn mysql() -> Section {
    Section {
        path: "pools[].probe.mysql",
        about: "A probe of MySQL or MariaDB.",
        keys: vec![
            key(
                "user",
                TEXT,
                Required,
                "The user. To see the lag it needs `REPLICATION CLIENT`, or `REPLICA MONITOR` on MariaDB.",
            ),
            PASSWORD_FILE,
            PASSWORD_ENV,
            TLS,
        ],
    }
}

fn redis() -> Section {
    Section {
        path: "pools[].probe.redis",
        about: "A probe of Redis or Valkey.",
        keys: vec![
            key(
                "user",
                TEXT,
                Otherwise("the default user"),
                "The user, if the server requires one. It may run `ROLE` and `INFO`.",
            ),
            PASSWORD_FILE,
            PASSWORD_ENV,
            TLS,
        ],
    }
}

fn tls() -> Section {
    Section {
        path: "pools[].probe.*.tls",
        about: "TLS of a probe. The certificate of the server is always verified.",
        keys: vec![
            key(
                "authority",
                FILE,
                Required,
                "The certificates of the authorities, PEM. Read for each probe.",
            ),
            key("name", VISIBLE, Required, "The name or IP address in the certificate of the server."),
        ],
    }
}

const NAME: Value = Value::Text("name", "1 to 64 letters, digits and `-_.:/[]%`");
const LISTEN: Value = Value::Text("address", "`IP:PORT`, `:PORT`");
const ADDRESS: Value = Value::Text("address", "`IP:PORT`");
const PATH: Value = Value::Text("path", "begins with `/`, at most 4096 bytes");
const VISIBLE: Value = Value::Text("text", "1 to 4096 visible ASCII characters");
const TEXT: Value = Value::Text("text", "1 to 4096 bytes");
const FILE: Value = Value::Text("path of a file", "1 to 4096 bytes");

const PASSWORD_FILE: Key = key(
    "password_file",
    FILE,
    Otherwise("no password"),
    "The file whose first line is the password. Read for each probe. Not with `password_env`.",
);
const PASSWORD_ENV: Key = key(
    "password_env",
    Value::Text("name of a variable", "letters, digits and `_`"),
    Otherwise("no password"),
    "The environment variable that has the password.",
);
const TLS: Key = key("tls", Value::Section, Otherwise("none: plain text"), "TLS around the probe.");

const fn key(name: &'static str, value: Value, absent: Absent, meaning: &'static str) -> Key {
    Key { name, value, absent, meaning }
}

fn words<T: Display>(known: &[T]) -> Value {
    Value::Word(known.iter().map(T::to_string).collect())
}

fn numbers<T: Copy + Into<u64>>(range: RangeInclusive<T>) -> RangeInclusive<u64> {
    (*range.start()).into()..=(*range.end()).into()
}
