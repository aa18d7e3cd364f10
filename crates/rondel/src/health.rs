//! `rondel health`: reports by exit code whether a running rondel accepts connections.

use crate::admin::AdminClient;
use crate::outcome::{Failed, Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel health
  HEALTHCHECK CMD [\"rondel\", \"health\"]

Exit codes: 0 it accepts connections; 1 it drains, or cannot be reached.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn health(arguments: &Arguments) -> Outcome {
    let (ready, answer) = arguments.admin.is_ready()?;
    match (ready, arguments.admin.json) {
        (_, true) => {
            print(&format!("{{\"ready\":{ready}}}"))?;
            if ready { Ok(()) } else { Err(Failed::Runtime(answer)) }
        }
        (true, false) => print(&answer),
        (false, false) => Err(Failed::Runtime(answer)),
    }
}
