//! `rondel disable` and `rondel enable`: a backend is treated as down, and as the file and its probe say again.

use api::{BackendName, Command};

use crate::admin::Reach;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel disable web/a
  rondel enable web/a

A disabled backend counts as down, whatever its probe says: backups take over, and `on_down` says what becomes of its
connections. `enable` takes that back, and a drain and a weight as well.")]
pub(crate) struct Arguments {
    /// The backend: its pool and its name, or its pool and its address
    #[arg(value_name = "POOL/BACKEND")]
    backend: BackendName,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn disable(arguments: &Arguments) -> Outcome {
    arguments.reach.command(&Command::Disable { backend: arguments.backend.clone() }, "")
}

pub(crate) fn enable(arguments: &Arguments) -> Outcome {
    arguments.reach.command(&Command::Enable { backend: arguments.backend.clone() }, "")
}
