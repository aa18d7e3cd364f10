//! Turns the samples that `scripts/bench` took into Markdown tables.
//!
//! One line of standard input is one trial: case, unit of work, round, balancer, CPU time in microseconds, units of work done,
//! seconds, failed requests; separated by tabs. It measures nothing itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::process::ExitCode;
use std::str::FromStr;

fn main() -> ExitCode {
    let mut input = String::new();
    if let Err(error) = io::stdin().read_to_string(&mut input) {
        eprintln!("bench-report: {error}");
        return ExitCode::FAILURE;
    }
    match parse(&input) {
        Ok(samples) => {
            print!("{}", report(&samples));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One balancer in one round of one case.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    case: String,
    unit: String,
    round: u32,
    balancer: String,
    cpu_us: f64,
    units: f64,
    seconds: f64,
    failed: u64,
}

impl Sample {
    /// CPU time of the balancer per unit of work.
    fn cost(&self) -> f64 {
        self.cpu_us / self.units
    }

    fn throughput(&self) -> f64 {
        self.units / self.seconds
    }

    /// How much of one core the balancer used, in percent.
    fn busy(&self) -> f64 {
        self.cpu_us / self.seconds / 1e4
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [case, unit, round, balancer, cpu_us, units, seconds, failed] = fields[..] else {
            return Err(format!("eight fields expected: {line:?}"));
        };
        let sample = Self {
            case: case.to_owned(),
            unit: unit.to_owned(),
            round: number(round)?,
            balancer: balancer.to_owned(),
            cpu_us: number(cpu_us)?,
            units: number(units)?,
            seconds: number(seconds)?,
            failed: number(failed)?,
        };
        if sample.units <= 0.0 || sample.seconds <= 0.0 {
            return Err(format!("no work was done: {line:?}"));
        }
        Ok(sample)
    }
}

fn number<T: FromStr>(field: &str) -> Result<T, String> {
    field.trim().parse().map_err(|_| format!("not a number: {field:?}"))
}

fn parse(input: &str) -> Result<Vec<Sample>, String> {
    input.lines().filter(|line| !line.is_empty()).map(str::parse).collect()
}

/// The balancer that is measured, and those it is measured against.
const OURS: &str = "rondel";
const PEERS: [&str; 3] = ["haproxy", "haproxy-splice", "nginx"];

/// One table per case, in the order of their first samples.
fn report(samples: &[Sample]) -> String {
    let mut report = String::new();
    for case in distinct(samples.iter().map(|sample| sample.case.as_str())) {
        let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.case == case).collect();
        table(&mut report, case, &samples);
    }
    report
}

/// Appends the table of one case, whose samples are at least one.
fn table(report: &mut String, case: &str, samples: &[&Sample]) {
    let unit = &samples[0].unit;
    // Writing to a `String` does not fail.
    let _ = writeln!(report, "### {case}\n");
    let _ = writeln!(report, "| balancer | CPU, us/{unit} | {unit}/s | of one core | failed | rounds |");
    let _ = writeln!(report, "|---|---:|---:|---:|---:|---:|");
    for balancer in distinct(samples.iter().map(|sample| sample.balancer.as_str())) {
        let own: Vec<&Sample> =
            samples.iter().filter(|sample| sample.balancer == balancer).copied().collect();
        let _ = writeln!(
            report,
            "| {balancer} | {:.2} | {:.0} | {:.0} % | {} | {} |",
            median(own.iter().map(|sample| sample.cost()).collect()),
            median(own.iter().map(|sample| sample.throughput()).collect()),
            median(own.iter().map(|sample| sample.busy()).collect()),
            own.iter().map(|sample| sample.failed).sum::<u64>(),
            own.len(),
        );
    }
    let ratios = ratios(samples);
    if !ratios.is_empty() {
        let rounds = ratios.len();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let _ = writeln!(
            report,
            "\nCPU of {OURS} / the best of {} in the same round: median **{:.2}** ({least:.2} to {most:.2}, {rounds} rounds).",
            PEERS.join(", "),
            median(ratios),
        );
    }
    report.push('\n');
}

/// What a unit of work cost us, by what it cost the best peer of the same round. Rounds are compared with
/// themselves, because a machine that is slow for a while is slow for all of them.
fn ratios(samples: &[&Sample]) -> Vec<f64> {
    let mut rounds: BTreeMap<u32, (Option<f64>, Option<f64>)> = BTreeMap::new();
    for sample in samples {
        let (ours, best) = rounds.entry(sample.round).or_default();
        if sample.balancer == OURS {
            *ours = Some(sample.cost());
        } else if PEERS.contains(&sample.balancer.as_str()) {
            *best = Some(best.map_or(sample.cost(), |best| best.min(sample.cost())));
        }
    }
    rounds.into_values().filter_map(|(ours, best)| Some(ours? / best?)).collect()
}

/// The middle of `values`, which are at least one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::{median, parse, ratios, report};

    const TWO_ROUNDS: &str = "\
small\trequest\t1\thaproxy\t1200\t100\t2.0\t0
small\trequest\t1\tnginx\t1000\t100\t2.0\t0
small\trequest\t1\trondel\t900\t100\t2.0\t0
small\trequest\t2\thaproxy\t2000\t100\t2.0\t0
small\trequest\t2\tnginx\t2400\t100\t2.0\t3
small\trequest\t2\trondel\t2200\t100\t2.0\t0
";

    #[test]
    fn the_middle_of_odd_and_even() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn each_round_is_held_against_its_own_best_peer() {
        let samples = parse(TWO_ROUNDS).unwrap();
        let ratios = ratios(&samples.iter().collect::<Vec<_>>());
        assert_eq!(ratios.len(), 2);
        assert!((ratios[0] - 0.9).abs() < 1e-9);
        assert!((ratios[1] - 1.1).abs() < 1e-9);
    }

    #[test]
    fn a_table_shows_medians_and_the_ratio() {
        let report = report(&parse(TWO_ROUNDS).unwrap());
        assert!(report.contains("| haproxy | 16.00 | 50 | 0 % | 0 | 2 |"), "{report}");
        assert!(report.contains("| nginx | 17.00 | 50 | 0 % | 3 | 2 |"), "{report}");
        assert!(report.contains("median **1.00** (0.90 to 1.10, 2 rounds)"), "{report}");
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        assert_eq!(parse("small\t1").unwrap_err(), "eight fields expected: \"small\\t1\"");
        assert_eq!(parse("small\trequest\t1\trondel\tx\t1\t1\t0").unwrap_err(), "not a number: \"x\"");
        assert!(parse("small\trequest\t1\trondel\t1\t0\t1\t0").unwrap_err().starts_with("no work"));
    }
}
