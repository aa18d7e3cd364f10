//! HTTP requests: at full load, or at a fixed rate.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::cases::{Page, Requests};
use crate::figures::{Figure, Figures};
use crate::load::{Cost, Load, generate, wrk};
use crate::measure::Spent;
use crate::peers::{Guard, Peer, Stand, Task, Watch};
use crate::process::{Beats, Cores};
use crate::trials::held::Held;
use crate::trials::{Ground, figures};
use crate::wait;

/// Full load; the percentiles are those of wrk, which waits for a response before its next request.
pub(crate) fn full(ground: &Ground<'_>, peer: Peer, requests: Requests, seconds: u32) -> io::Result<Figures> {
    let stand = ground.start(peer)?;
    load_fully(ground, &stand, requests, seconds, Cores::Load)
}

/// The same with this many workers on both cores, and the load on both as well.
pub(crate) fn full_with_workers(
    ground: &Ground<'_>,
    peer: Peer,
    requests: Requests,
    seconds: u32,
    workers: u32,
) -> io::Result<Figures> {
    let stand = peer.start(ground.workshop, &Task { workers, cores: Cores::Both, ..ground.task(peer) })?;
    load_fully(ground, &stand, requests, seconds, Cores::Both)
}

/// The same on one core, with or without rules about addresses.
pub(crate) fn full_guarded(
    ground: &Ground<'_>,
    peer: Peer,
    requests: Requests,
    seconds: u32,
    guard: Guard,
) -> io::Result<Figures> {
    let stand = peer.start(ground.workshop, &Task { guard, ..ground.task(peer) })?;
    load_fully(ground, &stand, requests, seconds, Cores::Load)
}

/// The same on one core, with or without monitoring; with it, the metrics are scraped once per second.
pub(crate) fn full_watched(
    ground: &Ground<'_>,
    peer: Peer,
    requests: Requests,
    seconds: u32,
    watch: Watch,
) -> io::Result<Figures> {
    let task = Task { watch, ..ground.task(peer) };
    let stand = peer.start(ground.workshop, &task)?;
    let second = Duration::from_secs(1);
    let beats = Beats { first: second / 2, period: second };
    let load = full_load(&stand, requests, seconds, Cores::Load);
    let cost = load.run_while(ground.workshop, &stand, beats, &mut || match watch {
        Watch::Everything => scrape(task.metrics()),
        Watch::Default | Watch::Nothing => Ok(()),
    })?;
    Ok(figures(&cost, requests.page.units()))
}

/// As Prometheus does.
fn scrape(address: SocketAddr) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(SCRAPE_LIMIT))?;
    let format = "application/openmetrics-text;version=1.0.0";
    write!(
        connection,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAccept: {format}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") && answer.ends_with("# EOF\n") {
        return Ok(());
    }
    Err(io::Error::other(format!("metrics: {}", answer.lines().next().unwrap_or("nothing"))))
}

/// The timeout of a scrape.
const SCRAPE_LIMIT: Duration = Duration::from_secs(5);

fn load_fully(
    ground: &Ground<'_>,
    stand: &Stand,
    requests: Requests,
    seconds: u32,
    cores: Cores,
) -> io::Result<Figures> {
    let cost = full_load(stand, requests, seconds, cores).run(ground.workshop, stand)?;
    Ok(figures(&cost, requests.page.units()))
}

/// The load generator for full load.
fn full_load(stand: &Stand, requests: Requests, seconds: u32, cores: Cores) -> Load {
    let seconds = seconds * requests.stretch;
    let command = wrk::command(stand.address, requests, seconds, cores.count());
    Load { cores, seconds, command, parse: wrk::parse }
}

/// A fixed rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) requests: Requests,
    /// How long.
    pub(crate) seconds: u32,
    /// How many per second.
    pub(crate) rate: f64,
}

impl Pace {
    /// The result, and the requested number.
    pub(crate) fn figures(self, cost: &Cost) -> Figures {
        let mut figures = figures(cost, self.requests.page.units());
        figures.insert(Figure::Asked, self.rate);
        figures
    }
}

/// At a fixed rate.
pub(crate) fn fixed(ground: &Ground<'_>, peer: Peer, pace: Pace) -> io::Result<Figures> {
    let stand = ground.start(peer)?;
    load_at_rate(ground, &stand, pace)
}

/// The same beside this many clients that request much and read nothing, once everything that fits has been sent to
/// them.
pub(crate) fn fixed_beside(ground: &Ground<'_>, peer: Peer, pace: Pace, stuck: u32) -> io::Result<Figures> {
    let stand = ground.start(peer)?;
    let _held = Held::open(ground, &stand, stuck, Some(Page::Mib1))?;
    let rests = wait::until_same(REST, REST_LIMIT, || Spent::now(stand.pid()).cpu);
    if !rests {
        return Err(io::Error::other("it keeps working for clients that read nothing"));
    }
    load_at_rate(ground, &stand, pace)
}

/// After this long without progress, every window is full.
const REST: Duration = Duration::from_millis(300);

const REST_LIMIT: Duration = Duration::from_secs(20);

fn load_at_rate(ground: &Ground<'_>, stand: &Stand, pace: Pace) -> io::Result<Figures> {
    let cost = at_rate(ground, stand, pace).run(ground.workshop, stand)?;
    Ok(pace.figures(&cost))
}

/// The load generator for a fixed rate.
pub(crate) fn at_rate(ground: &Ground<'_>, stand: &Stand, pace: Pace) -> Load {
    let Pace { requests, seconds, rate } = pace;
    let seconds = seconds * requests.stretch;
    let command = generate::command(ground.workshop, stand.address, requests, seconds, rate);
    Load { cores: Cores::Load, seconds, command, parse: generate::parse }
}
