//! `rondel weight`: gives a backend another weight than the file does.

use api::{BackendName, Command};

use crate::admin::Reach;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel weight web/a 10

It holds over reloads, until `rondel enable` takes it back.")]
pub(crate) struct Arguments {
    /// The backend: its pool and its name, or its pool and its address
    #[arg(value_name = "POOL/BACKEND")]
    backend: BackendName,
    /// Its share of new connections; 0 takes none
    #[arg(value_name = "0-256", value_parser = clap::value_parser!(u16).range(0..=256))]
    weight: u16,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn weight(arguments: &Arguments) -> Outcome {
    let Arguments { backend, weight, reach } = arguments;
    reach.command(&Command::Weight { backend: backend.clone(), weight: *weight }, "")
}
