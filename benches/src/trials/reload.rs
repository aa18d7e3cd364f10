//! Requests at a fixed rate while the balancer repeatedly reloads its configuration.

use std::io;
use std::time::Duration;

use crate::figures::{Figure, Figures};
use crate::peers::{Peer, Stand, Task};
use crate::process::Beats;
use crate::trials::Ground;
use crate::trials::requests::{self, Pace};
use crate::wait;

/// Like [`requests::fixed`], but with reloads.
pub(crate) fn reloading(ground: &Ground<'_>, peer: Peer, pace: Pace) -> io::Result<Figures> {
    let (mut figures, stand, asked) = run(ground, peer, pace, true)?;
    let process = stand.process.as_ref().ok_or_else(|| io::Error::other("it has no process"))?;
    // The reloads it reports, not those requested: signals in quick succession are merged.
    let done = || peer.reloads_done(process);
    wait::until(LAST_RELOAD_LIMIT, || done().is_none_or(|reloads| reloads.done + reloads.refused >= asked));
    let reloads = done();
    if let Some(reloads) = reloads.filter(|reloads| reloads.refused > 0) {
        return Err(process.failure(&format!("refused {} of {asked} reloads", reloads.refused)));
    }
    figures.insert(Figure::Reloads, f64::from(reloads.map_or(asked, |reloads| reloads.done)));
    Ok(figures)
}

/// The same without the reloads. The files for them are still written: that uses CPU time of the others for a
/// moment, which must not count against the balancer.
pub(crate) fn steady(ground: &Ground<'_>, peer: Peer, pace: Pace) -> io::Result<Figures> {
    Ok(run(ground, peer, pace, false)?.0)
}

/// Figures, the peer, and how many reloads there were or would have been.
fn run(ground: &Ground<'_>, peer: Peer, pace: Pace, told: bool) -> io::Result<(Figures, Stand, u32)> {
    let task = Task { reloads: true, ..ground.task(peer) };
    let stand = peer.start(ground.workshop, &task)?;
    let process = stand.process.as_ref().ok_or_else(|| io::Error::other("it has no process"))?;
    let period = period(peer);
    let mut asked = 0;
    let load = requests::at_rate(ground, &stand, pace);
    let cost = load.run_while(ground.workshop, &stand, Beats { first: period / 2, period }, &mut || {
        asked += 1;
        peer.reload(ground.workshop, &task, process, asked, told)
    })?;
    Ok((pace.figures(&cost), stand, asked))
}

/// Rondel reloads 50 times per second. Each reload of the others starts another process and drains the old one, so
/// 50 of them would measure nothing else; one per second is given for context.
fn period(peer: Peer) -> Duration {
    if matches!(peer, Peer::Rondel | Peer::RondelBefore) {
        Duration::from_millis(20)
    } else {
        Duration::from_secs(1)
    }
}

/// The last one was requested just before the load ended; a reload takes milliseconds.
const LAST_RELOAD_LIMIT: Duration = Duration::from_secs(1);
