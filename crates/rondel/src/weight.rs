//! `rondel weight`: overrides the weight of a backend.

use api::{BackendName, Command};

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::Outcome;
use crate::text::number;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel weight web/a 10

The override persists over reloads, until `rondel enable` removes it.")]
pub(crate) struct Arguments {
    /// The backend, by its pool and its name or address
    #[arg(value_name = "POOL/BACKEND", add = names::backends())]
    backend: BackendName,
    /// Its share of new connections; 0 takes none
    #[arg(value_name = "0-256", value_parser = number(0..=256_u16))]
    weight: u16,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn weight(arguments: &Arguments) -> Outcome {
    let Arguments { backend, weight, admin } = arguments;
    admin.command(&Command::Weight { backend: backend.clone(), weight: *weight }, "")
}
