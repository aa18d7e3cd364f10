//! The cost of an idle connection, in a process that has served little before.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::figures::{Figure, Figures};
use crate::measure;
use crate::peers::Peer;
use crate::trials::held::{CONNECT_LIMIT, Held};
use crate::trials::{Ground, count};

pub(crate) fn hold(ground: &Ground<'_>, peer: Peer, connections: u32) -> io::Result<Figures> {
    let stand = ground.start(peer)?;
    let pid = stand.pid().ok_or_else(|| io::Error::other("it has no process"))?;
    // What the first connection allocates is not a cost of the others.
    request(stand.address)?;
    let before = measure::memory(pid);

    let _held = Held::open(ground, &stand, connections, None)?;
    let after = measure::memory(pid);
    let each = (count(after) - count(before)) / f64::from(connections);
    Ok(Figures::from([(Figure::ConnectionMemory, each), (Figure::Memory, count(after))]))
}

fn request(address: SocketAddr) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(CONNECT_LIMIT))?;
    connection.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(io::Error::other(format!("answered {answer:?}")))
    }
}
