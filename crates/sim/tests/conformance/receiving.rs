//! Bytes, FINs and resets are received.

use driver::{BUFFER_SIZE, Completion, Driver, Errno, Op};

use crate::{
    BUFFERS, CANCEL, LIMIT, POLL, RECEIVE, Side, both_complete, close, completes, connected, fill, give_back,
    nothing_completes, receive, stop_receiving, token, wait,
};

scripts! {
    receives_until_the_fin
    receives_up_to_a_limit
    receives_from_an_end_that_resets
    receives_no_more_when_cancelled
    has_no_buffer
    cancels_what_is_done
    cancels_all
}

fn receives_until_the_fin(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    receive(side, socket, LIMIT);
    nothing_completes(side);
    side.send(&mut client, 5);
    let first = completes(side, RECEIVE);
    assert_eq!((first.result, first.more), (Ok(5), true));
    give_back(side, &first);
    side.send(&mut client, 7);
    let second = completes(side, RECEIVE);
    assert_eq!((second.result, second.more), (Ok(7), true));
    give_back(side, &second);
    side.finish(&mut client);
    let last = completes(side, RECEIVE);
    assert_eq!((last.result, last.more, last.buffer), (Ok(0), false, None));
    // The end stays.
    receive(side, socket, LIMIT);
    assert_eq!(completes(side, RECEIVE).result, Ok(0));
    close(side, socket);
}

fn receives_up_to_a_limit(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    // A part that begins below the limit may exceed it.
    let limit = BUFFER_SIZE + 100;
    side.send(&mut client, 2 * BUFFER_SIZE + 50);
    receive(side, socket, limit);
    let mut received = 0;
    loop {
        let part = completes(side, RECEIVE);
        received += part.result.unwrap();
        give_back(side, &part);
        if !part.more {
            break;
        }
    }
    assert_eq!(received, 2 * BUFFER_SIZE);
    nothing_completes(side);
    receive(side, socket, limit);
    let rest = completes(side, RECEIVE);
    assert_eq!((rest.result, rest.more), (Ok(50), true));
    give_back(side, &rest);
    stop_receiving(side, socket);
}

fn receives_from_an_end_that_resets(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.send(&mut client, 5);
    side.reset(client);
    // What arrived before is still there.
    receive(side, socket, LIMIT);
    let first = completes(side, RECEIVE);
    assert_eq!((first.result, first.more), (Ok(5), true));
    give_back(side, &first);
    let last = completes(side, RECEIVE);
    assert_eq!((last.result, last.more), (Err(Errno::CONNRESET), false));
    // It is reported once.
    receive(side, socket, LIMIT);
    assert_eq!(completes(side, RECEIVE).result, Ok(0));
    close(side, socket);
}

fn receives_no_more_when_cancelled(side: &mut impl Side) {
    let (_client, socket) = connected(side);
    side.kernel().submit(Op::Receive { socket, limit: LIMIT, later: true }, token(RECEIVE));
    nothing_completes(side);
    side.kernel().submit(Op::Cancel { target: token(RECEIVE) }, token(CANCEL));
    let ended = both_complete(side, RECEIVE, CANCEL);
    assert_eq!((ended[0].result, ended[0].more), (Err(Errno::CANCELED), false));
    assert!(ended[1].result.is_ok());
    close(side, socket);
}

fn has_no_buffer(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    receive(side, socket, LIMIT);
    let mut taken = Vec::new();
    while side.kernel().buffers_free() > 0 {
        side.send(&mut client, 1);
        let part = completes(side, RECEIVE);
        assert_eq!(part.result, Ok(1));
        taken.push(part);
        if !part.more {
            receive(side, socket, LIMIT);
        }
    }
    assert_eq!(taken.len(), usize::from(BUFFERS));
    side.send(&mut client, 1);
    let starved = completes(side, RECEIVE);
    assert_eq!((starved.result, starved.more, starved.buffer), (Err(Errno::NOBUFS), false, None));
    // A receive that tries at once ends even if nothing is there; one that waits first does not.
    for part in taken.drain(..1) {
        give_back(side, &part);
    }
    receive(side, socket, LIMIT);
    let part = completes(side, RECEIVE);
    assert_eq!((part.result, part.more), (Ok(1), true));
    side.kernel().submit(Op::Cancel { target: token(RECEIVE) }, token(CANCEL));
    both_complete(side, RECEIVE, CANCEL);
    receive(side, socket, LIMIT);
    assert_eq!(completes(side, RECEIVE).result, Err(Errno::NOBUFS));
    side.kernel().submit(Op::Receive { socket, limit: LIMIT, later: true }, token(RECEIVE));
    nothing_completes(side);
    taken.push(part);
    for part in taken {
        give_back(side, &part);
    }
    stop_receiving(side, socket);
}

fn cancels_what_is_done(side: &mut impl Side) {
    side.kernel().submit(Op::Cancel { target: token(RECEIVE) }, token(CANCEL));
    assert_eq!(completes(side, CANCEL).result, Err(Errno::NOENT));
}

fn cancels_all(side: &mut impl Side) {
    let (_client, socket) = connected(side);
    fill(side, socket);
    receive(side, socket, LIMIT);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    nothing_completes(side);
    // A wait for writability has another name in the kernel: only all can be cancelled.
    side.kernel().submit(Op::Cancel { target: token(POLL) }, token(CANCEL));
    assert_eq!(completes(side, CANCEL).result, Err(Errno::NOENT));
    side.kernel().submit(Op::CancelAll { fd: socket }, token(CANCEL));
    let mut done = Vec::new();
    while done.len() < 3 {
        wait(side, &mut done);
    }
    let of = |kind| done.iter().find(|completion: &&Completion| completion.token == token(kind)).unwrap();
    assert_eq!(of(CANCEL).result, Ok(2));
    for kind in [RECEIVE, POLL] {
        assert_eq!((of(kind).result, of(kind).more), (Err(Errno::CANCELED), false));
    }
    close(side, socket);
}
