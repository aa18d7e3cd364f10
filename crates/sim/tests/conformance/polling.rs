//! Polls report readiness.

use driver::{Driver, Errno, Op};

use crate::{
    CANCEL, POLL, Side, both_complete, close, completes, connected, fill, nothing_completes, read_all, token,
};

scripts! {
    polls_for_reading
    polls_for_writing
    polls_for_writing_past_a_fin
    polls_for_a_reset
}

fn polls_for_reading(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().submit(Op::PollReadable { socket }, token(POLL));
    nothing_completes(side);
    side.send(&mut client, 1);
    let readable = completes(side, POLL);
    assert!(readable.result.is_ok() && !readable.more);
    // It is still there.
    side.kernel().submit(Op::PollReadable { socket }, token(POLL));
    assert!(completes(side, POLL).result.is_ok());
    let (mut client, other) = connected(side);
    side.finish(&mut client);
    side.kernel().submit(Op::PollReadable { socket: other }, token(POLL));
    assert!(completes(side, POLL).result.is_ok());
    let (client, third) = connected(side);
    side.kernel().submit(Op::PollReadable { socket: third }, token(POLL));
    nothing_completes(side);
    side.reset(client);
    assert!(completes(side, POLL).result.is_ok());
    for socket in [socket, other, third] {
        close(side, socket);
    }
}

fn polls_for_writing(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    assert!(!completes(side, POLL).more);
    fill(side, socket);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    nothing_completes(side);
    read_all(side, &mut client);
    assert!(!completes(side, POLL).more);
    fill(side, socket);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    nothing_completes(side);
    side.reset(client);
    assert!(!completes(side, POLL).more);
    close(side, socket);
}

fn polls_for_writing_past_a_fin(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    fill(side, socket);
    side.finish(&mut client);
    side.kernel().submit(Op::PollWritable { socket }, token(POLL));
    nothing_completes(side);
    read_all(side, &mut client);
    assert!(!completes(side, POLL).more);
    // And when the FIN arrives during the poll.
    let (mut client, other) = connected(side);
    fill(side, other);
    side.kernel().submit(Op::PollWritable { socket: other }, token(POLL));
    nothing_completes(side);
    side.finish(&mut client);
    nothing_completes(side);
    read_all(side, &mut client);
    assert!(!completes(side, POLL).more);
    close(side, socket);
    close(side, other);
}

fn polls_for_a_reset(side: &mut impl Side) {
    let (mut client, socket) = connected(side);
    side.kernel().submit(Op::PollReset { socket }, token(POLL));
    side.send(&mut client, 1);
    nothing_completes(side);
    side.finish(&mut client);
    nothing_completes(side);
    side.reset(client);
    assert!(!completes(side, POLL).more);
    // It is still so, also for a poll that begins now.
    side.kernel().submit(Op::PollReset { socket }, token(POLL));
    assert!(!completes(side, POLL).more);
    close(side, socket);

    let (mut client, socket) = connected(side);
    side.finish(&mut client);
    side.kernel().submit(Op::PollReset { socket }, token(POLL));
    nothing_completes(side);
    side.kernel().submit(Op::Cancel { target: token(POLL) }, token(CANCEL));
    assert_eq!(completes(side, CANCEL).result, Err(Errno::NOENT));
    side.kernel().submit(Op::CancelAll { fd: socket }, token(CANCEL));
    let ended = both_complete(side, POLL, CANCEL);
    assert_eq!((ended[0].result, ended[0].more), (Err(Errno::CANCELED), false));
    close(side, socket);
}
