//! The command `bench`: measures rondel beside others, and writes down what came of it. `scripts/bench` builds and starts it.

mod cases; // What is measured. Start here.
mod rounds; // In which order.

mod backends; // What stands there,
mod load; // under which load,
mod measure;
mod peers; // who is before it,
mod trials; // how one of them is measured once, // by which counters.

mod figures; // What comes of it,
mod machine;
mod report;
mod statistics;
mod verdict; // what that says, // and how it is told.

mod janitor;
mod namespace;
mod proc;
mod process;
mod wait;
mod workshop; // What all of it stands on.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, ValueEnum as _};

use crate::cases::CASES;
use crate::machine::Machine;
use crate::namespace::Namespace;
use crate::peers::Peer;
use crate::report::{CaseResults, Results};
use crate::rounds::Plan;
use crate::workshop::Workshop;

/// Measure rondel beside other balancers
#[derive(Debug, Parser)]
#[command(name = "scripts/bench")]
struct Options {
    /// What to measure; all that there is, if nothing is named
    #[arg(value_name = "CASE", value_parser = PossibleValuesParser::new(CASES.iter().map(|case| case.name)))]
    cases: Vec<String>,
    /// How often each is measured [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// How long each is measured [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// One round of a second, unless said otherwise: shows that it works, and not more
    #[arg(long)]
    quick: bool,
    /// Who takes part
    #[arg(long, value_name = "PEER,...", value_delimiter = ',')]
    peers: Option<Vec<Peer>>,
    /// Where the results go; without it benches/results/linux-KERNEL-DATE, but a temporary folder with --quick
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Name the cases and the peers, and measure nothing
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        list();
        return ExitCode::SUCCESS;
    }
    let done = Workshop::open().and_then(|workshop| {
        let done = measure(&options, &workshop);
        // Whoever is interrupted while this works ends by the signal, not by what came of it.
        drop(workshop.janitor.clean_up());
        done
    });
    match done {
        Ok(Complete::Yes) => ExitCode::SUCCESS,
        Ok(Complete::No) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("cases:");
    for case in &CASES {
        println!("  {:12} {}", case.name, case.title);
    }
    println!("peers:");
    for &peer in Peer::value_variants() {
        println!("  {:15} {}", peer.name(), peer.missing().unwrap_or_default());
    }
}

/// Whether all was run that was asked for.
enum Complete {
    Yes,
    No,
}

fn measure(options: &Options, workshop: &Workshop) -> io::Result<Complete> {
    let machine = Machine::this(&workshop.program("rondel"));
    let folder = folder(options, &machine);
    let (peers, left_out) = peers(options);
    for line in &left_out {
        eprintln!("bench: left out: {line}");
    }
    let (rounds, seconds) = if options.quick { (1, 1) } else { (5, 5) };
    let plan =
        Plan { rounds: options.rounds.unwrap_or(rounds), seconds: options.seconds.unwrap_or(seconds), peers };
    let namespace = if plan.peers.contains(&Peer::Kernel) {
        Some(Namespace::new(format!("rondel-bench-{}", std::process::id()), &workshop.janitor)?)
    } else {
        None
    };

    let mut results = Results {
        machine,
        rounds: plan.rounds,
        seconds: plan.seconds,
        left_out,
        problems: Vec::new(),
        cases: Vec::new(),
    };
    for case in CASES
        .iter()
        .filter(|case| options.cases.is_empty() || options.cases.iter().any(|name| name == case.name))
    {
        match rounds::run(case, &plan, workshop, namespace.as_ref()) {
            Ok(outcome) => {
                results.problems.extend(outcome.problems);
                results.cases.push(CaseResults::new(case, outcome.samples));
                // At once, so that whoever interrupts the rest has this.
                report::write(&results, &folder)?;
                println!("{}", report::markdown::case(&results.cases[results.cases.len() - 1]));
            }
            Err(error) => {
                eprintln!("bench: {}: {error}", case.name);
                results.problems.push(format!("{}: {error}", case.name));
            }
        }
    }
    report::write(&results, &folder)?;
    println!("{}", report::markdown::promises(&results.cases));
    eprintln!("bench: the results are in {}", folder.display());
    Ok(if results.problems.is_empty() { Complete::Yes } else { Complete::No })
}

/// Where the results go. Quick ones are no results that anyone should keep.
fn folder(options: &Options, machine: &Machine) -> PathBuf {
    if let Some(folder) = &options.results {
        return folder.clone();
    }
    if options.quick {
        return env::temp_dir().join(format!("rondel-bench-results-{}", std::process::id()));
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
        "results/linux-{}-{}",
        machine.kernel_short(),
        machine.date
    ))
}

/// Who takes part, and who would but cannot.
fn peers(options: &Options) -> (Vec<Peer>, Vec<String>) {
    let mut peers = options.peers.clone().unwrap_or_else(|| Peer::value_variants().to_vec());
    peers.sort_unstable();
    peers.dedup();
    let missing = |peer: &Peer| peer.missing().map(|why| format!("{}: {why}", peer.name()));
    let left_out = peers.iter().filter_map(missing).collect();
    peers.retain(|peer| peer.missing().is_none());
    (peers, left_out)
}
