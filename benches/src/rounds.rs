//! Runs the trials of a case in rounds: within one, the peers take turns.

use std::io;

use crate::backends::{Backends, Site};
use crate::cases::{Case, Requests, Work};
use crate::figures::{Figure, Figures, Phase, Sample};
use crate::namespace::Namespace;
use crate::peers::{Guard, Peer, Watch};
use crate::process::Cores;
use crate::trials::requests::Pace;
use crate::trials::{Ground, idle, reload, requests, streams};
use crate::workshop::Workshop;

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
    pub(crate) rate_percent: u32,
    pub(crate) peers: Vec<Peer>,
}

/// The results of a case.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) samples: Vec<Sample>,
    /// What could not be run, and why.
    pub(crate) problems: Vec<String>,
}

/// Runs a case. A failed trial does not prevent the others.
pub(crate) fn run(
    case: &Case,
    plan: &Plan,
    workshop: &Workshop,
    namespace: Option<&Namespace>,
) -> io::Result<Outcome> {
    let peers: Vec<Peer> = plan.peers.iter().copied().filter(|&peer| case.work.suits(peer)).collect();
    let ground = ground(case, &peers, workshop, namespace)?;
    let mut running = Running { case, plan, ground, outcome: Outcome::default() };
    let mut rate = None;
    for round in 1..=plan.rounds {
        let mut order = peers.clone();
        // The order rotates, so that no peer always follows the same one.
        order.rotate_left(round as usize % peers.len().max(1));
        running.round(round, &order, &mut rate);
    }
    Ok(running.outcome)
}

fn ground<'a>(
    case: &Case,
    peers: &[Peer],
    workshop: &'a Workshop,
    namespace: Option<&'a Namespace>,
) -> io::Result<Ground<'a>> {
    let backends = |site| match case.work {
        Work::Streams { .. } => Backends::iperf3(workshop, Cores::Load, site),
        Work::TwoWorkers(_) => Backends::http(workshop, Cores::Both, site),
        _ => Backends::http(workshop, Cores::Load, site),
    };
    let inside = match namespace.filter(|_| peers.contains(&Peer::Kernel)) {
        Some(namespace) => Some((namespace, backends(Site::Inside(namespace.name()))?)),
        None => None,
    };
    Ok(Ground { workshop, here: backends(Site::Here)?, inside })
}

struct Running<'a> {
    case: &'a Case,
    plan: &'a Plan,
    ground: Ground<'a>,
    outcome: Outcome,
}

