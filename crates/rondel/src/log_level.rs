//! `rondel log-level`: says how much a running rondel logs.

use api::{Command, LogLevel};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use crate::admin::Reach;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel log-level debug
  rondel log-level info

It holds until the process ends, in place of what RUST_LOG said when it started.")]
pub(crate) struct Arguments {
    /// The least severe level that is logged
    #[arg(value_name = "LEVEL", value_parser = level())]
    level: LogLevel,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn log_level(arguments: &Arguments) -> Outcome {
    arguments.reach.command(&Command::LogLevel { level: arguments.level }, "")
}

fn level() -> impl clap::builder::TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(LogLevel::ALL.map(LogLevel::name)).map(|word| {
        LogLevel::ALL.into_iter().find(|level| level.name() == word).expect("it is one of these words")
    })
}
