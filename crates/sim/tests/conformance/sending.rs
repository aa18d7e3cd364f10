//! Bytes and FINs are sent.

use sim::Read;
use uring::{Bytes, Driver, Errno};

use crate::{
    LIMIT, RECEIVE, Side, buffer_of, close, completes, connected, fill, give_back, read_all, receive,
    stop_receiving,
};

scripts! {
    sends_what_fits
    sends_to_who_reset
    sends_a_fin
}

fn sends_what_fits(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    let sent = fill(side, socket);
    assert_eq!(read_all(side, &mut client), sent);
    assert_eq!(side.read(&mut client, 1), Read::Nothing);
    let sent = fill(side, socket);
    assert!(sent > 0);
    side.kernel().shutdown_write(socket).unwrap();
    assert_eq!(read_all(side, &mut client), sent);
    assert_eq!(side.read(&mut client, 1), Read::Fin);
    close(side, socket);
}

fn sends_to_who_reset(side: &mut impl Side) {
    let (client, socket) = connected(side);
    let buffer = buffer_of(side, 10);
    side.reset(client);
    let bytes = Bytes { buffer, start: 0, length: 10, more: false };
    assert_eq!(side.kernel().send(socket, bytes), Err(Errno::CONNRESET));
    assert_eq!(side.kernel().send(socket, bytes), Err(Errno::PIPE));
    assert_eq!(side.kernel().shutdown_write(socket), Err(Errno::NOTCONN));
    close(side, socket);
    // After its FIN, the reset has another name.
    let (mut client, socket) = connected(side);
    side.finish(&mut client);
    side.reset(client);
    assert_eq!(side.kernel().send(socket, bytes), Err(Errno::PIPE));
    receive(side, socket, LIMIT);
    assert_eq!(completes(side, RECEIVE).result, Ok(0));
    close(side, socket);
    side.kernel().give_back(buffer);
}

fn sends_a_fin(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().shutdown_write(socket).unwrap();
    assert_eq!(side.read(&mut client, 1), Read::Fin);
    // The other direction lives.
    side.send(&mut client, 3);
    receive(side, socket, LIMIT);
    let part = completes(side, RECEIVE);
    assert_eq!(part.result, Ok(3));
    let bytes = Bytes { buffer: part.buffer.unwrap(), start: 0, length: 3, more: false };
    assert_eq!(side.kernel().send(socket, bytes), Err(Errno::PIPE));
    give_back(side, &part);
    stop_receiving(side, socket);
}
