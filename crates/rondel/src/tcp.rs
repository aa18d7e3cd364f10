//! `rondel tcp`: balances one address over some backends, without a file.

use std::net::SocketAddr;

use config::Config;
use control::Source;

use crate::logging;
use crate::outcome::Outcome;
use crate::run::log_ready;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel tcp --listen :5432 --to 10.0.0.1:5432 --to 10.0.0.2:5432
  rondel tcp --listen 127.0.0.1:6379 --to [2001:db8::1]:6379

Connections go to the backends in turn. Addresses are literal: names are not resolved.")]
pub(crate) struct Arguments {
    /// Where to listen; `:PORT` is every address of this host
    #[arg(long, value_name = "[HOST]:PORT", value_parser = config::listen_address)]
    pub(crate) listen: SocketAddr,
    /// A backend; give it once for each, twice for a double share
    #[arg(long, value_name = "HOST:PORT", required = true, value_parser = config::backend_address)]
    pub(crate) to: Vec<SocketAddr>,
}

pub(crate) fn tcp(arguments: &Arguments) -> Outcome {
    logging::start();
    control::run(Source::Fixed(Config::forward(arguments.listen, &arguments.to)), log_ready)?;
    Ok(())
}
