//! TLS hellos: reading any bytes ends, needs no more than the longest hello has, says the same however they arrive,
//! and names and protocols are such as routes compare.

#![no_main]

use libfuzzer_sys::fuzz_target;
use preface::hello::{Step, WIRE_BYTES_MAX, read};

/// What the reader says of bytes, as text that does not refer to them.
fn said(bytes: &[u8]) -> String {
    format!("{:?}", read(&mut bytes.to_vec()))
}

fuzz_target!(|bytes: &[u8]| {
    let bytes = &bytes[..bytes.len().min(WIRE_BYTES_MAX)];
    let mut arrived = 0;
    let decided = loop {
        match read(&mut bytes[..arrived].to_vec()) {
            Step::Need(length) => {
                assert!(length > arrived, "it needs no more than there is");
                assert!(length <= WIRE_BYTES_MAX, "it needs more than any hello has");
                if length > bytes.len() {
                    break false;
                }
                arrived = length;
            }
            _ => break true,
        }
    };
    if decided {
        assert_eq!(said(&bytes[..arrived]), said(bytes), "it depends on how the bytes arrive");
    }
    if let Step::Hello(hello) = read(&mut bytes.to_vec()) {
        if let Some(name) = hello.name {
            assert!(!name.is_empty() && !name.ends_with('.') && !name.contains(|c: char| c.is_ascii_uppercase()));
        }
        assert!(hello.protocols.iter().all(|protocol| !protocol.is_empty()));
    }
});
