//! Compares the samples of a case with its goals. Ratios are taken within each round, because a machine that is
//! slow for a while is slow for all.

use serde::Serialize;

use crate::cases::{Rule, WaitFor};
use crate::figures::{Figure, Phase, Sample, Unit};
use crate::peers::{Peer, RIVALS};
use crate::statistics::Summary;

/// A goal, and the result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// What was compared, in words.
    pub(crate) what: String,
    /// The goal.
    pub(crate) at_most: Option<f64>,
    /// A number for each round that has one.
    pub(crate) rounds: Vec<f64>,
    /// Over the rounds.
    pub(crate) reached: Option<Summary>,
    /// Whether the goal was met; `None` without a goal, or without results.
    pub(crate) met: Option<bool>,
}

impl Verdict {
    pub(crate) fn of(goal: &WaitFor, unit: Unit, samples: &[Sample]) -> Self {
        let mut numbers: Vec<u32> = samples.iter().map(|sample| sample.round).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let rounds: Vec<f64> =
            numbers.into_iter().filter_map(|number| goal.rule.judge(&Round { samples, number })).collect();
        let reached = Summary::of(&rounds);
        let met = goal.at_most.zip(reached).map(|(at_most, reached)| match goal.rule {
            // One failed request in one round is one too many.
            Rule::NoneFailed(_) => reached.most <= at_most,
            _ => reached.median <= at_most,
        });
        Self { what: goal.rule.words(unit), at_most: goal.at_most, rounds, reached, met }
    }
}

/// The comparison of the goals with our previous revision, if both were measured.
pub(crate) fn against_before(goals: &[WaitFor], unit: Unit, samples: &[Sample]) -> Vec<Verdict> {
    let before = |goal: &WaitFor| match goal.rule {
        Rule::Best(phase, figure) => {
            Some(Verdict::of(&WaitFor { rule: Rule::Before(phase, figure), at_most: None }, unit, samples))
        }
        _ => None,
    };
    goals.iter().filter_map(before).filter(|verdict| !verdict.rounds.is_empty()).collect()
}

/// The samples of one round.
struct Round<'a> {
    samples: &'a [Sample],
    number: u32,
}

impl Round<'_> {
    fn value(&self, peer: Peer, phase: Phase, figure: Figure) -> Option<f64> {
        self.samples
            .iter()
            .find(|sample| sample.round == self.number && sample.peer == peer && sample.phase == phase)
            .and_then(|sample| sample.figures.get(&figure).copied())
    }
}

impl Rule {
    /// `None` if the round lacks a side of the comparison.
    fn judge(self, round: &Round<'_>) -> Option<f64> {
        match self {
            Self::Best(phase, figure) => {
                let value = |peer| round.value(peer, phase, figure);
                ratio(value(Peer::Rondel)?, best_rival(value)?)
            }
            Self::Before(phase, figure) => ratio(
                round.value(Peer::Rondel, phase, figure)?,
                round.value(Peer::RondelBefore, phase, figure)?,
            ),
            Self::Added(phase, figure) => {
                let without = round.value(Peer::Direct, phase, figure)?;
                let added = |peer| Some(round.value(peer, phase, figure)? - without);
                let (ours, best) = (added(Peer::Rondel)?, best_rival(added)?);
                // A rival that added nothing in this round cannot be a divisor; leaving such rounds out would leave
                // out those in which rivals did well.
                if best <= 0.0 && ours > 0.0 { Some(f64::INFINITY) } else { ratio(ours, best) }
            }
            Self::Own(figure, above, below) => {
                ratio(round.value(Peer::Rondel, above, figure)?, round.value(Peer::Rondel, below, figure)?)
            }
            Self::NoneFailed(phase) => round.value(Peer::Rondel, phase, Figure::Failed),
        }
    }

    fn words(self, unit: Unit) -> String {
        match self {
            Self::Best(phase, figure) => {
                format!("{}, {}: rondel / best rival", figure.label(unit), phase.title())
            }
            Self::Before(phase, figure) => {
                format!("{}, {}: rondel / rondel-before", figure.label(unit), phase.title())
            }
            Self::Added(phase, figure) => {
                format!("{} added over direct, {}: rondel / best rival", figure.label(unit), phase.title())
            }
            Self::Own(figure, above, below) => {
                format!("{} of rondel: {} / {}", figure.label(unit), above.title(), below.title())
            }
            Self::NoneFailed(phase) => format!("failed requests of rondel, {}", phase.title()),
        }
    }
}

fn best_rival(value: impl Fn(Peer) -> Option<f64>) -> Option<f64> {
    RIVALS.into_iter().filter_map(value).min_by(f64::total_cmp)
}

