//! The command `bench`: measures rondel beside other balancers, and reports the results. `scripts/bench` builds and
//! starts it.

mod cases; // The cases. Start here.
mod rounds; // Their order.

mod backends; // The servers,
mod load; // the load,
mod measure;
mod peers; // the balancers between them,
mod trials; // and one measurement of one of them.

mod figures; // The results,
mod machine;
mod report;
mod statistics;
mod verdict; // and their comparison with the goals.

mod janitor;
mod namespace;
mod proc;
mod process;
mod wait;
mod workshop; // The environment of all of it.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, ValueEnum as _};

use crate::cases::{CASES, Case};
use crate::machine::{Machine, Occasion};
use crate::namespace::Namespace;
use crate::peers::Peer;
use crate::process::Cores;
use crate::report::{CaseResults, Results};
use crate::rounds::{Outcome, Plan};
use crate::workshop::Workshop;

/// Measure rondel beside other balancers
#[derive(Debug, Parser)]
#[command(name = "scripts/bench", bin_name = "scripts/bench")]
struct Options {
    /// The cases to measure; all of them by default
    #[arg(value_name = "CASE", value_parser = PossibleValuesParser::new(CASES.iter().map(|case| case.name)))]
    cases: Vec<String>,
    /// The number of rounds [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// The seconds of each [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// The fixed rate, in percent of the least full load of rondel, haproxy and nginx [default: 25: about half of
    /// what backends and load, which share a core, can do]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rate: Option<u32>,
    /// One round of one second by default: only shows that it works
    #[arg(long)]
    quick: bool,
    /// The peers that take part
    #[arg(long, value_name = "PEER,...", value_delimiter = ',')]
    peers: Option<Vec<Peer>>,
    /// The folder of the results; by default benches/results/linux-KERNEL-DATE, and a temporary folder with
    /// --quick. Cases that are there already and not measured now are kept, if they were measured on the same kind
    /// of machine
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// List the cases and the peers, and measure nothing
    #[arg(long)]
    list: bool,
}

impl Options {
    fn wants(&self, case: &Case) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|name| name == case.name)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        list();
        return ExitCode::SUCCESS;
    }
    let done = Workshop::open().and_then(|workshop| {
        let done = measure(&options, &workshop);
        // If the benchmark is interrupted meanwhile, the process ends by the signal, not by this result.
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
        println!("  {:15} {}", peer.name(), peer.missing().unwrap_or("ready"));
    }
}

/// Whether everything requested was run.
enum Complete {
    Yes,
    No,
}

fn measure(options: &Options, workshop: &Workshop) -> io::Result<Complete> {
    Cores::check()?;
    let machine = Machine::this(&workshop.program("rondel"));
    let (rounds, seconds) = if options.quick { (1, 1) } else { (5, 5) };
    let occasion = Occasion::now(
        options.rounds.unwrap_or(rounds),
        options.seconds.unwrap_or(seconds),
        options.rate.unwrap_or(25),
    );
    let folder = folder(options, &machine, &occasion);

    let (mut peers, mut left_out) = peers(options);
    let namespace = peers.contains(&Peer::Kernel).then(|| Namespace::new(&workshop.janitor));
    let namespace = namespace.and_then(|made| {
        made.inspect_err(|error| {
            // A container has no permission for it, even as root.
            peers.retain(|&peer| peer != Peer::Kernel);
            left_out.push(format!("{}: {error}", Peer::Kernel.name()));
        })
        .ok()
    });
    for line in &left_out {
        eprintln!("bench: left out: {line}");
    }

    let plan = Plan {
        rounds: occasion.rounds,
        seconds: occasion.seconds,
        rate_percent: occasion.rate_percent,
        peers,
    };
    let mut results = Results::open(&folder, machine, left_out);
    let mut complete = Complete::Yes;
    for case in CASES.iter().filter(|case| options.wants(case)) {
        let outcome = rounds::run(case, &plan, workshop, namespace.as_ref()).unwrap_or_else(|error| {
            eprintln!("bench: {}: {error}", case.name);
            Outcome { problems: vec![format!("{}: {error}", case.name)], ..Outcome::default() }
        });
        if !outcome.problems.is_empty() {
            complete = Complete::No;
        }
        let yielded = CaseResults::new(case, occasion.clone(), outcome.samples, outcome.problems);
        println!("{}", report::markdown::case(&yielded));
        results.put(yielded);
        // At once, so that an interruption keeps this result.
        results.write(&folder)?;
    }
    println!("{}", report::markdown::promises(&results.cases));
    eprintln!("bench: the results are in {}", folder.display());
    Ok(complete)
}

/// The folder of the results. Quick ones are not worth keeping.
fn folder(options: &Options, machine: &Machine, occasion: &Occasion) -> PathBuf {
    if let Some(folder) = &options.results {
        return folder.clone();
    }
    if options.quick {
        return env::temp_dir().join(format!("rondel-bench-results-{}", std::process::id()));
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
        "results/linux-{}-{}",
        machine.kernel_short(),
        occasion.date
    ))
}

/// The peers that take part, and those that cannot.
fn peers(options: &Options) -> (Vec<Peer>, Vec<String>) {
    let all = || Peer::value_variants().iter().copied().filter(|peer| peer.is_usual()).collect();
    let mut peers = options.peers.clone().unwrap_or_else(all);
    peers.sort_unstable();
    peers.dedup();
    let missing = |peer: &Peer| peer.missing().map(|why| format!("{}: {why}", peer.name()));
    let left_out = peers.iter().filter_map(missing).collect();
    peers.retain(|peer| peer.missing().is_none());
    (peers, left_out)
}
