//! `rondel health`: whether a running rondel serves, as an exit code.

use crate::admin::Reach;
use crate::outcome::{Failed, Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel health
  HEALTHCHECK CMD [\"rondel\", \"health\"]

Exit codes: 0 it serves; 1 it drains, or cannot be reached.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn health(arguments: &Arguments) -> Outcome {
    let (ready, said) = arguments.reach.is_ready()?;
    match (ready, arguments.reach.json) {
        (_, true) => {
            print(&format!("{{\"ready\":{ready}}}"))?;
            if ready { Ok(()) } else { Err(Failed::Runtime(said)) }
        }
        (true, false) => print(&said),
        (false, false) => Err(Failed::Runtime(said)),
    }
}
