//! Hellos as clients write them, whole or spoiled.

/// Puts a length of `digits` bytes before `bytes`.
pub(super) fn list(digits: usize, bytes: &[u8]) -> Vec<u8> {
    [&bytes.len().to_be_bytes()[8 - digits..], bytes].concat()
}

pub(super) fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &list(2, data)].concat()
}

/// A list of names, each with its type.
pub(super) fn names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|(kind, name)| [&[*kind][..], &list(2, name)].concat()).collect();
    extension(0, &list(2, &names.concat()))
}

pub(super) fn name(name: &str) -> Vec<u8> {
    names(&[(0, name.as_bytes())])
}

pub(super) fn protocols(protocols: &[&str]) -> Vec<u8> {
    let protocols: Vec<_> = protocols.iter().map(|protocol| list(1, protocol.as_bytes())).collect();
    extension(16, &list(2, &protocols.concat()))
}

/// What a client must send beside.
pub(super) fn signature_algorithms() -> Vec<u8> {
    extension(13, &list(2, &[4, 3, 8, 4]))
}

/// A share of a key of X25519MLKEM768, which alone takes the hello beyond one segment.
pub(super) fn post_quantum_share() -> Vec<u8> {
    extension(51, &list(2, &[&[0x11, 0xec][..], &list(2, &[7; 1216])].concat()))
}

/// What stands before the extensions.
pub(super) fn start(session: &[u8], ciphers: &[u8], compressions: &[u8]) -> Vec<u8> {
    [&[3, 3][..], &[9; 32], &list(1, session), &list(2, ciphers), &list(1, compressions)].concat()
}

/// A message with these extensions.
pub(super) fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    message_of(1, &[start(&[5; 32], &[0x13, 1], &[0]), list(2, &extensions.concat())].concat())
}

pub(super) fn message_of(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &list(3, body)].concat()
}

pub(super) fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1][..], &list(2, payload)].concat()
}

/// A message in records of these lengths, in turn.
pub(super) fn records(message: &[u8], lengths: &[usize]) -> Vec<u8> {
    let (mut rest, mut records) = (message, Vec::new());
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (payload, behind) = rest.split_at(rest.len().min(*length));
        records.extend(record(22, payload));
        rest = behind;
    }
    records
}
