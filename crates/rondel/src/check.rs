//! `rondel check`: says what a configuration file means, or what is wrong with it. It binds nothing.

use std::path::PathBuf;

use config::Config;

use crate::outcome::{Failed, Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel check rondel.yaml
  rondel check rondel.yaml && kill -HUP \"$(pidof rondel)\"
  generate | rondel check /dev/stdin

Exit codes: 0 the file is right, 3 it is not.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

pub(crate) fn check(arguments: &Arguments) -> Outcome {
    let text = Config::text_of(&arguments.file).map_err(Failed::Config)?;
    match Config::parse(&arguments.file.display().to_string(), &text) {
        Ok(config) => print(config.to_string().trim_end()),
        Err(error) => Err(Failed::Config(error)),
    }
}
