//! Holds idle connections open until its standard input ends.
//!
//! `idle-connections ADDRESS COUNT` prints `open` when all stand, so that a script can read the memory of
//! whoever is at the other end.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, count] = arguments.as_slice() else {
        return usage();
    };
    let (Ok(address), Ok(count)) = (address.parse(), count.parse()) else {
        return usage();
    };
    match hold(address, count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle-connections: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: idle-connections ADDRESS COUNT\n  idle-connections 127.0.0.1:8080 2000");
    ExitCode::from(2)
}

fn hold(address: SocketAddr, count: usize) -> io::Result<()> {
    let connections = (0..count).map(|_| TcpStream::connect(address)).collect::<io::Result<Vec<_>>>()?;
    let mut stdout = io::stdout();
    writeln!(stdout, "open")?;
    stdout.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(connections);
    Ok(())
}
