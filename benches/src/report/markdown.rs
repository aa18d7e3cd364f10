//! The results as people read them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::figures::{Figure, Phase, Sample, Unit};
use crate::peers::Peer;
use crate::process::Cores;
use crate::report::{CaseResults, Results};
use crate::statistics::Summary;
use crate::verdict::Verdict;

/// The whole of it: what was measured on, all promises at a glance, and the tables of each case.
pub(crate) fn render(results: &Results) -> String {
    let mut text = head(results);
    text.push_str(&promises(&results.cases));
    for case in &results.cases {
        text.push_str(&self::case(case));
    }
    text
}

// Writing to a `String` does not fail, so what `write!` returns is dropped throughout.

fn head(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!("# Linux {}, {}\n\n", machine.kernel_short(), machine.date);
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
        "{}, {} s each; the peers take turns within a round, each started anew. A balancer has one worker on core {}; load \
         and backends are on core {}. All on the loopback. Figures are medians over the rounds; a ratio is taken within each \
         round, and its median, least and most are given. CPU is that of the balancer's own threads, user and system; that of the \
         whole machine has load, backends and neighbours in it.\n",
        rounds(results.rounds as usize),
        results.seconds,
        Cores::Balancer.list(),
        Cores::Load.list()
    );
    for (title, lines) in [("Left out", &results.left_out), ("Could not be run", &results.problems)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "{title}:\n");
            for line in lines {
                let _ = writeln!(text, "- {}", line.replace('\n', " "));
            }
            text.push('\n');
        }
    }
    text
}

/// All promises at a glance.
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

/// A case by itself.
pub(crate) fn case(case: &CaseResults) -> String {
    let mut text = format!("## {}: {}\n\n", case.name, case.title);
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

/// A line for each peer, a column for each figure that any of them has.
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
                // Of what failed none is forgotten.
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
            format!("{median:.2} ({least:.2} to {most:.2}, {})", rounds(verdict.rounds.len()))
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
