//! What is known about a client beyond its socket: what a proxy in front said, what it asked for itself, and what it
//! is called in logs.

use std::net::SocketAddr;
use std::sync::Arc;

use preface::{Ends, Item, Tlv, Tlvs, Written, kind};
use table::{HeaderField, HeaderVersion, Route, SendProxy};

use crate::asked::Asked;
use crate::stats::Micros;

/// What is known about a client beyond its socket. Most clients have none.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    /// The peer of the socket, which is a proxy, if its header named the client.
    pub via: Option<SocketAddr>,
    /// Both ends of the client's connection, as the header named them.
    pub ends: Option<Ends>,
    /// How long it took from the accept until it had shown all that it had to; none if that was nothing.
    pub opening: Option<Micros>,
    /// What it asked for; none if its listener had no routes.
    pub asked: Option<Asked>,
    /// The route that took it, by the table that it got its backend by.
    pub route: Option<Arc<Route>>,
    /// What a header that was sent to a backend calls the connection.
    pub unique_id: Option<[u8; 16]>,
    /// Whether the connection is the proxy's own, such as a probe.
    pub(crate) is_local: bool,
    /// Whether bytes of the client had come with the header.
    pub(crate) more_follows: bool,
    /// The fields of the header, if they are to be passed on.
    pub(crate) tlvs: Box<[u8]>,
}

impl Introduction {
    /// The header that a backend is sent for this client, whose connection has these ends.
    pub(crate) fn header(&self, send_proxy: &SendProxy, ends: &Ends) -> Written {
        let unique_id = self.unique_id.map(|id| format!("{:032x}", u128::from_be_bytes(id)));
        match send_proxy.version {
            HeaderVersion::V1 => Written::v1(ends),
            // What a field could say concerns a client.
            HeaderVersion::V2 if self.is_local => Written::local(),
            HeaderVersion::V2 => Written::v2(ends, &self.items(send_proxy, unique_id.as_deref())),
        }
    }

    /// Forgets what only the search for a backend needs.
    pub(crate) fn shorten(&mut self) {
        self.tlvs = Box::default();
        if let Some(asked) = &mut self.asked {
            asked.shorten();
        }
    }

    fn items<'a>(&'a self, send_proxy: &SendProxy, unique_id: Option<&'a str>) -> Vec<Item<'a>> {
        let mut items = Vec::new();
        let passed = |is_meant: &dyn Fn(u8) -> bool| {
            let tlvs = Tlvs::new(&self.tlvs).iter().filter(|tlv| is_meant(tlv.kind));
            tlvs.map(Item::Tlv).collect::<Vec<_>>()
        };
        for field in &send_proxy.fields {
            match field {
                HeaderField::UniqueId => {
                    let value = unique_id.unwrap_or_default().as_bytes();
                    items.push(Item::Tlv(Tlv { kind: kind::UNIQUE_ID, value }));
                }
                HeaderField::Crc32c => items.push(Item::Crc32c),
                HeaderField::Pass => items.extend(passed(&|of| {
                    let named = matches!(of, kind::AUTHORITY | kind::SSL | kind::CRC32C | kind::NOOP);
                    !named && (of != kind::UNIQUE_ID || unique_id.is_none())
                })),
                HeaderField::PassAuthority => items.extend(passed(&|of| of == kind::AUTHORITY)),
                HeaderField::PassSsl => items.extend(passed(&|of| of == kind::SSL)),
            }
        }
        items
    }
}

/// Whether fields that came in are passed on.
pub(crate) fn passes(send_proxy: Option<&SendProxy>) -> bool {
    let passes = |field: &HeaderField| {
        matches!(field, HeaderField::Pass | HeaderField::PassAuthority | HeaderField::PassSsl)
    };
    send_proxy.is_some_and(|send_proxy| send_proxy.fields.iter().any(passes))
}

#[cfg(test)]
mod tests {
    use preface::{Ends, Kind, Step, Versions, read};
    use table::{HeaderField, HeaderVersion, SendProxy};

    use super::Introduction;

    /// Fields as they came in: an authority, a unique ID, padding, one of the application's, a checksum, and TLS.
    const TLVS: &[u8] = b"\x02\0\x01h\x05\0\x01i\x04\0\0\xe0\0\x01a\x03\0\x04crc!\x20\0\x01t";

    #[test]
    fn fields_are_passed_on_as_the_pool_says() {
        check(&[], "");
        check(&[HeaderField::Pass], "05=i e0=a");
        check(&[HeaderField::Pass, HeaderField::PassAuthority], "05=i e0=a 02=h");
        check(&[HeaderField::PassSsl, HeaderField::PassAuthority], "20=t 02=h");
        let id = "000102030405060708090a0b0c0d0e0f";
        check(&[HeaderField::UniqueId], &format!("05={id}"));
        // Its own identifier counts.
        check(&[HeaderField::Pass, HeaderField::UniqueId], &format!("e0=a 05={id}"));
    }

    #[track_caller]
    fn check(fields: &[HeaderField], expected: &str) {
        let unique_id = fields
            .contains(&HeaderField::UniqueId)
            .then(|| std::array::from_fn(|at| u8::try_from(at).unwrap()));
        let introduction = Introduction { unique_id, tlvs: TLVS.into(), ..Introduction::default() };
        let send_proxy = SendProxy { version: HeaderVersion::V2, fields: fields.to_vec() };
        let ends = Ends::new("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
        let written = introduction.header(&send_proxy, &ends);
        let Step::Header(header) = read(written.as_bytes(), Versions::ALL) else { panic!("{written:?}") };
        assert_eq!(header.ends, Some(ends));
        let tlvs = header.tlvs.iter().map(|tlv| format!("{:02x}={}", tlv.kind, tlv.value.escape_ascii()));
        assert_eq!(tlvs.collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn a_connection_of_the_proxy_itself_stays_one_where_the_version_can_say_so() {
        let introduction = Introduction { is_local: true, ..Introduction::default() };
        let ends = Ends::new("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
        for (version, kind) in [(HeaderVersion::V1, Kind::V1), (HeaderVersion::V2, Kind::Local)] {
            let written = introduction.header(&SendProxy { version, fields: Vec::new() }, &ends);
            assert!(
                matches!(read(written.as_bytes(), Versions::ALL), Step::Header(header) if header.kind == kind)
            );
        }
    }
}
