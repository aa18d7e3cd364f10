//! What a connection costs that does nothing, on a process that has served little before.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::figures::{Figure, Figures};
use crate::measure;
use crate::peers::Peer;
use crate::process::{Cores, Output};
use crate::trials::{Ground, count};
use crate::{proc, wait};

pub(crate) fn hold(ground: &Ground<'_>, peer: Peer, connections: u32) -> io::Result<Figures> {
    let stand = ground.start(peer)?;
    let pid = stand.pid().ok_or_else(|| io::Error::other("it has no process"))?;
    // What the first connection brings about is no cost of the others.
    request(stand.address)?;
    let before = measure::memory(pid);

    let command =
        [ground.workshop.program("idle-connections"), stand.address.to_string(), connections.to_string()];
    let mut process = ground.workshop.start("idle", stand.clients(Cores::Load), &command, Output::Piped)?;
    let stdout = process.child.stdout.take().expect("it was started with a pipe");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.trim() != "open" {
        return Err(process.failure("does not hold its connections"));
    }
    // The balancer connects at its own pace; only then has it all that a connection takes.
    let ports: Vec<u16> = ground.here.addresses.iter().map(SocketAddr::port).collect();
    let stand_all = wait::until(CONNECT_LIMIT, || proc::connections_to(&ports) >= connections as usize);
    if !stand_all {
        let number = proc::connections_to(&ports);
        return Err(io::Error::other(format!(
            "only {number} of {connections} connections reach the backends"
        )));
    }
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

const CONNECT_LIMIT: Duration = Duration::from_secs(20);
