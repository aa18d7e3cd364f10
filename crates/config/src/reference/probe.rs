//! The keys of a probe.

use crate::limits;
use crate::probe::Method;
use crate::reference::key::Absent::{Otherwise, Required, Written};
use crate::reference::key::{Key, Section, Value, key, numbers, words};

pub(super) fn probe() -> Section {
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
                "send_proxy",
                Value::Word(vec!["auto".into(), "off".into()]),
                Written("auto"),
                "`auto` sends the header of the pool's `send_proxy`, if it has one; `off` is for a port that reads none.",
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

pub(super) fn http() -> Section {
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

pub(super) fn expect() -> Section {
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

pub(super) fn roles() -> Section {
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

pub(super) fn exchange() -> Section {
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

pub(super) fn postgres() -> Section {
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

pub(super) fn mysql() -> Section {
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

pub(super) fn redis() -> Section {
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

pub(super) fn tls() -> Section {
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
