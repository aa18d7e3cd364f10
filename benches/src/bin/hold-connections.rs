//! Holds connections open until its standard input ends: idle ones, or ones with a request and an unread response.
//!
//! `hold-connections ADDRESS COUNT [PATH]` prints `open` when all are connected, and have requested the path if
//! there is one, so that a script can inspect the other end.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

use socket2::{Domain, Socket, Type};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, count, path) = match arguments.as_slice() {
        [address, count] => (address, count, None),
        [address, count, path] => (address, count, Some(path.as_str())),
        _ => return usage(),
    };
    let (Ok(address), Ok(count)) = (address.parse(), count.parse()) else {
        return usage();
    };
    match hold(address, count, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hold-connections: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: hold-connections ADDRESS COUNT [PATH]\n  hold-connections 127.0.0.1:8080 2000\n  \
         hold-connections 127.0.0.1:8080 1000 /1m"
    );
    ExitCode::from(2)
}

fn hold(address: SocketAddr, count: usize, path: Option<&str>) -> io::Result<()> {
    let connections = (0..count).map(|_| connect(address, path)).collect::<io::Result<Vec<_>>>()?;
    let mut stdout = io::stdout();
    writeln!(stdout, "open")?;
    stdout.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(connections);
    Ok(())
}

fn connect(address: SocketAddr, path: Option<&str>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if path.is_some() {
        // Before it connects: later, it would not affect the window.
        socket.set_recv_buffer_size(SMALL_WINDOW)?;
    }
    socket.connect(&address.into())?;
    let mut connection = TcpStream::from(socket);
    if let Some(path) = path {
        write!(connection, "GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    }
    Ok(connection)
}

/// The receive buffer of a client that does not read, in bytes, approximately.
const SMALL_WINDOW: usize = 4096;
