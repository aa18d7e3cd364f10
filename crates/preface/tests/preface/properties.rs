//! Whatever the bytes: reading ends, says the same however they arrive, and what was written is what is read.

use std::net::{IpAddr, SocketAddr};

use preface::{Ends, Item, Step, Tlv, Versions, Written, read};
use proptest::prelude::*;
use proxy_header::{ParseConfig, ProxyHeader};

fn address() -> impl Strategy<Value = SocketAddr> {
    let mapped =
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(std::net::Ipv4Addr::from(octets).to_ipv6_mapped()));
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        mapped
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn ends() -> impl Strategy<Value = Ends> {
    (address(), address()).prop_map(|(client, destination)| Ends::new(client, destination))
}

/// A header that was written, and then perhaps spoiled.
fn near_header() -> impl Strategy<Value = Vec<u8>> {
    let tlvs = prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..4);
    let headers = (ends(), tlvs, 0..4_u8).prop_map(|(ends, tlvs, kind)| {
        let items: Vec<_> = tlvs
            .iter()
            .filter(|(kind, _)| *kind != preface::kind::CRC32C)
            .map(|(kind, value)| Item::Tlv(Tlv { kind: *kind, value }))
            .chain([Item::Crc32c])
            .collect();
        let written = match kind {
            0 => Written::v1(&ends),
            1 => Written::local(),
            2 => Written::v2(&ends, &[]),
            _ => Written::v2(&ends, &items),
        };
        written.as_bytes().to_owned()
    });
    let spoiled = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (headers, spoiled, prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(mut bytes, spoiled, payload)| {
        for (at, byte) in spoiled {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(payload);
        bytes
    })
}

/// Reads as a caller does that is given one byte after the other and waits for what is needed.
fn read_as_it_arrives(bytes: &[u8]) -> (usize, Step<'_>) {
    let mut arrived = 0;
    loop {
        match read(&bytes[..arrived], Versions::ALL) {
            Step::Need(length) if length > bytes.len() => return (arrived, Step::Need(length)),
            Step::Need(length) => {
                assert!(length > arrived, "it needs no more than there is");
                arrived = length;
            }
            step => return (arrived, step),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn arbitrary_bytes_are_read_alike_however_they_arrive(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (arrived, step) = read_as_it_arrives(&bytes);
        prop_assert!(arrived <= 4096);
        if !matches!(step, Step::Need(_)) {
            prop_assert_eq!(step, read(&bytes, Versions::ALL));
        }
    }

    #[test]
    fn spoiled_headers_are_read_alike_however_they_arrive(bytes in near_header()) {
        let (arrived, step) = read_as_it_arrives(&bytes);
        let whole = read(&bytes, Versions::ALL);
        match (step, whole) {
            (Step::Need(_), Step::Need(_)) => {}
            // Waiting for all of a header says what is wrong with it as well, only later.
            (Step::Need(length), Step::Invalid(_)) => prop_assert!(length > bytes.len()),
            _ => prop_assert_eq!(step, whole),
        }
        if let Step::Header(header) = step {
            prop_assert_eq!(arrived, header.length, "it reads not one byte of the client's");
            prop_assert_eq!(read(&bytes[..header.length], Versions::ALL), step);
            let ends = header.ends.map(|ends| Ends::new(ends.client, ends.destination));
            prop_assert_eq!(ends, header.ends, "IPv4 is never in the form of IPv6");
        }
    }

    #[test]
    fn what_was_written_is_read(
        ends in ends(),
        values in prop::collection::vec((4..=255_u8, prop::collection::vec(any::<u8>(), 0..400)), 0..5),
    ) {
        let v1 = Written::v1(&ends);
        prop_assert!(v1.as_bytes().len() <= 107);
        let Step::Header(header) = read(v1.as_bytes(), Versions::ALL) else { panic!("{v1:?}") };
        prop_assert_eq!((header.ends, header.length), (Some(ends), v1.as_bytes().len()));

        let tlvs: Vec<_> = values.iter().map(|(kind, value)| Tlv { kind: *kind, value }).collect();
        let items: Vec<_> = [Item::Crc32c].into_iter().chain(tlvs.iter().copied().map(Item::Tlv)).collect();
        let v2 = Written::v2(&ends, &items);
        let Step::Header(header) = read(v2.as_bytes(), Versions::ALL) else { panic!("{v2:?}") };
        prop_assert_eq!((header.ends, header.length), (Some(ends), v2.as_bytes().len()));
        let kept: Vec<_> = header.tlvs.iter().skip(1).collect();
        prop_assert_eq!(&kept[..], &tlvs[..kept.len()]);
        prop_assert_eq!(kept.len() + v2.left_out, tlvs.len());
    }

    /// Where the other reader follows the specification, it says the same. It takes bytes behind `PROXY` that are no
    /// space, ports with signs, and datagrams, checks no field and no checksum, and refuses `LOCAL` with addresses
    /// that are cut; so only what this crate accepts is compared, and of that not `LOCAL` and not what has a family
    /// without a protocol.
    #[test]
    fn another_reader_finds_the_same(bytes in near_header()) {
        let Step::Header(header) = read(&bytes, Versions::ALL) else { return Ok(()) };
        let Some(ends) = header.ends else { return Ok(()) };
        let (other, length) = ProxyHeader::parse(&bytes, ParseConfig::default()).expect("it is a header");
        let address = other.proxied_address().expect("it has addresses");
        prop_assert_eq!(length, header.length);
        prop_assert_eq!(Ends::new(address.source, address.destination), ends);
    }
}
