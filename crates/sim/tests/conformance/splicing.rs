//! Bytes are moved through a pipe.

use driver::{Driver, Errno};
use sim::Read;

use crate::{Side, close, connected, read_all};

scripts! {
    splices
    splices_until_the_pipe_is_full
}

fn splices(side: &mut impl Side) {
    let (mut client, from) = connected(side);
    let (mut backend, to) = connected(side);
    let pipe = side.kernel().open_pipe().unwrap();
    let kernel = side.kernel();
    assert_eq!(kernel.splice(from, pipe.write, pipe.capacity), Err(Errno::AGAIN));
    assert_eq!(kernel.splice(pipe.read, to, 10), Err(Errno::AGAIN));
    side.send(&mut client, 1000);
    assert_eq!(side.kernel().splice(from, pipe.write, 600), Ok(600));
    assert_eq!(side.kernel().splice(from, pipe.write, 600), Ok(400));
    assert_eq!(side.kernel().splice(pipe.read, to, 1000), Ok(1000));
    assert_eq!(side.read(&mut backend, 2000), Read::Bytes(1000));
    side.finish(&mut client);
    assert_eq!(side.kernel().splice(from, pipe.write, 10), Ok(0));
    side.send(&mut backend, 1);
    assert_eq!(side.kernel().splice(to, pipe.write, 10), Ok(1));
    side.reset(backend);
    assert_eq!(side.kernel().splice(to, pipe.write, 10), Err(Errno::CONNRESET));
    assert_eq!(side.kernel().splice(pipe.read, to, 1), Err(Errno::PIPE));
    for fd in [from, to, pipe.read, pipe.write] {
        close(side, fd);
    }
}

fn splices_until_the_pipe_is_full(side: &mut impl Side) {
    let (mut client, from) = connected(side);
    let (mut backend, to) = connected(side);
    let pipe = side.kernel().open_pipe().unwrap();
    // A socket may hold less than a pipe, and a pipe more than its size if data arrived in large pieces.
    let mut filled = 0;
    loop {
        side.send(&mut client, 16 * 1024);
        match side.kernel().splice(from, pipe.write, pipe.capacity) {
            Ok(length) => filled += length,
            Err(errno) => {
                assert_eq!(errno, Errno::AGAIN);
                break;
            }
        }
    }
    assert!(filled >= pipe.capacity / 2);
    let mut moved = 0;
    while moved < filled {
        moved += side.kernel().splice(pipe.read, to, filled).unwrap();
        read_all(side, &mut backend);
    }
    assert!(side.kernel().splice(from, pipe.write, pipe.capacity).is_ok());
    for fd in [from, to, pipe.read, pipe.write] {
        close(side, fd);
    }
}
