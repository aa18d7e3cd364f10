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
    /// What to measure; all that there is, if nothing is named
    #[arg(value_name = "CASE", value_parser = PossibleValuesParser::new(CASES.iter().map(|case| case.name)))]
    cases: Vec<String>,
    /// How often each is measured [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// How long each is measured [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// The fixed rate, in percent of the least full load of rondel, haproxy and nginx [default: 25: about half of what the
    /// backends can answer, and the load can ask for one by one, on the core that they share]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rate: Option<u32>,
    /// One round of a second, unless said otherwise: shows that it works, and not more
    #[arg(long)]
    quick: bool,
    /// Who takes part
    #[arg(long, value_name = "PEER,...", value_delimiter = ',')]
    peers: Option<Vec<Peer>>,
    /// Where the results go; without it benches/results/linux-KERNEL-DATE, but a temporary folder with --quick. Cases that
    /// are there already and not measured now stay, if they were measured on such a machine
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Name the cases and the peers, and measure nothing
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
        println!("  {:15} {}", peer.name(), peer.missing().unwrap_or("ready"));
    }
}

/// Whether all was run that was asked for.
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
            // A container has no right to it, root or not.
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
        // At once, so that whoever interrupts the rest has this.
        results.write(&folder)?;
    }
    println!("{}", report::markdown::promises(&results.cases));
    eprintln!("bench: the results are in {}", folder.display());
    Ok(complete)
}

/// Where the results go. Quick ones are no results that anyone should keep.
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

/// Who takes part, and who would but cannot.
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
