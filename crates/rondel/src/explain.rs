//! `rondel explain`: what a code of the access log means. It asks no process.

use connection::Termination;

use crate::outcome::{Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel explain SC
  rondel explain sD

  rondel explain -- --

Small letters and capitals differ, as in HAProxy's log.")]
pub(crate) struct Arguments {
    /// Two letters that say how a connection ended, as the access log has them
    #[arg(value_name = "CODE", value_parser = termination)]
    code: &'static Termination,
}

pub(crate) fn explain(arguments: &Arguments) -> Outcome {
    let Termination { code, text, check } = arguments.code;
    print(&format!("{code}: {text}\nWhat to check: {check}"))
}

fn termination(code: &str) -> Result<&'static Termination, String> {
    Termination::of_code(code).ok_or_else(|| {
        let known: Vec<_> = Termination::ALL.iter().map(|known| known.code).collect();
        format!("there is no such code; there are {}", known.join(", "))
    })
}
