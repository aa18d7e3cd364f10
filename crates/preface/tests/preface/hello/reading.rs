//! Each input, whole, cut at every byte, fragmented over records and with bytes behind it.

use preface::hello::{Fault, Hello, MESSAGE_BYTES_MAX, Step, read};

use super::written::{
    extension, list, message, message_of, name, names, post_quantum_share, protocols, record, records,
    signature_algorithms, start,
};

/// As text: the name, or `-`, and the protocols.
fn said(hello: &Hello<'_>) -> String {
    let protocols = hello.protocols.iter().map(|protocol| format!(" {}", protocol.escape_ascii()));
    hello.name.unwrap_or("-").to_owned() + &protocols.collect::<String>()
}

/// In whatever records, all of it is needed, and no byte more.
#[track_caller]
fn accepts(message: &[u8], expected: &str) {
    for lengths in [&[16_384][..], &[1], &[3, 1, 100], &[4, 7], &[message.len() - 1], &[600]] {
        accepts_bytes(&records(message, lengths), expected);
    }
}

#[track_caller]
fn accepts_bytes(bytes: &[u8], expected: &str) {
    // Not every cut of a long one.
    for arrived in (0..bytes.len()).filter(|at| bytes.len() < 1000 || at % 97 == 0 || at + 9 > bytes.len()) {
        match read(&mut bytes[..arrived].to_vec()) {
            Step::Need(length) => {
                assert!(length > arrived, "after {arrived} bytes: {length} are needed");
                assert!(length <= bytes.len(), "after {arrived} bytes: {length} are too many");
            }
            step => panic!("after {arrived} of {} bytes: {step:?}", bytes.len()),
        }
    }
    for behind in [&b""[..], b"x", b"\x16\x03\x01\0\0", b"\x14\x03\x03\0\x01\x01"] {
        match read(&mut [bytes, behind].concat()) {
            Step::Hello(hello) => assert_eq!(said(&hello), expected),
            step => panic!("{step:?}"),
        }
    }
}

/// Once it is refused, more bytes do not change that. `at` is how many bytes must have arrived for it.
#[track_caller]
fn refuses(bytes: &[u8], at: usize, expected: Step<'_>) {
    for arrived in (0..=bytes.len()).filter(|arrived| bytes.len() < 1000 || arrived.abs_diff(at) < 9) {
        match read(&mut bytes[..arrived].to_vec()) {
            Step::Need(length) => {
                assert!(arrived < at, "not refused after {arrived} bytes");
                assert!(length > arrived, "after {arrived} bytes: {length} are needed");
            }
            Step::Hello(hello) => panic!("after {arrived} bytes: {hello:?}"),
            step => {
                assert!(arrived >= at, "refused after {arrived} bytes: {step:?}");
                assert_eq!(step, expected);
            }
        }
    }
}

/// Refused when the whole record is there.
#[track_caller]
fn refuses_message(message: &[u8], fault: Fault) {
    let bytes = record(22, message);
    refuses(&bytes, bytes.len(), Step::Invalid(fault));
    let bytes = records(message, &[1]);
    refuses(&bytes, bytes.len(), Step::Invalid(fault));
}

/// The same, whatever is wrong being in the extensions.
#[track_caller]
fn refuses_extensions(extensions: &[Vec<u8>], fault: Fault) {
    refuses_message(&message(extensions), fault);
}

#[test]
fn names_are_lower_case_without_a_dot_at_the_end() {
    accepts(&message(&[name("api.example.com")]), "api.example.com");
    accepts(&message(&[name("API.Example.COM.")]), "api.example.com");
    accepts(&message(&[signature_algorithms(), name("x"), extension(65_281, &[0])]), "x");
    accepts(&message(&[name("under_score.example.com")]), "under_score.example.com");
    accepts(&message(&[name("192.0.2.1")]), "192.0.2.1");
    accepts(&message(&[name(&"n".repeat(255))]), &"n".repeat(255));
    // A name of another type, whose length is not known, ends the list.
    accepts(&message(&[names(&[(0, b"a"), (7, b"b"), (0, b"c")])]), "a");
}

#[test]
fn protocols_are_those_that_are_offered_in_their_order() {
    accepts(&message(&[protocols(&["h2", "http/1.1"])]), "- h2 http/1.1");
    accepts(&message(&[protocols(&["\u{1}\u{fa}"]), name("a")]), r"a \x01\xc3\xba");
    accepts(&message(&[name("a"), protocols(&["acme-tls/1"])]), "a acme-tls/1");
    accepts(&message(&[protocols(&[&"p".repeat(255)])]), &format!("- {}", "p".repeat(255)));
}

