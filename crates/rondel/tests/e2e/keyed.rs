//! Streams in which every byte depends on its stream and position, so that a lost, duplicated, moved or mixed-up
//! byte is detected.

use std::io::{ErrorKind, Read, Write};

use crate::chance::{STEP, mix};

/// Writes the content of the stream `key` from `position` on.
pub(crate) fn fill(key: u64, position: usize, bytes: &mut [u8]) {
    let (mut at, mut rest) = (position, bytes);
    while !rest.is_empty() {
        let word = mix(key.wrapping_add((at as u64 / 8 + 1).wrapping_mul(STEP))).to_le_bytes();
        let offset = at % 8;
        let now = rest.len().min(8 - offset);
        rest[..now].copy_from_slice(&word[offset..offset + now]);
        at += now;
        rest = &mut rest[now..];
    }
}

/// The first `length` bytes of the stream `key`.
pub(crate) fn bytes(key: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fill(key, 0, &mut bytes);
    bytes
}

/// Asserts that `received` is the content of the stream `key` from `position` on.
#[track_caller]
pub(crate) fn check(key: u64, position: usize, received: &[u8]) {
    let mut expected = vec![0; received.len()];
    fill(key, position, &mut expected);
    if expected != received {
        let offset = expected.iter().zip(received).position(|(wanted, got)| wanted != got).unwrap();
        let shown = |bytes: &[u8]| format!("{:02x?}", &bytes[offset..bytes.len().min(offset + 16)]);
        panic!(
            "stream {key:#x} is wrong from byte {}: expected {}, received {}",
            position + offset,
            shown(&expected),
            shown(received)
        );
    }
}

/// Reads the stream `key` from its start to its end, or to `limit` bytes, checks each byte, and returns the count.
pub(crate) fn read_checked(from: impl Read, key: u64, limit: usize) -> std::io::Result<usize> {
    read_checked_from(from, key, 0, limit)
}

/// The same for the stream from `position` on.
pub(crate) fn read_checked_from(
    mut from: impl Read,
    key: u64,
    position: usize,
    limit: usize,
) -> std::io::Result<usize> {
    let mut buffer = vec![0; 64 * 1024];
    let mut read = 0;
    while read < limit {
        let room = buffer.len().min(limit - read);
        match from.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(now) => {
                check(key, position + read, &buffer[..now]);
                read += now;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Writes `length` bytes of the stream `key`, or as many as the other side takes, and returns the count.
pub(crate) fn write(mut to: impl Write, key: u64, length: usize) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut position = 0;
    while position < length {
        let now = buffer.len().min(length - position);
        fill(key, position, &mut buffer[..now]);
        to.write_all(&buffer[..now])?;
        position += now;
    }
    Ok(())
}
