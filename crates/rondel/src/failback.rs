//! `rondel failback`: returns a pool to its active tier.

use api::Command;

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel failback db

It is needed for pools with `failback: manual`, and ends the `failback_delay` of other pools early. \
It is refused while too few backends of the active tier are available.")]
pub(crate) struct Arguments {
    /// The pool
    #[arg(value_name = "POOL", add = names::pools())]
    pool: String,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn failback(arguments: &Arguments) -> Outcome {
    arguments.admin.command(&Command::Failback { pool: arguments.pool.clone() }, "")
}
