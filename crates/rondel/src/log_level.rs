//! `rondel log-level`: changes the log level of a running rondel.

use api::{Command, LogLevel};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use crate::admin::AdminClient;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel log-level debug
  rondel log-level info

The level replaces the one of RUST_LOG until the process ends.")]
pub(crate) struct Arguments {
    /// The lowest severity that is logged
    #[arg(value_name = "LEVEL", value_parser = level())]
    level: LogLevel,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn log_level(arguments: &Arguments) -> Outcome {
    arguments.admin.command(&Command::LogLevel { level: arguments.level }, "")
}

fn level() -> impl clap::builder::TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(LogLevel::ALL.map(LogLevel::name)).map(|word| {
        LogLevel::ALL.into_iter().find(|level| level.name() == word).expect("clap accepts only these words")
    })
}
