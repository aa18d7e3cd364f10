//! The keys of the PROXY protocol.

use crate::limits;
use crate::proxy::{HeaderVersion, Others};
use crate::reference::key::Absent::{Required, Written};
use crate::reference::key::{Section, Value, key, numbers, words};

pub(super) fn proxy_protocol() -> Section {
    Section {
        path: "listeners[].proxy_protocol",
        about: "Headers that proxies in front send before a client's bytes.",
        keys: vec![
            key(
                "from",
                Value::Text("list of prefixes, or `any`", "`any`, or 1 to 256 such as `10.0.0.0/8`"),
                Required,
                "The proxies, by the address of the peer. Each must send a header, which is believed.",
            ),
            key(
                "others",
                words(Others::ALL),
                Written("refuse"),
                "Peers that are no proxies: `refuse` resets them, `plain` takes them as clients without a header.",
            ),
            key(
                "versions",
                Value::Text("list of words", "`v1`, `v2`"),
                Written("[v1, v2]"),
                "The versions that are accepted.",
            ),
        ],
    }
}

pub(super) fn opening() -> Section {
    Section {
        path: "listeners[].opening",
        about: "How many clients may have yet to show themselves, and how long.",
        keys: vec![
            key(
                "timeout",
                Value::Duration(limits::OPENING_TIMEOUT),
                Written("5s"),
                "How long it may take, from the accept on, whatever arrives; then the client is reset.",
            ),
            key(
                "connections",
                Value::Number(numbers(limits::OPENINGS)),
                Written("1000"),
                "How many may be at it, over all workers; beyond it the oldest one of the worker is reset.",
            ),
        ],
    }
}

pub(super) fn send_proxy() -> Section {
    Section {
        path: "pools[].send_proxy",
        about: "The header of the PROXY protocol, where more than its version is set.",
        keys: vec![
            key("version", words(HeaderVersion::ALL), Required, "The version of the header."),
            key(
                "tlvs",
                Value::Text("list of words", "`unique_id`, `crc32c`, `pass`, `pass_authority`, `pass_ssl`"),
                Written("[]"),
                "The fields of version 2, in this order. `pass` passes on those that came in, `pass_authority` and \
                 `pass_ssl` the two that it leaves out.",
            ),
        ],
    }
}
