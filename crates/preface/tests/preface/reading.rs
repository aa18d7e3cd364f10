//! Each input, whole, cut at every byte and with bytes behind it.

use preface::{Fault, Header, Kind, Step, Versions, read};

/// Both ends as text, or `own` for those of the socket, and the fields, each `type=value`.
#[track_caller]
fn accepts(bytes: &[u8], kind: Kind, expected: &str) {
    for arrived in 0..bytes.len() {
        match read(&bytes[..arrived], Versions::ALL) {
            Step::Need(length) => {
                assert!(length > arrived, "after {arrived} bytes: {length} are needed");
                assert!(length <= bytes.len(), "after {arrived} bytes: {length} are too many");
            }
            step => panic!("after {arrived} of {} bytes: {step:?}", bytes.len()),
        }
    }
    for payload in [&b""[..], b"x", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n"] {
        let whole = [bytes, payload].concat();
        let Step::Header(header) = read(&whole, Versions::ALL) else {
            panic!("{:?}", read(&whole, Versions::ALL));
        };
        assert_eq!((header.kind, header.length), (kind, bytes.len()));
        assert_eq!(said(&header), expected);
    }
}

fn said(header: &Header<'_>) -> String {
    let ends = header.ends.map_or("own".to_owned(), |ends| format!("{} > {}", ends.client, ends.destination));
    let tlvs = header.tlvs.iter().map(|tlv| format!(" {:02x}={}", tlv.kind, tlv.value.escape_ascii()));
    ends + &tlvs.collect::<String>()
}

/// Once it is refused, more bytes do not change that. `at` is how many bytes must have arrived for it.
#[track_caller]
fn refuses(bytes: &[u8], at: usize, fault: Fault) {
    for arrived in 0..=bytes.len() {
        match read(&bytes[..arrived], Versions::ALL) {
            Step::Need(length) => {
                assert!(arrived < at, "not refused after {arrived} bytes");
                assert!(length > arrived, "after {arrived} bytes: {length} are needed");
            }
            Step::Invalid(found) => {
                assert!(arrived >= at, "refused after {arrived} bytes: {found}");
                assert_eq!(found, fault);
            }
            Step::Header(header) => panic!("after {arrived} bytes: {header:?}"),
        }
    }
}

#[test]
fn version_1_with_addresses() {
    let accepts = |line: &str, ends: &str| accepts(line.as_bytes(), Kind::V1, ends);
    accepts("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1:56324 > 198.51.100.2:443");
    accepts(
        "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        "255.255.255.255:65535 > 255.255.255.255:65535",
    );
    accepts("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0 > 0.0.0.0:0");
    accepts("PROXY TCP6 2001:db8::1 2001:DB8::2 1 2\r\n", "[2001:db8::1]:1 > [2001:db8::2]:2");
    accepts(
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 > [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
    );
    // IPv4 that is written as IPv6 is IPv4.
    accepts("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 1 2\r\n", "192.0.2.1:1 > 198.51.100.2:2");
    accepts("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n", "192.0.2.1:1 > [2001:db8::2]:2");
}

#[test]
fn version_1_without_addresses() {
    let accepts = |line: &str| accepts(line.as_bytes(), Kind::V1, "own");
    accepts("PROXY UNKNOWN\r\n");
    accepts("PROXY UNKNOWN \r\n");
    accepts("PROXY UNKNOWN 192.0.2.1 198.51.100.2 56324 443\r\n");
    accepts("PROXY UNKNOWN what\tever\rit\nsays\r\n");
    accepts(&format!("PROXY UNKNOWN {}\r\n", "f".repeat(91)));
}

#[test]
fn version_1_that_is_none() {
    let refuses = |line: &str, at: usize, fault| refuses(line.as_bytes(), at, fault);
    // What is no header is refused at the first byte that differs.
    refuses("GET / HTTP/1.1\r\n", 1, Fault::NoHeader);
    refuses("\x16\x03\x01\x02\0\x01", 1, Fault::NoHeader);
    refuses(" PROXY TCP4 ", 1, Fault::NoHeader);
    refuses("proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n", 1, Fault::NoHeader);
    refuses("POST / HTTP/1.1\r\n", 2, Fault::NoHeader);
    refuses("PROXY\tTCP4 192.0.2.1 198.51.100.2 1 2\r\n", 6, Fault::NoHeader);
    refuses("PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n", 7, Fault::Protocol);
    refuses("PROXY \r\n", 7, Fault::Protocol);
    refuses("PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n", 7, Fault::Protocol);
    refuses("PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", 8, Fault::Protocol);
    refuses("PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n", 10, Fault::Protocol);
    refuses("PROXY TCP4\r\n", 11, Fault::Protocol);
    refuses("PROXY UNKNOWNx\r\n", 14, Fault::Protocol);
    refuses("PROXY UNKNOWN\n", 14, Fault::Protocol);
    refuses("PROXY UNKNOWN\rx", 15, Fault::LineEnd);
    refuses("PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n", 12, Fault::Address);
    refuses("PROXY TCP4 192.0.2.1\t198.51.100.2 1 2\r\n", 21, Fault::Address);
    refuses("PROXY TCP4 01.2.3.4 198.51.100.2 1 2\r\n", 20, Fault::Address);
    refuses("PROXY TCP4 1.2.3 198.51.100.2 1 2\r\n", 17, Fault::Address);
    refuses("PROXY TCP4 1.2.3.256 198.51.100.2 1 2\r\n", 21, Fault::Address);
    refuses("PROXY TCP4 1111.2222.3333.4 1.2.3.4 1 2\r\n", 27, Fault::Address);
    refuses("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", 23, Fault::Address);
    refuses("PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n", 33, Fault::Address);
    refuses("PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", 21, Fault::Address);
    refuses("PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n", 19, Fault::Address);
    refuses("PROXY TCP6 2001:db8:::1 2001:db8::2 1 2\r\n", 24, Fault::Address);
    refuses("PROXY TCP6 02001:db8::1 2001:db8::2 1 2\r\n", 24, Fault::Address);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2\r\n", 34, Fault::Address);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2  1 2\r\n", 35, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 +80 2\r\n", 35, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n", 35, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 0x50 2\r\n", 36, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 080 2\r\n", 38, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 00 2\r\n", 37, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n", 40, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 655360 2\r\n", 40, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", 36, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n", 42, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 1 02\r\n", 39, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 1 \r\n", 37, Fault::Port);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", 38, Fault::LineEnd);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n", 38, Fault::LineEnd);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n", 38, Fault::LineEnd);
    refuses("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\r\n", 39, Fault::LineEnd);
    refuses(&format!("PROXY UNKNOWN {}\r\n", "f".repeat(92)), 107, Fault::LineTooLong);
}

