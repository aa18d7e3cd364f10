//! Bytes from the client to the backend, at full load.

use std::io;

use crate::figures::Figures;
use crate::load::{Load, iperf3};
use crate::peers::Peer;
use crate::process::Cores;
use crate::trials::{Ground, figures};

pub(crate) fn upload(ground: &Ground<'_>, peer: Peer, streams: u32, seconds: u32) -> io::Result<Figures> {
    let stand = ground.start(peer)?;
    let command = iperf3::command(stand.address, streams, seconds);
    let cost =
        Load { cores: Cores::Load, seconds, command, parse: iperf3::parse }.run(ground.workshop, &stand)?;
    Ok(figures(&cost, 1.0 / GIB))
}

const GIB: f64 = 1_073_741_824.0;
