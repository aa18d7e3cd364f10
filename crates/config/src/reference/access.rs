//! The keys of access lists and of limits.

use crate::access::{Action, Refuse};
use crate::limits;
use crate::reference::key::Absent::{Otherwise, Required, Written};
use crate::reference::key::{Key, NAME, Section, Value, key, numbers, words};

/// Those of a listener.
pub(super) fn of_listener() -> [Key; 3] {
    [
        key(
            "access",
            NAME,
            Otherwise("every address may connect"),
            "The access list that decides who may connect. It is asked once the client's address is known: behind \
             a proxy, after the header.",
        ),
        key("limits", NAME, Otherwise("no limits"), "The limits that hold for each source of its clients."),
        key(
            "rate",
            Value::Text("rate or `off`", "`1/m` to `1000000/s`"),
            Written("off"),
            "New connections, over all sources and workers. Beyond it nothing is accepted, and clients wait in the \
             backlog. A tenth of a second's may come at once.",
        ),
    ]
}

pub(super) fn list() -> Section {
    let mut keys = vec![
        key("name", NAME, Required, "The name in listeners, logs, metrics and commands."),
        key(
            "rules",
            Value::List("list of sections", limits::ACCESS_RULES_MAX),
            Required,
            "The rules. The first one that matches decides, whatever the lengths of its prefixes.",
        ),
        key(
            "otherwise",
            words(Action::ALL),
            Written("allow"),
            "What happens to clients that no rule matches.",
        ),
    ];
    keys.extend(refusal());
    Section { path: "access[]", about: "An access list: rules about the addresses of clients.", keys }
}

pub(super) fn rule() -> Section {
    const PREFIXES: &str = "1 to 10000 such as `203.0.113.0/24` or `2001:db8::1`";
    const FILE: &str = "an absolute path; one prefix on each line, comments behind `#` or `;`, at most 1000000 \
                        prefixes and 64 MiB";
    let no = Otherwise("another key of the rule");
    let text = |name, meaning| key(name, Value::Text("prefix or list of prefixes", PREFIXES), no, meaning);
    let file = |name, meaning| key(name, Value::Text("path", FILE), no, meaning);
    Section {
        path: "access[].rules[]",
        about: "A rule: one of these keys. Files are read at the start and at each reload.",
        keys: vec![
            text("allow", "Clients with an address in one of these may connect."),
            text("deny", "Clients with an address in one of these are refused."),
            file("allow_file", "Clients with an address in a prefix of this file may connect."),
            file("deny_file", "Clients with an address in a prefix of this file are refused."),
        ],
    }
}

pub(super) fn limits() -> Section {
    let mut keys = vec![
        key("name", NAME, Required, "The name in listeners, logs, metrics and commands."),
        key(
            "connections",
            Value::Text("number or `off`", "1 to 65535"),
            Written("off"),
            "Connections that a source may have at once.",
        ),
        key(
            "rate",
            Value::Text("rate or `off`", "`1/m` to `1000/s`"),
            Written("off"),
            "New connections of a source. One that is refused does not count.",
        ),
        key(
            "burst",
            Value::Number(numbers(limits::SOURCE_BURST)),
            Otherwise("200, or what takes ten minutes at the rate"),
            "How many may come at once before the rate counts. At the rate they may take ten minutes at most.",
        ),
        key(
            "source",
            Value::Section,
            Otherwise("the defaults of its keys"),
            "Which addresses are one source.",
        ),
        key(
            "exempt",
            Value::Text("prefix or list of prefixes", "up to 10000"),
            Written("[]"),
            "Sources that do not count.",
        ),
    ];
    keys.extend(refusal());
    Section {
        path: "limits[]",
        about: "How much one source may have. At least one of `connections` and `rate` is set.",
        keys,
    }
}

pub(super) fn source() -> Section {
    Section {
        path: "limits[].source",
        about: "How many leading bits of an address are one source.",
        keys: vec![
            key("v4", Value::Number(numbers(limits::SOURCE_V4)), Written("32"), "Of an IPv4 address."),
            key("v6", Value::Number(numbers(limits::SOURCE_V6)), Written("64"), "Of an IPv6 address."),
        ],
    }
}

fn refusal() -> [Key; 2] {
    [
        key(
            "refuse",
            words(Refuse::ALL),
            Written("reset"),
            "How a client is refused. `drop` sends a reset that ends at the first router: the client waits for its own \
             timeout. Behind a proxy both are a reset.",
        ),
        key(
            "dry_run",
            Value::Switch,
            Written("false"),
            "`true` counts what would be refused, and serves it.",
        ),
    ]
}