/// A header of version 2: its two bytes behind the signature, and what follows the length.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    v2_of(command, family, u16::try_from(body.len()).unwrap(), body)
}

fn v2_of(command: u8, family: u8, length: u16, body: &[u8]) -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length.to_be_bytes(), body].concat()
}

const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb];
const V6: &[u8] = &[
    0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // 2001:db8::1
    0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // 2001:db8::2
    0xff, 0xff, 0, 0,
];
const MAPPED: &[u8] = &[
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, // ::ffff:192.0.2.1
    0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // 2001:db8::2
    0, 1, 0, 2,
];

#[test]
fn version_2_with_addresses() {
    accepts(&v2(0x21, 0x11, V4), Kind::V2, "192.0.2.1:56324 > 198.51.100.2:443");
    accepts(&v2(0x21, 0x11, &[0; 12]), Kind::V2, "0.0.0.0:0 > 0.0.0.0:0");
    accepts(&v2(0x21, 0x21, V6), Kind::V2, "[2001:db8::1]:65535 > [2001:db8::2]:0");
    accepts(&v2(0x21, 0x21, MAPPED), Kind::V2, "192.0.2.1:1 > [2001:db8::2]:2");
    let with_tlvs = [V4, b"\x05\0\x02id", b"\xe0\0\0", b"\x02\0\x01\0"].concat();
    accepts(&v2(0x21, 0x11, &with_tlvs), Kind::V2, "192.0.2.1:56324 > 198.51.100.2:443 05=id e0= 02=\\x00");
}

#[test]
fn version_2_without_addresses() {
    // LOCAL, whatever the family says and however long it is.
    accepts(&v2(0x20, 0x00, b""), Kind::Local, "own");
    accepts(&v2(0x20, 0x11, b"12"), Kind::Local, "own");
    accepts(&v2(0x20, 0x11, V4), Kind::Local, "own");
    accepts(&v2(0x20, 0xff, b"\x03\0"), Kind::Local, "own");
    accepts(&v2(0x20, 0x00, &[7; 4080]), Kind::Local, "own");
    // PROXY without a family or a protocol.
    for family in [0x00, 0x01, 0x02, 0x10, 0x20, 0x30] {
        accepts(&v2(0x21, family, b""), Kind::V2, "own");
        accepts(&v2(0x21, family, b"12345"), Kind::V2, "own");
    }
    // What is valid and no TCP.
    accepts(&v2(0x21, 0x12, V4), Kind::V2, "own");
    accepts(&v2(0x21, 0x22, V6), Kind::V2, "own");
    accepts(&v2(0x21, 0x12, &[V4, b"\x05\0\x01x"].concat()), Kind::V2, "own 05=x");
    for family in [0x31, 0x32] {
        accepts(&v2(0x21, family, &[b'/'; 216]), Kind::V2, "own");
        accepts(&v2(0x21, family, &[&[b'/'; 216][..], b"\x05\0\x01x"].concat()), Kind::V2, "own 05=x");
    }
}

