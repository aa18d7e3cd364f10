//! `rondel reopen`: reopens the access log of a running rondel.

use api::Command;

use crate::admin::AdminClient;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mv /var/log/rondel/access.log /var/log/rondel/access.log.1 && rondel reopen

SIGUSR1 does the same without an answer. If the file cannot be opened, rondel continues to write \
to the renamed one.

Exit codes: 0 the file was reopened; 3 it was not, or the access log is off.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn reopen(arguments: &Arguments) -> Outcome {
    arguments.admin.command(&Command::Reopen, "")
}