#[test]
fn hellos_of_all_ages() {
    // Without extensions, and with none of them.
    accepts(&message_of(1, &start(&[], &[0, 47], &[0])), "-");
    accepts(&message(&[]), "-");
    // Unknown extensions, twice as well, are skipped; so is an encrypted hello, whose name is the outer one.
    let odd = [
        extension(0x0a0a, &[]),
        extension(0xfe0d, &[1; 300]),
        name("outer.example"),
        extension(0x0a0a, &[0]),
    ];
    accepts(&message(&odd), "outer.example");
    // The versions are not judged, but for the first digit of that of a record.
    let mut old = message(&[name("a")]);
    old[4..6].copy_from_slice(&[2, 0]);
    accepts(&old, "a");
    let mut bytes = record(22, &old);
    bytes[2] = 0xff;
    accepts_bytes(&bytes, "a");
}

#[test]
fn a_hello_with_a_post_quantum_key_share_takes_more_than_a_segment() {
    let hello = message(&[post_quantum_share(), name("pq.example"), protocols(&["h2"])]);
    assert!(record(22, &hello).len() > 1300);
    accepts(&hello, "pq.example h2");
    let long = message(&[extension(21, &[0; 1500]), post_quantum_share(), name("pq.example")]);
    accepts(&long, "pq.example");
}

#[test]
fn what_follows_in_its_record_is_not_judged() {
    let hello = message(&[name("a")]);
    accepts_bytes(&record(22, &[&hello[..], b"more"].concat()), "a");
    let (head, tail) = hello.split_at(20);
    accepts_bytes(&[record(22, head), record(22, &[tail, b"more"].concat())].concat(), "a");
}

