//! `rondel run`: runs the balancer with a configuration file, until a signal ends it.

use std::path::PathBuf;

use control::{Ready, Source};

use crate::file::is_stdin;
use crate::logging;
use crate::outcome::{Failed, Outcome};

/// The default configuration file.
pub(crate) const CONFIG_DEFAULT: &str = "/etc/rondel/rondel.yaml";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel run
  rondel run --config ./rondel.yaml
  RUST_LOG=debug rondel run -c ./rondel.yaml

It runs in the foreground and logs to stderr. SIGHUP reloads the file, SIGTERM drains; \
`rondel --help` lists all signals.")]
pub(crate) struct Arguments {
    /// The configuration file; a reload reads it again, so it cannot be standard input
    #[arg(short, long, value_name = "FILE", env = "RONDEL_CONFIG", default_value = CONFIG_DEFAULT)]
    pub(crate) config: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    if is_stdin(&arguments.config) {
        return Err(Failed::Usage(
            "run cannot read its configuration from standard input, because a reload reads the file again\n  write it \
             into a file, and check it by `rondel check -`"
                .to_owned(),
        ));
    }
    logging::start();
    control::run(Source::File(arguments.config), log_ready)?;
    Ok(())
}

/// Logs the listeners and the sizes.
pub(crate) fn log_ready(ready: &Ready) {
    log::info!("ready: {ready}");
}
