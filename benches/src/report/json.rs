//! Every sample, for closer inspection and for the next run.

use serde::Deserialize;

use crate::cases::CASES;
use crate::figures::Sample;
use crate::machine::{Machine, Occasion};
use crate::report::{CaseResults, Results};

pub(crate) fn render(results: &Results) -> String {
    let mut json = serde_json::to_string_pretty(results).expect("names are strings and numbers are numbers");
    json.push('\n');
    json
}

/// Reads an earlier file. Removed cases are dropped; verdicts are not read, since they follow from the samples.
pub(crate) fn read(json: &str) -> Option<(Machine, Vec<CaseResults>)> {
    let kept: Kept = serde_json::from_str(json).ok()?;
    let cases = kept.cases.into_iter().filter_map(|kept| {
        let case = CASES.iter().find(|case| case.name == kept.name)?;
        Some(CaseResults::new(case, kept.occasion, kept.samples, kept.problems))
    });
    Some((kept.machine, cases.collect()))
}

#[derive(Deserialize)]
struct Kept {
    machine: Machine,
    cases: Vec<KeptCase>,
}

#[derive(Deserialize)]
struct KeptCase {
    name: String,
    occasion: Occasion,
    problems: Vec<String>,
    samples: Vec<Sample>,
}

#[cfg(test)]
mod tests {
    use super::{read, render};
    use crate::report::tests::results;

    #[test]
    fn a_written_report_can_be_read() {
        let written = render(&results());
        let (machine, cases) = read(&written).unwrap();
        let again = crate::report::Results { machine, left_out: results().left_out, cases };
        assert_eq!(render(&again), written);
    }

    #[test]
    fn another_file_is_not_read() {
        assert!(read("{}").is_none());
        assert!(read("").is_none());
    }
}