fn ratio(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::{Verdict, against_before};
    use crate::cases::{Rule, WaitFor};
    use crate::figures::{Figure, Figures, Phase, Sample, Unit};
    use crate::peers::Peer;

    /// A round per line: direct, haproxy, nginx, rondel; `-` was not measured.
    fn samples(phase: Phase, figure: Figure, rounds: &str) -> Vec<Sample> {
        let peers = [Peer::Direct, Peer::Haproxy, Peer::Nginx, Peer::Rondel];
        let line = |(index, line): (usize, &str)| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let round = u32::try_from(index).unwrap() + 1;
            peers.into_iter().zip(words).filter_map(move |(peer, word)| {
                let value: f64 = word.parse().ok()?;
                Some(Sample { round, peer, phase, figures: Figures::from([(figure, value)]) })
            })
        };
        rounds.lines().enumerate().flat_map(line).collect()
    }

    #[track_caller]
    fn check(goal: WaitFor, samples: &[Sample], rounds: &str, met: Option<bool>) {
        let verdict = Verdict::of(&goal, Unit::Request, samples);
        let shown: Vec<String> = verdict.rounds.iter().map(|ratio| format!("{ratio:.2}")).collect();
        assert_eq!((shown.join(" ").as_str(), verdict.met), (rounds, met));
    }

    const BEST: Rule = Rule::Best(Phase::Full, Figure::CpuUs);
    const ADDED: Rule = Rule::Added(Phase::Full, Figure::CpuUs);

    #[test]
    fn each_round_is_compared_with_its_own_best_rival() {
        let samples = samples(Phase::Full, Figure::CpuUs, "- 12 10 9\n- 20 24 22\n- 10 10 8");
        check(WaitFor { rule: BEST, at_most: Some(0.9) }, &samples, "0.90 1.10 0.80", Some(true));
        check(WaitFor { rule: BEST, at_most: Some(0.85) }, &samples, "0.90 1.10 0.80", Some(false));
        check(WaitFor { rule: BEST, at_most: None }, &samples, "0.90 1.10 0.80", None);
    }

    #[test]
    fn rondel_is_compared_with_its_previous_revision() {
        let mut samples = samples(Phase::Full, Figure::CpuUs, "- 12 10 9\n- 20 24 22");
        let goals = [WaitFor { rule: BEST, at_most: None }, WaitFor { rule: ADDED, at_most: None }];
        assert!(against_before(&goals, Unit::Request, &samples).is_empty());
        for (round, value) in [(1, 10.0), (2, 20.0)] {
            let figures = Figures::from([(Figure::CpuUs, value)]);
            samples.push(Sample { round, peer: Peer::RondelBefore, phase: Phase::Full, figures });
        }
        let verdicts = against_before(&goals, Unit::Request, &samples);
        let rounds: Vec<&[f64]> = verdicts.iter().map(|verdict| verdict.rounds.as_slice()).collect();
        assert_eq!(rounds, [&[0.9, 1.1]]);
    }

    #[test]
    fn a_round_that_lacks_one_side_says_nothing() {
        let samples = samples(Phase::Full, Figure::CpuUs, "- 12 10 -\n- - - 22\n- - 10 8");
        check(WaitFor { rule: BEST, at_most: Some(1.0) }, &samples, "0.80", Some(true));
    }

    #[test]
    fn what_is_added_is_more_than_without_a_balancer() {
        let samples = samples(Phase::Full, Figure::CpuUs, "100 200 300 150\n100 300 200 160");
        check(WaitFor { rule: ADDED, at_most: Some(0.7) }, &samples, "0.50 0.60", Some(true));
    }

    #[test]
    fn a_rival_that_adds_nothing_is_beaten_by_none() {
        let better = samples(Phase::Full, Figure::CpuUs, "100 90 300 150");
        check(WaitFor { rule: ADDED, at_most: Some(0.7) }, &better, "inf", Some(false));
        let both = samples(Phase::Full, Figure::CpuUs, "100 90 300 95");
        check(WaitFor { rule: ADDED, at_most: Some(0.7) }, &both, "", None);
    }

    #[test]
    fn one_failure_in_one_round_is_too_many() {
        let rule = Rule::NoneFailed(Phase::Full);
        let none = samples(Phase::Full, Figure::Failed, "- 1 1 0\n- 1 1 0\n- 1 1 0");
        check(WaitFor { rule, at_most: Some(0.0) }, &none, "0.00 0.00 0.00", Some(true));
        let one = samples(Phase::Full, Figure::Failed, "- 0 0 0\n- 0 0 1\n- 0 0 0");
        check(WaitFor { rule, at_most: Some(0.0) }, &one, "0.00 1.00 0.00", Some(false));
    }

    #[test]
    fn ours_against_ours() {
        let mut samples = samples(Phase::Fixed, Figure::P99Us, "- - - 100");
        samples.extend(self::samples(Phase::Reloading, Figure::P99Us, "- - - 105"));
        let rule = Rule::Own(Figure::P99Us, Phase::Reloading, Phase::Fixed);
        check(WaitFor { rule, at_most: Some(1.1) }, &samples, "1.05", Some(true));
    }

    #[test]
    fn without_measurements_there_is_no_verdict() {
        check(WaitFor { rule: BEST, at_most: Some(1.0) }, &[], "", None);
    }
}
