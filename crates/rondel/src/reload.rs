//! `rondel reload`: lets a running rondel read its file again, and says what came of it.

use api::Command;

use crate::admin::Reach;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel reload
  rondel reload --json

It waits until the new configuration is in force, and prints what changed; or why it was refused, and then nothing changed.
Exit codes: 0 it is in force, 3 it was refused.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn reload(arguments: &Arguments) -> Outcome {
    arguments.reach.command(&Command::Reload, "nothing changed")
}
