//! `rondel disable` and `rondel enable`: treats a backend as down, and removes its overrides.

use api::{BackendName, Command};

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel disable web/a
  rondel enable web/a

A disabled backend counts as down, regardless of its probe: the backup tier may take over, and \
`on_down` decides about its connections. `enable` removes all overrides, also a drain or a weight.")]
pub(crate) struct Arguments {
    /// The backend, by its pool and its name or address
    #[arg(value_name = "POOL/BACKEND", add = names::backends())]
    backend: BackendName,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn disable(arguments: &Arguments) -> Outcome {
    arguments.admin.command(&Command::Disable { backend: arguments.backend.clone() }, "")
}

pub(crate) fn enable(arguments: &Arguments) -> Outcome {
    arguments.admin.command(&Command::Enable { backend: arguments.backend.clone() }, "")
}
