//! The results as Markdown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::figures::{Figure, Phase, Sample, Unit};
use crate::machine::Occasion;
use crate::peers::Peer;
use crate::process::Cores;
use crate::report::{CaseResults, Results};
use crate::statistics::Summary;
use crate::verdict::Verdict;

/// The whole report: the machine, all goals at a glance, and the tables of each case.
pub(crate) fn render(results: &Results) -> String {
    let mut text = head(results);
    text.push_str(&promises(&results.cases));
    for case in &results.cases {
        text.push_str(&self::case(case));
        let _ = writeln!(text, "![{}]({}.svg)\n", case.title, case.name);
    }
    text
}

// Writing to a `String` does not fail, so the result of `write!` is dropped throughout.

fn head(results: &Results) -> String {
    let machine = &results.machine;
    let days: BTreeSet<&str> = results.cases.iter().map(|case| case.occasion.date.as_str()).collect();
    let days: Vec<&str> = days.into_iter().collect();
    let mut text = format!("# Linux {}, {}\n\n", machine.kernel_short(), days.join(", "));
    let _ = writeln!(
        text,
        "Linux {}, {} processors, {}. {}.\n",
        machine.kernel,
        machine.processors,
        machine.processor,
        machine.versions.join(", ")
    );
    let _ = writeln!(
        text,
        "All on the loopback. A balancer has one worker on core {}; load and backends are on core {}. Within a round the peers take \
         turns, each newly started. Figures are medians over the rounds, failures are sums; a ratio is taken within each round, and \
         its median is given with the minimum and the maximum. CPU is that of the balancer's own threads, user and system; that of the \
         whole machine includes load, backends and neighbours. If the core of the load is busy all the time, latency measures how long \
         requests waited for it. Percentiles at full load are those of wrk, which sends its next request only after a response; those \
         at a fixed rate count from when a request was due.\n",
        Cores::Balancer.list(),
        Cores::Load.list()
    );
    text.push_str(&lines("Left out", &results.left_out));
    text
}

/// With a title, if there are any.
fn lines(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("{title}:\n\n");
    for line in lines {
        let _ = writeln!(text, "- {}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    text.push('\n');
    text
}

/// All goals at a glance.
pub(crate) fn promises(cases: &[CaseResults]) -> String {
    let mut text = String::from(
        "Rivals are haproxy, haproxy-splice and nginx; the best of them in each round counts.\n\n\
         | case | compared | target | reached | met |\n|---|---|---:|---:|---|\n",
    );
    for case in cases {
        for verdict in case.verdicts.iter().filter(|verdict| verdict.at_most.is_some()) {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                case.name,
                verdict.what,
                target(verdict),
                reached(verdict),
                met(verdict)
            );
        }
    }
    text.push('\n');
    text
}

/// One case.
pub(crate) fn case(case: &CaseResults) -> String {
    let mut text = format!("## {}: {}\n\n", case.name, case.title);
    let Occasion { date, revision, rounds: number, seconds, rate_percent } = &case.occasion;
    let rounds = rounds(*number as usize);
    let _ = writeln!(
        text,
        "{rounds} of {seconds} s, {date}, at {revision}; a fixed rate is {rate_percent} % of the least full load.\n"
    );
    text.push_str(&lines("Could not be run", &case.problems));
    let phases: BTreeSet<Phase> = case.samples.iter().map(|sample| sample.phase).collect();
    for &phase in &phases {
        if phases.len() > 1 {
            let _ = writeln!(text, "{}:\n", capitalized(phase.title()));
        }
        let samples: Vec<&Sample> = case.samples.iter().filter(|sample| sample.phase == phase).collect();
        text.push_str(&table(case.unit, &samples));
    }
    for verdict in &case.verdicts {
        let _ = match verdict.at_most {
            Some(_) => writeln!(
                text,
                "- {}: {}; target {}: {}",
                verdict.what,
                reached(verdict),
                target(verdict),
                met(verdict)
            ),
            None => writeln!(text, "- {}: {}", verdict.what, reached(verdict)),
        };
    }
    text.push('\n');
    text
}

/// A row for each peer, a column for each figure that any of them has.
fn table(unit: Unit, samples: &[&Sample]) -> String {
    let peers: BTreeSet<Peer> = samples.iter().map(|sample| sample.peer).collect();
    let figures: BTreeSet<Figure> =
        samples.iter().flat_map(|sample| sample.figures.keys().copied()).collect();
    let mut text = String::from("| peer |");
    for figure in &figures {
        let _ = write!(text, " {} |", figure.label(unit));
    }
    let _ = writeln!(text, " rounds |\n|---|{}---:|", "---:|".repeat(figures.len()));
    for peer in peers {
        let own: Vec<&&Sample> = samples.iter().filter(|sample| sample.peer == peer).collect();
        let _ = write!(text, "| {} |", peer.name());
        for figure in &figures {
            let values: Vec<f64> =
                own.iter().filter_map(|sample| sample.figures.get(figure).copied()).collect();
            let _ = match Summary::of(&values) {
                // Failures are summed up over all rounds.
                Some(_) if *figure == Figure::Failed => {
                    write!(text, " {} |", figure.shown(values.iter().sum()))
                }
                Some(summary) => write!(text, " {} |", figure.shown(summary.median)),
                None => write!(text, " |"),
            };
        }
        let _ = writeln!(text, " {} |", own.len());
    }
    text.push('\n');
    text
}

fn target(verdict: &Verdict) -> String {
    verdict.at_most.map_or_else(String::new, |at_most| {
        if at_most == 0.0 { "0".to_owned() } else { format!("<= {at_most:.2}") }
    })
}

fn reached(verdict: &Verdict) -> String {
    verdict.reached.map_or_else(
        || "nothing to say".to_owned(),
        |Summary { median, least, most }| {
            // A figure that is not a ratio is a number of failures.
            let decimals = if verdict.at_most == Some(0.0) { 0 } else { 2 };
            let rounds = rounds(verdict.rounds.len());
            format!("{median:.decimals$} ({least:.decimals$} to {most:.decimals$}, {rounds})")
        },
    )
}

fn rounds(number: usize) -> String {
    if number == 1 { "1 round".to_owned() } else { format!("{number} rounds") }
}

fn met(verdict: &Verdict) -> &'static str {
    match verdict.met {
        Some(true) => "met",
        Some(false) => "**not met**",
        None => "not judged",
    }
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::report::tests::results;

    #[test]
    fn the_whole_of_a_small_one() {
        let rendered = render(&results());
        assert_eq!(rendered, include_str!("golden.md"), "put this there if it is right:\n{rendered}");
    }
}
