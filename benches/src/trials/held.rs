//! Connections that are open beside what is measured, or are what is measured.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::time::Duration;

use crate::cases::Page;
use crate::peers::Stand;
use crate::process::{Cores, Output, Process};
use crate::trials::Ground;
use crate::{proc, wait};

/// They are open until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _process: Process,
}

impl Held {
    /// This many connections through this balancer, which request a page and do not read it, or are idle. All have
    /// reached a backend.
    pub(crate) fn open(
        ground: &Ground<'_>,
        stand: &Stand,
        number: u32,
        page: Option<Page>,
    ) -> io::Result<Self> {
        let mut command =
            vec![ground.workshop.program("hold-connections"), stand.address.to_string(), number.to_string()];
        command.extend(page.map(|page| page.path().to_owned()));
        let mut process =
            ground.workshop.start("held", stand.clients(Cores::Load), &command, Output::Piped)?;
        let stdout = process.child.stdout.take().expect("it was started with a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim() != "open" {
            return Err(process.failure("does not hold its connections"));
        }
        // The balancer connects at its own pace; only after that it has everything that a connection needs.
        let ports: Vec<u16> = ground.here.addresses.iter().map(SocketAddr::port).collect();
        let stand_all = wait::until(CONNECT_LIMIT, || proc::connections_to(&ports) >= number as usize);
        if !stand_all {
            let connected = proc::connections_to(&ports);
            return Err(io::Error::other(format!(
                "only {connected} of {number} connections reach the backends"
            )));
        }
        Ok(Self { _process: process })
    }
}

/// How long all connects together may take.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(20);
