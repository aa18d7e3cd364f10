//! Sockets are closed, or reset.

use sim::Read;
use uring::Driver;

use crate::{Side, close, connected, fill, read_all};

scripts! {
    resets_on_close
    resets_what_was_not_read
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
