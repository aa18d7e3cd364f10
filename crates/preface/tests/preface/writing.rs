//! Headers as they are sent, byte by byte.

use preface::{Ends, Item, SENT_BYTES_MAX, Step, Tlv, Versions, Written, kind, read};

fn ends(client: &str, destination: &str) -> Ends {
    Ends::new(client.parse().unwrap(), destination.parse().unwrap())
}

#[test]
fn version_1_is_a_line() {
    let check = |client, destination, expected: &str| {
        let written = Written::v1(&ends(client, destination));
        assert_eq!(written.as_bytes().escape_ascii().to_string(), expected);
    };
    check("192.0.2.1:56324", "198.51.100.2:443", r"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
    check("[2001:db8::1]:0", "[::]:65535", r"PROXY TCP6 2001:db8::1 :: 0 65535\r\n");
    check("192.0.2.1:1", "[2001:db8::2]:2", r"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n");
    check("[2001:db8::1]:1", "198.51.100.2:2", r"PROXY TCP6 2001:db8::1 ::ffff:198.51.100.2 1 2\r\n");
    check("[::ffff:192.0.2.1]:1", "198.51.100.2:2", r"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n");
    check(
        "[2001:1234:5678:9abc:def0:1234:5678:9abc]:65535",
        "[2001:1234:5678:9abc:def0:1234:5678:9abc]:65535",
        r"PROXY TCP6 2001:1234:5678:9abc:def0:1234:5678:9abc 2001:1234:5678:9abc:def0:1234:5678:9abc 65535 65535\r\n",
    );
}

#[test]
fn version_2_is_binary() {
    let check = |client, destination, items: &[Item<'_>], expected: &str| {
        let written = Written::v2(&ends(client, destination), items);
        assert_eq!(hex(&written.as_bytes()[12..]), expected);
        assert!(written.as_bytes().starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
        assert_eq!(written.left_out, 0);
    };
    check("192.0.2.1:56324", "198.51.100.2:443", &[], "2111000cc0000201c6336402dc0401bb");
    check(
        "[2001:db8::1]:1",
        "[2001:db8::2]:2",
        &[],
        "2121002420010db800000000000000000000000120010db800000000000000000000000200010002",
    );
    check(
        "192.0.2.1:1",
        "[2001:db8::2]:2",
        &[],
        "2121002400000000000000000000ffffc000020120010db800000000000000000000000200010002",
    );
    let id = Item::Tlv(Tlv { kind: kind::UNIQUE_ID, value: b"id" });
    check("192.0.2.1:56324", "198.51.100.2:443", &[id], "21110011c0000201c6336402dc0401bb0500026964");
}

#[test]
fn local_says_nothing() {
    let written = Written::local();
    assert_eq!(hex(&written.as_bytes()[12..]), "20000000");
    assert!(matches!(read(written.as_bytes(), Versions::ALL), Step::Header(header) if header.ends.is_none()));
}

#[test]
fn a_checksum_covers_what_stands_behind_it() {
    let tlv = |value| Item::Tlv(Tlv { kind: 0xe0, value });
    for items in [&[Item::Crc32c][..], &[tlv(b"a"), Item::Crc32c], &[Item::Crc32c, tlv(b"b")]] {
        let written = Written::v2(&ends("192.0.2.1:1", "198.51.100.2:2"), items);
        let read = read(written.as_bytes(), Versions::ALL);
        assert!(
            matches!(read, Step::Header(header) if header.length == written.as_bytes().len()),
            "{read:?}"
        );
        let mut broken = written.as_bytes().to_owned();
        *broken.last_mut().unwrap() ^= 1;
        assert!(matches!(preface::read(&broken, Versions::ALL), Step::Invalid(_)));
    }
}

#[test]
fn the_last_fields_are_left_out_where_there_is_no_room() {
    let big = [b'x'; SENT_BYTES_MAX];
    let check = |lengths: &[usize], left_out: usize, length: usize| {
        let items: Vec<_> =
            lengths.iter().map(|length| Item::Tlv(Tlv { kind: 0xe0, value: &big[..*length] })).collect();
        let written = Written::v2(&ends("192.0.2.1:1", "198.51.100.2:2"), &items);
        assert_eq!((written.left_out, written.as_bytes().len()), (left_out, length));
        assert!(
            matches!(read(written.as_bytes(), Versions::ALL), Step::Header(header) if header.length == length)
        );
    };
    check(&[993], 0, 1024);
    check(&[994], 1, 28);
    check(&[500, 490], 0, 1024);
    check(&[500, 491], 1, 531);
    // One that would fit behind one that does not is left out as well: what counts is the order.
    check(&[500, 491, 1], 2, 531);
}

fn hex(bytes: &[u8]) -> String {
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.concat()
}
