//! Clients are accepted.

use driver::{Driver, Errno, Op};
use sim::Read;

use crate::{ACCEPT, CANCEL, POLL, Side, both_complete, close, completes, fd, nothing_completes, token};

scripts! {
    accepts_until_cancelled
    accepts_now
    a_listener_that_stopped
}

fn accepts_until_cancelled(side: &mut impl Side) {
    let (address, listener) = side.listen();
    side.kernel().submit(Op::Accept { listener }, token(ACCEPT));
    nothing_completes(side);
    for _ in 0..2 {
        side.connect(address);
        let accepted = completes(side, ACCEPT);
        assert!(accepted.more);
        close(side, fd(&accepted));
    }
    side.kernel().submit(Op::Cancel { target: token(ACCEPT) }, token(CANCEL));
    let ended = both_complete(side, ACCEPT, CANCEL);
    assert_eq!(ended[0].result, Err(Errno::CANCELED));
    assert!(!ended[0].more);
    assert!(ended[1].result.is_ok());
}

fn accepts_now(side: &mut impl Side) {
    let (address, listener) = side.listen();
    assert_eq!(side.kernel().accept_now(listener), Err(Errno::AGAIN));
    let mut client = side.connect(address);
    side.kernel().submit(Op::PollReadable { socket: listener }, token(POLL));
    assert!(completes(side, POLL).result.is_ok());
    let socket = side.kernel().accept_now(listener).unwrap();
    assert_eq!(side.kernel().accept_now(listener), Err(Errno::AGAIN));
    close(side, socket);
    assert_eq!(side.read(&mut client, 1), Read::Fin);
}

fn a_listener_that_stopped(side: &mut impl Side) {
    let (_, listener) = side.listen();
    side.kernel().submit(Op::Accept { listener }, token(ACCEPT));
    nothing_completes(side);
    side.stop_listening();
    let ended = completes(side, ACCEPT);
    assert_eq!(ended.result, Err(Errno::INVAL));
    assert!(!ended.more);
    assert_eq!(side.kernel().accept_now(listener), Err(Errno::INVAL));

    // A client that waited in its queue is reset.
    let (address, _) = side.listen();
    let mut waiting = side.connect(address);
    side.stop_listening();
    assert_eq!(side.read(&mut waiting, 1), Read::Reset);
}
