//! Shared parts of the reference forwarders: arguments, listening socket, and rotation.
//!
//! They differ in how bytes are relayed, which is what is measured; nothing of that is here.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

/// The arguments of a forwarder.
#[derive(Debug)]
pub struct Task {
    /// The address to accept on.
    pub listen: SocketAddr,
    /// The addresses to connect to.
    pub rotation: Rotation,
}

/// The backends, and the rotation.
#[derive(Debug)]
pub struct Rotation {
    backends: Vec<SocketAddr>,
    cursor: AtomicUsize,
}

/// The size of a buffer, one per direction, for as long as the connection lives.
pub const BUFFER_SIZE: usize = 16 * 1024;

/// Runs `forward` with the command line `NAME LISTEN BACKEND...`; it ends when a listening socket fails.
pub fn run(name: &str, forward: impl FnOnce(Task) -> io::Result<()>) -> ExitCode {
    let arguments: Result<Vec<SocketAddr>, _> = std::env::args().skip(1).map(|word| word.parse()).collect();
    let Ok([listen, backends @ ..]) = arguments.as_deref() else {
        return usage(name);
    };
    let Some(rotation) = Rotation::of(backends) else {
        return usage(name);
    };
    match forward(Task { listen: *listen, rotation }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A socket that listens at `address`, beside other sockets.
///
/// # Errors
///
/// If the kernel refuses it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Rotation {
    /// These backends in order; none if there are none.
    fn of(backends: &[SocketAddr]) -> Option<Self> {
        (!backends.is_empty()).then(|| Self { backends: backends.to_vec(), cursor: AtomicUsize::new(0) })
    }

    /// The next one.
    pub fn next(&self) -> SocketAddr {
        self.backends[self.cursor.fetch_add(1, Ordering::Relaxed) % self.backends.len()]
    }
}

fn usage(name: &str) -> ExitCode {
    eprintln!("usage: {name} LISTEN BACKEND...\n  {name} 127.0.0.1:8080 127.0.0.1:9001");
    ExitCode::from(2)
}

/// The length of the accept queue; the kernel clips it.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::Rotation;

    #[test]
    fn backends_take_turns() {
        let (one, other) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let rotation = Rotation::of(&[one, other]).unwrap();
        assert_eq!([rotation.next(), rotation.next(), rotation.next()], [one, other, one]);
        assert!(Rotation::of(&[]).is_none());
    }
}
