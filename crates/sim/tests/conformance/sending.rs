//! Bytes and FINs are sent.

use std::time::Duration;

use driver::{Bytes, Driver, Errno};
use sim::Read;

use crate::{
    LIMIT, RECEIVE, Side, buffer_of, close, completes, connected, fill, give_back, read_all, receive,
    stop_receiving,
};

scripts! {
    sends_what_fits
    sends_bytes_of_its_own
    fills_a_socket_with_bytes_of_its_own
    sends_to_an_end_that_reset
    sends_a_fin
    tells_when_the_peer_took_bytes
    tells_why_a_connection_failed
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

fn sends_bytes_of_its_own(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    let buffer = buffer_of(side, 10);
    assert_eq!(side.kernel().send(socket, Bytes::Own(b"PROXY"), true), Ok(5));
    // What follows is sent with it, in the order of the calls.
    let received = Bytes::Received { buffer, start: 2, length: 8 };
    assert_eq!(side.kernel().send(socket, received, false), Ok(8));
    side.kernel().give_back(buffer);
    assert_eq!(read_all(side, &mut client), 13);
    side.reset(client);
    assert_eq!(side.kernel().send(socket, Bytes::Own(b"x"), false), Err(Errno::CONNRESET));
    close(side, socket);
}

fn fills_a_socket_with_bytes_of_its_own(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    let own = vec![b'x'; 1 << 20];
    let mut sent = 0;
    let errno = loop {
        match side.kernel().send(socket, Bytes::Own(&own), false) {
            Ok(length) => sent += u64::from(length),
            Err(errno) => break errno,
        }
    };
    assert_eq!(errno, Errno::AGAIN);
    assert_eq!(read_all(side, &mut client), sent);
    close(side, socket);
}

fn sends_to_an_end_that_reset(side: &mut impl Side) {
    let (client, socket) = connected(side);
    let buffer = buffer_of(side, 10);
    side.reset(client);
    let bytes = Bytes::Received { buffer, start: 0, length: 10 };
    assert_eq!(side.kernel().send(socket, bytes, false), Err(Errno::CONNRESET));
    assert_eq!(side.kernel().send(socket, bytes, false), Err(Errno::PIPE));
    assert_eq!(side.kernel().shutdown_write(socket), Err(Errno::NOTCONN));
    close(side, socket);
    // After its FIN, the reset has another error.
    let (mut client, socket) = connected(side);
    side.finish(&mut client);
    side.reset(client);
    assert_eq!(side.kernel().send(socket, bytes, false), Err(Errno::PIPE));
    receive(side, socket, LIMIT);
    assert_eq!(completes(side, RECEIVE).result, Ok(0));
    close(side, socket);
    side.kernel().give_back(buffer);
}

fn sends_a_fin(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().shutdown_write(socket).unwrap();
    assert_eq!(side.read(&mut client, 1), Read::Fin);
    // The other direction still works.
    side.send(&mut client, 3);
    receive(side, socket, LIMIT);
    let part = completes(side, RECEIVE);
    assert_eq!(part.result, Ok(3));
    let bytes = Bytes::Received { buffer: part.buffer.unwrap(), start: 0, length: 3 };
    assert_eq!(side.kernel().send(socket, bytes, false), Err(Errno::PIPE));
    give_back(side, &part);
    stop_receiving(side, socket);
}

fn tells_when_the_peer_took_bytes(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    fill(side, socket);
    // The client's window is soon closed, and window probes are not bytes.
    pass(side, 1_500);
    let untouched = side.kernel().taken_ago(socket).unwrap();
    assert!(untouched >= Duration::from_millis(950), "{untouched:?}");
    assert!(matches!(side.read(&mut client, 1 << 20), Read::Bytes(_)));
    let taken = side.kernel().taken_ago(socket).unwrap();
    assert!(taken <= Duration::from_millis(500), "{taken:?}");
    close(side, socket);
}

fn tells_why_a_connection_failed(side: &mut impl Side) {
    let (client, socket) = connected(side);
    assert_eq!(side.kernel().failure(socket), None);
    side.reset(client);
    assert_eq!(side.kernel().failure(socket), Some(Errno::CONNRESET));
    // It is reported once.
    assert_eq!(side.kernel().failure(socket), None);
    close(side, socket);

    let (mut client, socket) = connected(side);
    side.finish(&mut client);
    side.reset(client);
    assert_eq!(side.kernel().failure(socket), Some(Errno::PIPE));
    close(side, socket);
}

fn pass(side: &mut impl Side, millis: u64) {
    let deadline = side.kernel().now() + Duration::from_millis(millis);
    side.kernel().wait(Some(deadline), &mut Vec::new()).unwrap();
}
