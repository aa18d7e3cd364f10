//! `rondel explain`: whom a client would be given now, and why.

use crate::admin::Reach;
use crate::foresee::foresee;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel explain 192.0.2.7 web

Says whom a client at that address would be given if it came to the listener now, and what speaks for and against each backend.
Nothing is picked for it: the turn of the pool stays where it is. SHARE is what a backend is to have of all such connections.")]
pub(crate) struct Arguments {
    /// A client's IP address
    #[arg(value_name = "CLIENT")]
    client: String,
    /// The name of the listener that it comes to
    #[arg(value_name = "LISTENER")]
    listener: String,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn explain(arguments: &Arguments) -> Outcome {
    foresee(&arguments.reach, &arguments.client, &arguments.listener)
}
