//! `rondel reload`: reloads the configuration file of a running rondel, and prints the changes.

use api::Command;

use crate::admin::AdminClient;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel reload
  rondel reload --json

The command waits until the new configuration is in force, and prints the changes. If the \
configuration is refused, the command prints the reason, and nothing changes.

Exit codes: 0 the configuration is in force; 3 it was refused.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn reload(arguments: &Arguments) -> Outcome {
    arguments.admin.command(&Command::Reload, "nothing changed")
}