#[test]
fn what_is_no_tls_is_told_by_its_first_two_bytes() {
    let refuses = |bytes: &[u8], at| refuses(bytes, at, Step::NotTls);
    refuses(b"GET / HTTP/1.1\r\n", 1);
    refuses(b"SSH-2.0-OpenSSH_9.2p1\r\n", 1);
    refuses(b"\0\0\0\x08\x04\xd2\x16\x2f", 1);
    // A hello in the style of SSLv2, an alert, application data.
    refuses(b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10", 1);
    refuses(b"\x15\x03\x01\0\x02\x02\x28", 1);
    refuses(b"\x17\x03\x03\0\x01x", 1);
    refuses(b"\x16\x02\0\0\x01\x01", 2);
    refuses(b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x01", 2);
}

#[test]
fn records_that_no_hello_is_in() {
    let hello = message(&[name("a")]);
    let (head, tail) = hello.split_at(30);
    let head_record = record(22, head);
    let after = head_record.len();
    let refuses = |bytes: &[u8], at, fault| refuses(bytes, at, Step::Invalid(fault));
    refuses(&record(22, &[]), 5, Fault::EmptyRecord);
    refuses(&[&head_record[..], &record(22, &[]), &record(22, tail)].concat(), after + 5, Fault::EmptyRecord);
    refuses(b"\x16\x03\x01\x40\x01\x01", 5, Fault::RecordTooLong);
    refuses(b"\x16\x03\x01\xff\xff\x01", 5, Fault::RecordTooLong);
    // Nothing may come between the parts.
    for kind in [20, 21, 23, 24, 0x80] {
        refuses(&[&head_record[..], &record(kind, tail)].concat(), after + 1, Fault::OtherRecord);
    }
    let mut other_version = record(22, tail);
    other_version[1] = 2;
    refuses(&[&head_record[..], &other_version].concat(), after + 2, Fault::OtherRecord);
}

#[test]
fn messages_that_are_no_hello() {
    for kind in [0, 2, 11, 20, 255] {
        refuses(&record(22, &message_of(kind, &[0; 50])), 6, Step::Invalid(Fault::OtherMessage));
    }
    // It is refused when its length is known.
    let announced = |length: usize| record(22, &[&[1][..], &length.to_be_bytes()[5..], &[0; 20]].concat());
    let longest = MESSAGE_BYTES_MAX - 4;
    refuses(&announced(longest + 1), 9, Step::Invalid(Fault::TooLong));
    refuses(&announced(0xff_ffff), 9, Step::Invalid(Fault::TooLong));
    assert!(matches!(read(&mut announced(longest)), Step::Need(_)));
    // Its records are refused when it is known that they are too long in all.
    let padding = |bytes: usize| message(&[name("a"), extension(21, &vec![0; bytes])]);
    let longest = longest - message(&[name("a"), extension(21, &[])]).len() + 4;
    assert_eq!(padding(longest).len(), MESSAGE_BYTES_MAX);
    accepts(&padding(8000), "a");
    accepts_bytes(&records(&padding(longest), &[16_384]), "a");
    accepts_bytes(&records(&padding(longest), &[10]), "a");
    let short = records(&padding(longest), &[1]);
    assert_eq!(read(&mut short.clone()), Step::Invalid(Fault::TooManyRecords));
    assert_eq!(read(&mut short[..60_000].to_vec()), Step::Invalid(Fault::TooManyRecords));
}

#[test]
fn lengths_that_disagree() {
    let refuses = |body: &[u8]| refuses_message(&message_of(1, body), Fault::Length);
    refuses(&[]);
    refuses(&[3, 3]);
    refuses(&[9; 34]);
    refuses(&start(&[5; 33], &[0x13, 1], &[0]));
    refuses(&start(&[], &[0x13], &[0]));
    refuses(&start(&[], &[], &[0]));
    refuses(&start(&[], &[0x13, 1], &[]));
    let start = start(&[], &[0x13, 1], &[0]);
    for cut in 1..start.len() {
        refuses(&start[..cut]);
    }
    let with = |extensions: &[u8]| [&start[..], extensions].concat();
    refuses(&with(&[0]));
    refuses(&with(&[0, 1]));
    refuses(&with(&[0, 0, 0]));
    refuses(&with(&[0, 2, 0, 0]));
    refuses(&with(&[0, 4, 0, 21, 0, 1]));
    let mut short = list(2, &name("a"));
    short[1] -= 1;
    refuses(&with(&short));
}

#[test]
fn names_that_are_none() {
    let of = |name: &[u8]| [names(&[(0, name)])];
    for name in
        [&b"."[..], b"a\0.example.com", b"\0", b"a b", b"a\n", b"\x7f", b"caf\xc3\xa9.example", &[b'n'; 256]]
    {
        refuses_extensions(&of(name), Fault::Name);
    }
    refuses_extensions(&of(b""), Fault::Length);
    refuses_extensions(&[names(&[])], Fault::Length);
    refuses_extensions(&[extension(0, &[])], Fault::Length);
    refuses_extensions(&[extension(0, &[0, 4, 0, 0, 1, b'a', 0])], Fault::Length);
    refuses_extensions(&[extension(0, &[0, 4, 0, 0, 2, b'a'])], Fault::Length);
    refuses_extensions(&[extension(0, &[0, 5, 0, 0, 1, b'a'])], Fault::Length);
    // A list without a name of a host.
    refuses_extensions(&[names(&[(1, b"a")])], Fault::Name);
}

#[test]
fn two_names_are_none() {
    refuses_extensions(&[names(&[(0, b"a"), (0, b"b")])], Fault::TwoNames);
    refuses_extensions(&[names(&[(0, b"a"), (0, b"a")])], Fault::TwoNames);
    refuses_extensions(&[name("a"), name("b")], Fault::TwoNames);
    refuses_extensions(&[name("a"), signature_algorithms(), name("a")], Fault::TwoNames);
}

#[test]
fn protocols_that_are_none() {
    refuses_extensions(&[protocols(&[])], Fault::Length);
    refuses_extensions(&[protocols(&["h2", ""])], Fault::Length);
    refuses_extensions(&[extension(16, &[])], Fault::Length);
    refuses_extensions(&[extension(16, &[0, 3, 2, b'h', b'2', 0])], Fault::Length);
    refuses_extensions(&[extension(16, &[0, 4, 2, b'h', b'2', 1])], Fault::Length);
    refuses_extensions(&[protocols(&["h2"]), protocols(&["h2"])], Fault::TwoProtocolLists);
}

/// What a caller waits for is what is certainly missing, so that a hello takes few wake-ups however it comes.
#[test]
fn a_hello_takes_few_wake_ups() {
    let hello = message(&[post_quantum_share(), name("api.example.com"), protocols(&["h2", "http/1.1"])]);
    assert_eq!(wake_ups(&records(&hello[..], &[16_384])), 4, "one byte, two, five, and the record");
    let fragmented = records(&message(&[extension(21, &[0; 430]), name("a")]), &[1]);
    assert!(fragmented.len() > 3000);
    assert!(wake_ups(&fragmented) < 45, "{}", wake_ups(&fragmented));
    let longest = records(&message(&[extension(21, &[0; 15_900]), name("a")]), &[2]);
    assert!(wake_ups(&longest) < 128, "{}", wake_ups(&longest));
}

/// How often a caller is woken that gets one byte after the other.
fn wake_ups(bytes: &[u8]) -> usize {
    let (mut arrived, mut count) = (0, 0);
    while let Step::Need(length) = read(&mut bytes[..arrived].to_vec()) {
        (arrived, count) = (length, count + 1);
    }
    assert!(matches!(read(&mut bytes[..arrived].to_vec()), Step::Hello(_)));
    count
}