#[test]
fn version_2_that_is_none() {
    let signature = v2(0, 0, b"");
    for (at, byte) in (0..12).zip(&signature) {
        let mut broken = signature.clone();
        broken[at] = byte ^ 0x20;
        refuses(&broken, at + 1, Fault::NoHeader);
    }
    for version in [0x0, 0x1, 0x3, 0xf] {
        refuses(&v2(version << 4 | 1, 0x11, V4), 13, Fault::Version);
    }
    for command in 2..16 {
        refuses(&v2(0x20 | command, 0x11, V4), 13, Fault::Command);
    }
    for family in 4..16 {
        refuses(&v2(0x21, family << 4 | 1, V4), 14, Fault::Family);
    }
    for protocol in 3..16 {
        refuses(&v2(0x21, 0x10 | protocol, V4), 14, Fault::Family);
    }
    // It is refused when its length is known, not when all of it is there.
    refuses(&v2_of(0x21, 0x11, 4081, b"a"), 16, Fault::TooLong);
    refuses(&v2_of(0x20, 0x00, u16::MAX, b""), 16, Fault::TooLong);
    refuses(&v2(0x21, 0x11, b""), 16, Fault::AddressesCut);
    refuses(&v2(0x21, 0x11, &V4[1..]), 27, Fault::AddressesCut);
    refuses(&v2(0x21, 0x12, &V4[1..]), 27, Fault::AddressesCut);
    refuses(&v2(0x21, 0x21, &V6[1..]), 51, Fault::AddressesCut);
    refuses(&v2(0x21, 0x31, &[b'/'; 215]), 231, Fault::AddressesCut);
}

#[test]
fn fields_of_version_2_that_are_none() {
    let refuses = |tlvs: &[u8], fault| {
        for (family, addresses) in [(0x11, V4), (0x22, V6), (0x31, &[0; 216])] {
            let header = v2(0x21, family, &[addresses, tlvs].concat());
            refuses(&header, header.len(), fault);
        }
    };
    refuses(b"\x05", Fault::TlvCut);
    refuses(b"\x05\0", Fault::TlvCut);
    refuses(b"\x05\0\x02id\x05\0", Fault::TlvCut);
    refuses(b"\x05\0\x01", Fault::TlvTooLong);
    refuses(b"\x05\xff\xffid", Fault::TlvTooLong);
    refuses(b"\x03\0\x04\0\0\0\0", Fault::Checksum);
    refuses(b"\x03\0\x03\0\0\0", Fault::Checksum);
    refuses(b"\x03\0\0", Fault::Checksum);
    refuses(b"\x03\0\x05\0\0\0\0\0", Fault::Checksum);
}

/// Every bit counts, that of fields before and behind it too.
#[test]
fn a_checksum_is_verified_over_the_whole_header() {
    let body = [V4, b"\x05\0\x02id", b"\x03\0\x04\0\0\0\0", b"\x04\0\x01\0"].concat();
    let mut header = v2(0x21, 0x11, &body);
    let at = header.len() - 8;
    let sum = crc32c(&header);
    header[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    let Step::Header(_) = read(&header, Versions::ALL) else { panic!("{:?}", read(&header, Versions::ALL)) };
    for byte in 16..header.len() {
        // The last field's type and its length are found to be wrong before.
        for bit in 0..8 {
            let mut broken = header.clone();
            broken[byte] ^= 1 << bit;
            match read(&broken, Versions::ALL) {
                Step::Invalid(Fault::Checksum | Fault::TlvTooLong | Fault::TlvCut) => {}
                // A field that is a checksum no more is not verified.
                Step::Header(header) if !header.tlvs.iter().any(|tlv| tlv.kind == 3) => {}
                step => panic!("bit {bit} of byte {byte}: {step:?}"),
            }
        }
    }
}

/// Bit by bit, as no table of the crate's does it.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)) {
        let low = sum & 1 ^ u32::from(bit);
        sum = sum >> 1 ^ if low == 1 { 0x82f6_3b78 } else { 0 };
    }
    !sum
}

#[test]
fn a_version_that_is_not_taken_is_no_header() {
    let (v1_only, v2_only) = (Versions { v1: true, v2: false }, Versions { v1: false, v2: true });
    assert_eq!(read(b"P", v2_only), Step::Invalid(Fault::NoHeader));
    assert_eq!(read(b"\r", v1_only), Step::Invalid(Fault::NoHeader));
    assert!(matches!(read(b"PROXY UNKNOWN\r\n", v1_only), Step::Header(_)));
    assert!(matches!(read(&v2(0x20, 0, b""), v2_only), Step::Header(_)));
}
