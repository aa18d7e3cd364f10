//! Sockets are connected.

use driver::{Driver, Errno, Op};
use sim::Read;

use crate::{
    CANCEL, CONNECT, Side, both_complete, close, completes, nothing_completes, open, options, token,
};

scripts! {
    connects
    is_refused
    gives_a_connect_up
    is_refused_by_itself
}

fn connects(side: &mut impl Side) {
    let to = side.serving();
    let socket = open(side, to);
    side.kernel().submit(Op::Connect { socket, to }, token(CONNECT));
    assert_eq!(completes(side, CONNECT).result, Ok(0));
    assert_eq!(side.kernel().confirm_connect(socket, &options(to)), Ok(()));
    let mut backend = side.accepted();
    close(side, socket);
    assert_eq!(side.read(&mut backend, 1), Read::Fin);
}

fn is_refused(side: &mut impl Side) {
    let to = side.refusing();
    let socket = open(side, to);
    side.kernel().submit(Op::Connect { socket, to }, token(CONNECT));
    assert_eq!(completes(side, CONNECT).result, Err(Errno::CONNREFUSED));
    close(side, socket);
}

fn gives_a_connect_up(side: &mut impl Side) {
    let to = side.silent();
    let socket = open(side, to);
    side.kernel().submit(Op::Connect { socket, to }, token(CONNECT));
    nothing_completes(side);
    side.kernel().submit(Op::Cancel { target: token(CONNECT) }, token(CANCEL));
    let ended = both_complete(side, CONNECT, CANCEL);
    assert_eq!(ended[0].result, Err(Errno::CANCELED));
    close(side, socket);
}

fn is_refused_by_itself(side: &mut impl Side) {
    let (to, socket) = side.meeting_itself();
    side.kernel().submit(Op::Connect { socket, to }, token(CONNECT));
    assert_eq!(completes(side, CONNECT).result, Ok(0));
    assert_eq!(side.kernel().confirm_connect(socket, &options(to)), Err(Errno::CONNREFUSED));
    close(side, socket);
}
