//! Whatever the bytes: reading ends, says the same however they arrive, and agrees with another reader.

use std::io::Cursor;

use preface::hello::{MESSAGE_BYTES_MAX, Step, WIRE_BYTES_MAX, read};
use proptest::prelude::*;
use rustls::server::Acceptor;

use super::written::{
    extension, list, message, names, post_quantum_share, protocols, records, signature_algorithms,
};

/// A name, mostly one that a client sends.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-zA-Z0-9-]{1,20}(\\.[a-zA-Z0-9_-]{1,10}){0,4}\\.?".prop_map(String::into_bytes),
        1 => "[0-9.:]{1,15}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn extensions() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let one = prop_oneof![
        4 => name().prop_map(|name| names(&[(0, &name)])),
        1 => prop::collection::vec((0..2_u8, name()), 0..3).prop_map(|all| {
            names(&all.iter().map(|(kind, name)| (*kind, &name[..])).collect::<Vec<_>>())
        }),
        4 => prop::collection::vec("[a-z0-9/.]{0,12}", 0..4).prop_map(|all| {
            protocols(&all.iter().map(String::as_str).collect::<Vec<_>>())
        }),
        1 => Just(post_quantum_share()),
        4 => Just(signature_algorithms()),
        2 => (0x1000..0xffff_u16, prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(kind, data)| extension(kind, &data)),
    ];
    prop::collection::vec(one, 0..6)
}

/// A hello in some records, perhaps spoiled, with something behind it.
fn near_hello() -> impl Strategy<Value = Vec<u8>> {
    let spoiled = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ];
    let lengths = prop_oneof![Just(vec![16_384]), prop::collection::vec(1..400_usize, 1..4),];
    let behind = prop::collection::vec(any::<u8>(), 0..20);
    (extensions(), lengths, spoiled, behind).prop_map(|(extensions, lengths, spoiled, behind)| {
        let mut bytes = records(&message(&extensions), &lengths);
        for (at, byte) in spoiled {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(behind);
        bytes
    })
}

/// What the reader says of bytes, as text that does not refer to them.
fn said(bytes: &[u8]) -> String {
    format!("{:?}", read(&mut bytes.to_vec()))
}

/// Reads as a caller does that is given one byte after the other and waits for what is needed.
fn read_as_it_arrives(bytes: &[u8]) -> usize {
    let mut arrived = 0;
    loop {
        match read(&mut bytes[..arrived].to_vec()) {
            Step::Need(length) => {
                assert!(length > arrived, "it needs no more than there is");
                assert!(length <= WIRE_BYTES_MAX);
                if length > bytes.len() {
                    return arrived;
                }
                arrived = length;
            }
            _ => return arrived,
        }
    }
}

/// What rustls finds: a name, and protocols as a hello has them; none if it refuses the hello or needs more.
fn read_by_rustls(bytes: &[u8]) -> Option<(Option<String>, Vec<u8>)> {
    let mut acceptor = Acceptor::default();
    let mut cursor = Cursor::new(bytes);
    while acceptor.read_tls(&mut cursor).ok()? > 0 {
        if let Some(accepted) = acceptor.accept().ok()? {
            let hello = accepted.client_hello();
            let protocols = hello.alpn().into_iter().flatten().flat_map(|protocol| list(1, protocol));
            return Some((hello.server_name().map(str::to_owned), protocols.collect()));
        }
    }
    None
}

/// Where rustls accepts, so does the reader, and finds the same; it knows no bounds but its own.
fn agrees_with_rustls(bytes: &[u8]) {
    let Some((name, protocols)) = read_by_rustls(bytes) else { return };
    match read(&mut bytes.to_vec()) {
        Step::Hello(hello) => {
            // Rustls hides what is an address.
            if hello.name.is_none_or(|name| name.parse::<std::net::IpAddr>().is_err()) {
                let name = name.map(|name| name.strip_suffix('.').map_or(name.clone(), str::to_owned));
                assert_eq!(hello.name.map(str::to_owned), name);
            }
            assert_eq!(hello.protocols.as_bytes(), protocols);
        }
        step => panic!("rustls found {name:?}: {step:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn arbitrary_bytes_are_read_alike_however_they_arrive(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let arrived = read_as_it_arrives(&bytes);
        if !matches!(read(&mut bytes[..arrived].to_vec()), Step::Need(_)) {
            prop_assert_eq!(said(&bytes[..arrived]), said(&bytes));
        }
    }

    #[test]
    fn spoiled_hellos_are_read_alike_however_they_arrive(bytes in near_hello()) {
        let arrived = read_as_it_arrives(&bytes);
        match (read(&mut bytes[..arrived].to_vec()), read(&mut bytes.clone())) {
            (Step::Need(_), Step::Need(_)) => {}
            // Waiting for all of a hello says what is wrong with it as well, only later.
            (Step::Need(length), Step::Invalid(_)) => prop_assert!(length > bytes.len()),
            (step, whole) => prop_assert_eq!(step, whole),
        }
    }

    #[test]
    fn a_hello_says_the_same_in_whatever_records_it_comes(
        extensions in extensions(),
        lengths in prop::collection::vec(1..500_usize, 1..5),
    ) {
        let message = message(&extensions);
        prop_assume!(message.len() <= MESSAGE_BYTES_MAX);
        prop_assert_eq!(said(&records(&message, &[16_384])), said(&records(&message, &lengths)));
    }

    #[test]
    fn rustls_finds_the_same(bytes in near_hello()) {
        agrees_with_rustls(&bytes);
    }
}

/// A client of rustls is understood, at every cut of what it sends.
#[test]
fn what_rustls_sends_is_read() {
    use std::sync::Arc;

    let config = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        versions.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
    };
    let mut with_protocols = config();
    with_protocols.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    for (config, protocols) in [(config(), ""), (with_protocols, "\u{2}h2\u{8}http/1.1")] {
        for (name, expected) in [("api.example.com", Some("api.example.com")), ("192.0.2.1", None)] {
            let name = rustls::pki_types::ServerName::try_from(name).unwrap();
            let mut client = rustls::ClientConnection::new(Arc::new(config.clone()), name).unwrap();
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            for arrived in 0..bytes.len() {
                let step = format!("{:?}", read(&mut bytes[..arrived].to_vec()));
                assert!(step.starts_with("Need"), "after {arrived} bytes: {step}");
            }
            agrees_with_rustls(&bytes);
            let Step::Hello(hello) = read(&mut bytes) else { panic!("it is a hello") };
            assert_eq!((hello.name, hello.protocols.as_bytes()), (expected, protocols.as_bytes()));
        }
    }
}
