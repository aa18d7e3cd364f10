//! Bytes that have arrived are shown without being taken, and a low-water mark holds back what is too little.

use driver::{Driver, ENDED, Errno, Fd, Op};

use crate::{
    LIMIT, POLL, RECEIVE, Side, close, completes, connected, give_back, nothing_completes, receive, token,
};

scripts! {
    peeks_without_taking
    waits_for_as_many_bytes
    hears_the_end_below_the_mark
    hears_a_reset_below_the_mark
    receives_what_was_not_skipped
    tells_both_ends
}

fn poll(side: &mut impl Side, socket: Fd) {
    side.kernel().submit(Op::PollReadable { socket }, token(POLL));
}

#[track_caller]
fn peeks(side: &mut impl Side, socket: Fd, expected: Result<&[u8], Errno>) {
    let mut into = [0; 64];
    let peeked = side.kernel().peek(socket, &mut into);
    assert_eq!(peeked.map(|length| &into[..length]), expected);
}

fn peeks_without_taking(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    peeks(side, socket, Err(Errno::AGAIN));
    side.say(&mut client, b"PROXY UNKNOWN\r\n");
    poll(side, socket);
    completes(side, POLL);
    for _ in 0..2 {
        peeks(side, socket, Ok(b"PROXY UNKNOWN\r\n"));
    }
    let mut into = [0; 5];
    assert_eq!(side.kernel().peek(socket, &mut into), Ok(5));
    assert_eq!(&into, b"PROXY");
    side.kernel().skip(socket, 6).unwrap();
    peeks(side, socket, Ok(b"UNKNOWN\r\n"));
    side.kernel().skip(socket, 9).unwrap();
    peeks(side, socket, Err(Errno::AGAIN));
    assert_eq!(side.kernel().skip(socket, 1), Err(Errno::AGAIN));
    close(side, socket);
}

fn waits_for_as_many_bytes(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().low_water(socket, 4);
    poll(side, socket);
    nothing_completes(side);
    side.say(&mut client, b"abc");
    nothing_completes(side);
    side.say(&mut client, b"d");
    assert_eq!(completes(side, POLL).result.unwrap() & ENDED, 0);
    peeks(side, socket, Ok(b"abcd"));
    // They are there still.
    poll(side, socket);
    completes(side, POLL);
    side.kernel().low_water(socket, 6);
    poll(side, socket);
    nothing_completes(side);
    side.say(&mut client, b"efg");
    completes(side, POLL);
    // What is taken no longer counts.
    side.kernel().skip(socket, 3).unwrap();
    poll(side, socket);
    nothing_completes(side);
    // A mark that is lower than what is there is reached at once, also by a poll that is under way.
    // A lower mark holds for the poll that is under way, too.
    side.kernel().low_water(socket, 1);
    completes(side, POLL);
    close(side, socket);
}

fn hears_the_end_below_the_mark(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().low_water(socket, 16);
    side.say(&mut client, b"PROXY");
    poll(side, socket);
    nothing_completes(side);
    side.finish(&mut client);
    assert_ne!(completes(side, POLL).result.unwrap() & ENDED, 0);
    peeks(side, socket, Ok(b"PROXY"));
    side.kernel().skip(socket, 5).unwrap();
    peeks(side, socket, Ok(b""));
    peeks(side, socket, Ok(b""));
    close(side, socket);
}

fn hears_a_reset_below_the_mark(side: &mut impl Side) {
    let (client, socket) = connected(side);
    side.kernel().low_water(socket, 16);
    poll(side, socket);
    nothing_completes(side);
    side.reset(client);
    assert_ne!(completes(side, POLL).result.unwrap() & ENDED, 0);
    peeks(side, socket, Err(Errno::CONNRESET));
    close(side, socket);
}

fn receives_what_was_not_skipped(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.say(&mut client, b"header");
    side.send(&mut client, 10);
    side.finish(&mut client);
    side.kernel().skip(socket, 6).unwrap();
    receive(side, socket, LIMIT);
    let completion = completes(side, RECEIVE);
    assert_eq!(completion.result, Ok(10));
    give_back(side, &completion);
    assert_eq!(completes(side, RECEIVE).result, Ok(0));
    close(side, socket);
}

fn tells_both_ends(side: &mut impl Side) {
    let (_client, socket) = connected(side);
    let (local, peer) = (side.kernel().local(socket).unwrap(), side.kernel().peer(socket).unwrap());
    assert_ne!(local, peer);
    assert_ne!(side.kernel().random(), side.kernel().random());
    close(side, socket);
}
