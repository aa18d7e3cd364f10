//! The keys of the file, of the process and of listeners.

use crate::config::{Facility, Fallback, LogFormat};
use crate::limits;
use crate::reference::access;
use crate::reference::key::Absent::{Otherwise, Required, Written};
use crate::reference::key::{Key, NAME, Section, Value, key, numbers, words};
use crate::reference::route;

pub(super) fn file() -> Section {
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
                "The admin interface. A change of any key but `token_file` needs a restart.",
            ),
            key(
                "access_log",
                Value::Text(
                    "`off`, a target, or section",
                    "`off`, `stderr`, `syslog`, `syslog:PATH`, `syslog://IP:PORT`, the absolute path of a file",
                ),
                Written("off"),
                "Where one line for each ended connection is written. A target alone stands for a section \
                 with that `to`.",
            ),
            key(
                "access",
                Value::Text("list of sections", "up to 256 of them"),
                Written("[]"),
                "Which clients may connect: lists of rules about addresses. A listener names one.",
            ),
            key(
                "limits",
                Value::Text("list of sections", "up to 256 of them"),
                Written("[]"),
                "How much one source may have, over all listeners that name it.",
            ),
            key(
                "listeners",
                Value::List("list of sections", limits::LISTEN_ADDRESSES_MAX),
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

pub(super) fn runtime() -> Section {
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
            key(
                "state",
                Value::Text("`off` or path", "a whole path, such as `/var/lib/rondel`"),
                Written("off"),
                "The folder where what operators say about addresses survives a restart, in the file `state.json`. \
                 The process creates the file, not the folder. A file that cannot be read is a warning at the start.",
            ),
        ],
    }
}

pub(super) fn admin() -> Section {
    Section {
        path: "admin",
        about: "The admin interface. A change of any key but `token_file` needs a restart.",
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
                Value::Text("address, `off` or section", "`IP:PORT`, `:PORT`"),
                Written("off"),
                "The TCP address where metrics, status and the dashboard can be read. Nothing can be \
                 changed through it. An address alone stands for a section with that `address`.",
            ),
        ],
    }
}

pub(super) fn admin_http() -> Section {
    Section {
        path: "admin.http",
        about: "The TCP address of the admin interface, where more than the address is set.",
        keys: vec![
            key("address", LISTEN, Required, "The address to bind. `:PORT` is every address of the host."),
            key(
                "token_file",
                Value::Text(
                    "path",
                    "of a file with 16 to 1024 letters, digits and `-._~+/`, and `=` at the end",
                ),
                Written("null"),
                "The file of the token that clients must send. It is read at the start and at every reload; \
                 without it, every client that reaches the address can read.",
            ),
        ],
    }
}

pub(super) fn access_log() -> Section {
    Section {
        path: "access_log",
        about: "The access log, where more than its target is set.",
        keys: vec![
            key(
                "to",
                Value::Text(
                    "target",
                    "`off`, `stderr`, `syslog`, `syslog:PATH`, `syslog://IP:PORT`, the absolute path of a file",
                ),
                Required,
                "Where lines are written. `syslog` is `/dev/log`; `syslog://IP:PORT` is a server over UDP, by \
                 default at port 514.",
            ),
            key(
                "facility",
                words(Facility::ALL),
                Written("local0"),
                "The facility of messages to syslog. Not for other targets.",
            ),
            key(
                "format",
                words(LogFormat::ALL),
                Written("text"),
                "`text` has the fields of HAProxy's `option tcplog`; `json` writes one object a line.",
            ),
            key(
                "fields",
                Value::Text("list of fields", "names of fields, each at most once"),
                Written("null"),
                "What a line has, in this order, as in `[ended_at, client, backend, duration_ms, reason]`. Without it, \
                 the fields of the format.",
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

pub(super) fn listener() -> Section {
    Section {
        path: "listeners[]",
        about: "An address to accept on.",
        keys: [
            key("name", NAME, Otherwise("the address"), "The name in logs, metrics and commands."),
            key(
                "address",
                Value::Text(
                    "address or list of them",
                    "`IP:PORT`, `:PORT`, `IP:PORT-PORT`; 1024 in the whole file",
                ),
                Required,
                "The addresses to bind. `:PORT` is every address of the host; a range is each of its ports.",
            ),
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
                "proxy_protocol",
                Value::Section,
                Written("off"),
                "The PROXY protocol: peers that must send a header, and whose header is believed.",
            ),
            key(
                "opening",
                Value::Section,
                Otherwise("the defaults of its keys"),
                "Bounds for clients that have yet to show themselves, by a header or a TLS hello.",
            ),
        ]
        .into_iter()
        .chain(access::of_listener())
        .chain(route::of_listener())
        .chain(of_socket())
        .collect(),
    }
}

/// The keys of a listener that concern its socket and its log.
fn of_socket() -> [Key; 5] {
    [
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
        key("freebind", Value::Switch, Written("false"), "Binds an address that the host does not hold yet."),
        key(
            "v6only",
            Value::Switch,
            Written("false"),
            "Keeps a listener at `[::]` from taking IPv4 connections too.",
        ),
    ]
}

pub(super) fn hold() -> Section {
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

const LISTEN: Value = Value::Text("address", "`IP:PORT`, `:PORT`");
