//! `rondel failback`: lets the active tier of a pool take over again.

use api::Command;

use crate::admin::Reach;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel failback db

For pools with `failback: manual`, and for others before `failback_delay` is over. It is refused while too few of the active
tier are available.")]
pub(crate) struct Arguments {
    /// The pool
    #[arg(value_name = "POOL")]
    pool: String,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn failback(arguments: &Arguments) -> Outcome {
    arguments.reach.command(&Command::Failback { pool: arguments.pool.clone() }, "")
}
