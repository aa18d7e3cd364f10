//! Sockets are closed, or reset.

use driver::Driver;
use sim::Read;

use crate::{Side, close, connected, fill, read_all};

scripts! {
    resets_on_close
    resets_what_was_not_read
    goes_on_delivering_after_the_close
    discards_what_was_not_delivered_by_a_reset
    goes_on_delivering_if_nothing_is_left_unread
}

fn resets_on_close(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().reset_on_close(socket);
    close(side, socket);
    assert_eq!(side.read(&mut client, 1), Read::Reset);
}

fn resets_what_was_not_read(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.send(&mut client, 1);
    close(side, socket);
    assert_eq!(side.read(&mut client, 1), Read::Reset);
}

fn goes_on_delivering_after_the_close(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    let sent = fill(side, socket);
    side.kernel().shutdown_write(socket).unwrap();
    close(side, socket);
    assert_eq!(read_all(side, &mut client), sent);
    assert_eq!(side.read(&mut client, 1), Read::Fin);
}

fn discards_what_was_not_delivered_by_a_reset(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    let sent = fill(side, socket);
    side.kernel().shutdown_write(socket).unwrap();
    side.kernel().reset_on_close(socket);
    close(side, socket);
    assert!(read_until_the_reset(side, &mut client) < sent);
}

fn goes_on_delivering_if_nothing_is_left_unread(side: &mut impl Side) {
    for discards in [false, true] {
        let (mut client, socket) = connected(side);
        let sent = fill(side, socket);
        side.send(&mut client, 10_000);
        side.kernel().shutdown_write(socket).unwrap();
        if discards {
            side.kernel().discard_received(socket);
            close(side, socket);
            assert_eq!(read_all(side, &mut client), sent);
            assert_eq!(side.read(&mut client, 1), Read::Fin);
        } else {
            close(side, socket);
            assert!(read_until_the_reset(side, &mut client) < sent);
        }
    }
}

/// Reads all that had arrived before the reset; says how much.
fn read_until_the_reset<S: Side>(side: &mut S, peer: &mut S::Peer) -> u64 {
    let mut read = 0;
    loop {
        match side.read(peer, 1 << 16) {
            Read::Bytes(length) => read += u64::from(length),
            end => {
                assert_eq!(end, Read::Reset);
                return read;
            }
        }
    }
}