impl Running<'_> {
    /// `rate` is found in the first round, and applies to all.
    fn round(&mut self, round: u32, peers: &[Peer], rate: &mut Option<f64>) {
        let seconds = self.plan.seconds;
        match self.case.work {
            Work::Requests(how) => {
                self.each(round, peers, Phase::Full, |ground, peer| {
                    requests::full(ground, peer, how, seconds)
                });
                let Some(rate) = self.rate(how, rate) else { return };
                let pace = Pace { requests: how, seconds, rate };
                self.each(round, peers, Phase::Fixed, |ground, peer| requests::fixed(ground, peer, pace));
            }
            Work::Streams { streams } => {
                self.each(round, peers, Phase::Full, |ground, peer| {
                    streams::upload(ground, peer, streams, seconds)
                });
            }
            Work::Idle { connections } => {
                self.each(round, peers, Phase::Idle, |ground, peer| idle::hold(ground, peer, connections));
            }
            Work::Reload(how) => {
                let Some(pace) = self.pace_of(round, peers, how, rate) else { return };
                for &peer in peers {
                    // One right after the other, because they are compared.
                    self.each(round, &[peer], Phase::Fixed, |ground, peer| {
                        reload::steady(ground, peer, pace)
                    });
                    self.each(round, &[peer], Phase::Reloading, |ground, peer| {
                        reload::reloading(ground, peer, pace)
                    });
                }
            }
            Work::Beside { requests: how, stuck } => {
                let Some(pace) = self.pace_of(round, peers, how, rate) else { return };
                // The order rotates, as with peers.
                let mut phases = [(Phase::Fixed, 0), (Phase::Beside, stuck)];
                phases.rotate_left(round as usize % 2);
                for &peer in peers {
                    for (phase, stuck) in phases {
                        self.each(round, &[peer], phase, |ground, peer| {
                            requests::fixed_beside(ground, peer, pace, stuck)
                        });
                    }
                }
            }
            Work::TwoWorkers(how) => {
                for &peer in peers {
                    for (phase, workers) in [(Phase::Full, 1), (Phase::TwoWorkers, 2)] {
                        self.each(round, &[peer], phase, |ground, peer| {
                            requests::full_with_workers(ground, peer, how, seconds, workers)
                        });
                    }
                }
            }
            Work::Guarded(how, guard) => {
                let mut phases = [(Phase::Unguarded, Guard::None), (Phase::Guarded, guard)];
                // The order rotates, as with peers.
                phases.rotate_left(round as usize % 2);
                for &peer in peers {
                    for (phase, guard) in phases {
                        self.each(round, &[peer], phase, |ground, peer| {
                            requests::full_guarded(ground, peer, how, seconds, guard)
                        });
                    }
                }
            }
            Work::Watched(how) => {
                let mut phases = [(Phase::Unwatched, Watch::Nothing), (Phase::Watched, Watch::Everything)];
                // The order rotates, as with peers.
                phases.rotate_left(round as usize % 2);
                for (phase, watch) in phases {
                    self.each(round, peers, phase, |ground, peer| {
                        requests::full_watched(ground, peer, how, seconds, watch)
                    });
                }
            }
        }
    }

    fn each(
        &mut self,
        round: u32,
        peers: &[Peer],
        phase: Phase,
        trial: impl Fn(&Ground<'_>, Peer) -> io::Result<Figures>,
    ) {
        for &peer in peers {
            let what = format!("round {round}, {}, {}, {}", self.case.name, peer.name(), phase.title());
            match trial(&self.ground, peer) {
                Ok(figures) => {
                    eprintln!("{what}: {}", brief(&figures, self.case));
                    self.outcome.samples.push(Sample { round, peer, phase, figures });
                }
                Err(error) => {
                    eprintln!("{what}: {error}");
                    self.outcome.problems.push(format!("{what}: {error}"));
                }
            }
        }
    }

    /// The rate of a case without a full load: one is run in the first round to find it.
    fn pace_of(&mut self, round: u32, peers: &[Peer], how: Requests, rate: &mut Option<f64>) -> Option<Pace> {
        let seconds = self.plan.seconds;
        if rate.is_none() {
            self.each(round, peers, Phase::Full, |ground, peer| requests::full(ground, peer, how, seconds));
        }
        Some(Pace { requests: how, seconds, rate: self.rate(how, rate)? })
    }

    /// The fixed rate for all peers: a share of what the slowest of the compared three can do.
    fn rate(&mut self, how: Requests, rate: &mut Option<f64>) -> Option<f64> {
        if rate.is_none() {
            *rate = least_full_load(&self.outcome.samples).map(|units| {
                let full = units / how.page.units();
                (full * f64::from(self.plan.rate_percent) / 100.0).max(1.0).round()
            });
            if rate.is_none() {
                self.outcome
                    .problems
                    .push(format!("{}: without a full load there is no part of one", self.case.name));
            }
        }
        *rate
    }
}

fn least_full_load(samples: &[Sample]) -> Option<f64> {
    let compared = |sample: &&Sample| matches!(sample.peer, Peer::Rondel | Peer::Haproxy | Peer::Nginx);
    let throughput = |sample: &Sample| sample.figures.get(&Figure::Throughput).copied();
    let full = || samples.iter().filter(|sample| sample.phase == Phase::Full);
    let least = full().filter(compared).filter_map(throughput).min_by(f64::total_cmp);
    // If none of them takes part, all others count.
    least.or_else(|| full().filter_map(throughput).min_by(f64::total_cmp))
}

/// A line of progress.
fn brief(figures: &Figures, case: &Case) -> String {
    let shown = [
        Figure::Throughput,
        Figure::CpuUs,
        Figure::P99Us,
        Figure::ConnectionMemory,
        Figure::Reloads,
        Figure::Failed,
    ];
    let parts: Vec<String> = shown
        .into_iter()
        .filter_map(|figure| {
            let value = *figures.get(&figure)?;
            (figure != Figure::Failed || value > 0.0)
                .then(|| format!("{} {}", figure.shown(value), figure.label(case.unit)))
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::least_full_load;
    use crate::figures::{Figure, Figures, Phase, Sample};
    use crate::peers::Peer;

    fn sample(peer: Peer, throughput: f64) -> Sample {
        Sample {
            round: 1,
            peer,
            phase: Phase::Full,
            figures: Figures::from([(Figure::Throughput, throughput)]),
        }
    }

    #[test]
    fn the_slowest_of_those_that_are_compared() {
        let samples = [(Peer::Tokio, 10.0), (Peer::Haproxy, 80.0), (Peer::Nginx, 60.0), (Peer::Rondel, 90.0)];
        assert_eq!(least_full_load(&samples.map(|(peer, throughput)| sample(peer, throughput))), Some(60.0));
        assert_eq!(least_full_load(&[sample(Peer::Tokio, 10.0)]), Some(10.0));
        assert_eq!(least_full_load(&[]), None);
    }
}
