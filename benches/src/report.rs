//! What is told of the results, in three ways.

pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod picture;

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::cases::Case;
use crate::figures::{Figure, Phase, Sample, Unit};
use crate::machine::Machine;
use crate::verdict::Verdict;

/// All that a run yielded.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    /// What was measured on.
    pub(crate) machine: Machine,
    /// How often each was measured.
    pub(crate) rounds: u32,
    /// And how long.
    pub(crate) seconds: u32,
    /// Peers that were to take part and could not, each with the reason.
    pub(crate) left_out: Vec<String>,
    /// What could not be run, and why.
    pub(crate) problems: Vec<String>,
    /// In the order in which they ran.
    pub(crate) cases: Vec<CaseResults>,
}

/// What a case yielded.
#[derive(Debug, Serialize)]
pub(crate) struct CaseResults {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) samples: Vec<Sample>,
    /// What its picture shows.
    #[serde(skip)]
    pub(crate) bars: &'static [(Figure, Phase)],
}

impl CaseResults {
    pub(crate) fn new(case: &Case, samples: Vec<Sample>) -> Self {
        let verdicts = case.goals.iter().map(|goal| Verdict::of(goal, case.unit, &samples)).collect();
        Self { name: case.name, title: case.title, unit: case.unit, verdicts, samples, bars: case.bars }
    }
}

/// Writes all of it into a folder, which need not be there.
pub(crate) fn write(results: &Results, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("results.md"), markdown::render(results))?;
    fs::write(folder.join("results.json"), json::render(results))?;
    for case in &results.cases {
        picture::draw(case, &folder.join(format!("{}.svg", case.name)))?;
    }
    Ok(())
}
