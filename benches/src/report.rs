//! The report of the results, in three formats.

pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod picture;

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::cases::{CASES, Case};
use crate::figures::{Sample, Unit};
use crate::machine::{Machine, Occasion};
use crate::verdict::{Verdict, against_before};

/// All results, of this run and of earlier ones on the same machine.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    /// The machine.
    pub(crate) machine: Machine,
    /// Peers that were requested and could not take part, each with the reason.
    pub(crate) left_out: Vec<String>,
    /// In the order of the cases.
    pub(crate) cases: Vec<CaseResults>,
}

/// The results of a case.
#[derive(Debug, Serialize)]
pub(crate) struct CaseResults {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) occasion: Occasion,
    /// What could not be run, and why.
    pub(crate) problems: Vec<String>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) samples: Vec<Sample>,
    #[serde(skip)]
    pub(crate) case: &'static Case,
}

impl CaseResults {
    pub(crate) fn new(
        case: &'static Case,
        occasion: Occasion,
        samples: Vec<Sample>,
        problems: Vec<String>,
    ) -> Self {
        let mut verdicts: Vec<_> =
            case.goals.iter().map(|goal| Verdict::of(goal, case.unit, &samples)).collect();
        verdicts.extend(against_before(case.goals, case.unit, &samples));
        Self {
            name: case.name,
            title: case.title,
            unit: case.unit,
            occasion,
            problems,
            verdicts,
            samples,
            case,
        }
    }
}

impl Results {
    /// The results that `folder` already has, if they are from such a machine: cases can be measured one by one.
    pub(crate) fn open(folder: &Path, machine: Machine, left_out: Vec<String>) -> Self {
        let kept = fs::read_to_string(folder.join(JSON)).ok().and_then(|json| json::read(&json));
        let cases = kept.filter(|(kept, _)| *kept == machine).map(|(_, cases)| cases).unwrap_or_default();
        Self { machine, left_out, cases }
    }

    /// Adds the results of a case, in place of its previous ones.
    pub(crate) fn put(&mut self, case: CaseResults) {
        self.cases.retain(|other| other.name != case.name);
        self.cases.push(case);
        self.cases.sort_by_key(|case| CASES.iter().position(|other| other.name == case.name));
    }

    /// Writes everything into a folder, which is created if needed.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("results.md"), markdown::render(self))?;
        fs::write(folder.join(JSON), json::render(self))?;
        for case in &self.cases {
            picture::draw(case, &folder.join(format!("{}.svg", case.name)))?;
        }
        Ok(())
    }
}

const JSON: &str = "results.json";

#[cfg(test)]
pub(crate) mod tests {
    use super::{CaseResults, Results};
    use crate::cases::CASES;
    use crate::figures::{Figure, Figures, Phase, Sample};
    use crate::machine::{Machine, Occasion};
    use crate::peers::Peer;

    /// Two rounds of the reload case, invented.
    pub(crate) fn results() -> Results {
        let machine = Machine {
            kernel: "6.18.1-test".to_owned(),
            processor: "Imagined".to_owned(),
            processors: 2,
            versions: vec!["rondel 0.1.0".to_owned(), "nginx/1.22.1".to_owned()],
        };
        let occasion = Occasion {
            date: "2026-11-22".to_owned(),
            revision: "abc1234".to_owned(),
            rounds: 2,
            seconds: 5,
            rate_percent: 50,
        };
        let sample = |round, peer, phase, figures: &[(Figure, f64)]| Sample {
            round,
            peer,
            phase,
            figures: figures.iter().copied().collect::<Figures>(),
        };
        let samples = vec![
            sample(1, Peer::Nginx, Phase::Fixed, &[(Figure::P99Us, 900.0), (Figure::Failed, 1.0)]),
            sample(
                1,
                Peer::Rondel,
                Phase::Fixed,
                &[(Figure::P99Us, 800.0), (Figure::Failed, 0.0), (Figure::CpuUs, 20.0)],
            ),
            sample(
                1,
                Peer::Rondel,
                Phase::Reloading,
                &[(Figure::P99Us, 840.0), (Figure::Failed, 0.0), (Figure::Reloads, 250.0)],
            ),
            sample(2, Peer::Nginx, Phase::Fixed, &[(Figure::P99Us, 1100.0), (Figure::Failed, 2.0)]),
            sample(
                2,
                Peer::Rondel,
                Phase::Fixed,
                &[(Figure::P99Us, 1000.0), (Figure::Failed, 0.0), (Figure::CpuUs, 22.0)],
            ),
            sample(
                2,
                Peer::Rondel,
                Phase::Reloading,
                &[(Figure::P99Us, 1200.0), (Figure::Failed, 0.0), (Figure::Reloads, 248.0)],
            ),
        ];
        let case = CASES.iter().find(|case| case.name == "reload").unwrap();
        let problems = vec!["round 2, reload, haproxy: does not listen\n  because".to_owned()];
        Results {
            machine,
            left_out: vec!["kernel: needs root".to_owned()],
            cases: vec![CaseResults::new(case, occasion, samples, problems)],
        }
    }

    #[test]
    fn a_case_that_is_measured_again_takes_its_place() {
        let mut all = results();
        let first = CaseResults::new(&CASES[0], all.cases[0].occasion.clone(), Vec::new(), Vec::new());
        all.put(first);
        all.put(results().cases.remove(0));
        assert_eq!(all.cases.iter().map(|case| case.name).collect::<Vec<_>>(), [CASES[0].name, "reload"]);
    }
}
