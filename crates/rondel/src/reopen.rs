//! `rondel reopen`: lets a running rondel open the file of its access log again, and says what came of it.

use api::Command;

use crate::admin::Reach;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mv /var/log/rondel/access.log /var/log/rondel/access.log.1 && rondel reopen

SIGUSR1 does the same, and answers nothing. Where the file cannot be opened, lines go on to the one that was renamed.
Exit codes: 0 it is open, 3 it is not, or there is no access log.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn reopen(arguments: &Arguments) -> Outcome {
    arguments.reach.command(&Command::Reopen, "")
}
