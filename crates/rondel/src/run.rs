//! `rondel run`: balances what a configuration file says, until a signal ends it.

use std::path::PathBuf;

use control::{Ready, Source};

use crate::logging;
use crate::outcome::Outcome;

/// The file that is read when none is named.
pub(crate) const CONFIG_DEFAULT: &str = "/etc/rondel/rondel.yaml";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel run
  rondel run --config ./rondel.yaml
  RUST_LOG=debug rondel run -c ./rondel.yaml

It stays in the foreground and logs to stderr. SIGHUP reads the file again; SIGTERM drains. See `rondel --help`.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", env = "RONDEL_CONFIG", default_value = CONFIG_DEFAULT)]
    pub(crate) config: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    logging::start();
    control::run(Source::File(arguments.config), log_ready)?;
    Ok(())
}

/// Says in the log what is served, and by how much.
pub(crate) fn log_ready(ready: &Ready) {
    log::info!("ready: {ready}");
}
