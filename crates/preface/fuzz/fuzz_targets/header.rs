//! PROXY headers: reading any bytes ends, takes nothing beyond the header, says the same however they arrive, and says
//! what another reader says of what both accept.

#![no_main]

use libfuzzer_sys::fuzz_target;
use preface::{Ends, Step, Versions, read};
use proxy_header::{ParseConfig, ProxyHeader};

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, Versions::ALL);
    let mut arrived = 0;
    let by_parts = loop {
        match read(&bytes[..arrived], Versions::ALL) {
            Step::Need(length) if length > bytes.len() => break Step::Need(length),
            Step::Need(length) => {
                assert!(length > arrived, "it needs no more than there is");
                arrived = length;
            }
            step => break step,
        }
    };
    match (by_parts, whole) {
        (Step::Need(_), Step::Need(_)) => {}
        // Waiting for all of a header says what is wrong with it as well, only later.
        (Step::Need(length), Step::Invalid(_)) => assert!(length > bytes.len()),
        _ => assert_eq!(by_parts, whole),
    }
    let Step::Header(header) = whole else { return };
    assert!(header.length <= bytes.len());
    for tlv in header.tlvs.iter() {
        assert!(tlv.value.len() < header.length);
    }
    let Some(ends) = header.ends else { return };
    let (other, length) = ProxyHeader::parse(bytes, ParseConfig::default()).expect("it is a header");
    let address = other.proxied_address().expect("it has addresses");
    assert_eq!(length, header.length);
    assert_eq!(Ends::new(address.source, address.destination), ends);
});
