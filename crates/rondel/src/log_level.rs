//! `rondel log-level`: says how much a running rondel logs.

use control::admin::Command;

use crate::admin::Reach;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel log-level debug
  rondel log-level info

It holds until the process ends, in place of what RUST_LOG said when it started.")]
pub(crate) struct Arguments {
    /// The least grave level that is logged
    #[arg(value_name = "LEVEL", value_parser = ["off", "error", "warn", "info", "debug", "trace"])]
    level: String,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn log_level(arguments: &Arguments) -> Outcome {
    arguments.reach.command(&Command::LogLevel { level: arguments.level.clone() }, "")
}
