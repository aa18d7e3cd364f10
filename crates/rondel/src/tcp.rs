//! `rondel tcp`: balances one address over some backends, without a file.

use std::net::SocketAddr;

use config::Config;
use control::Source;

use crate::outcome::{Failed, Outcome};
use crate::run::log_ready;
use crate::{address, logging};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel tcp --listen :5432 --to 10.0.0.1:5432 --to 10.0.0.2:5432
  rondel tcp --listen 127.0.0.1:6379 --to [2001:db8::1]:6379

Connections go to the backends in turn. Addresses are literal: names are not resolved.")]
pub(crate) struct Arguments {
    /// Where to listen; `:PORT` is every address of this host
    #[arg(long, value_name = "[HOST]:PORT", value_parser = address::listener)]
    pub(crate) listen: SocketAddr,
    /// A backend; give it once for each
    #[arg(long, value_name = "HOST:PORT", required = true, value_parser = address::backend)]
    pub(crate) to: Vec<SocketAddr>,
}

impl Arguments {
    /// A backend that was given more than once.
    pub(crate) fn twice(&self) -> Option<SocketAddr> {
        let mut backends = self.to.iter().enumerate();
        backends.find(|(number, backend)| self.to[..*number].contains(backend)).map(|(_, backend)| *backend)
    }
}

pub(crate) fn tcp(arguments: &Arguments) -> Outcome {
    if let Some(backend) = arguments.twice() {
        return Err(Failed::Usage(format!(
            "--to {backend} is given twice; weights are for configuration files"
        )));
    }
    logging::start();
    control::run(Source::Fixed(Config::forward(arguments.listen, &arguments.to)), log_ready)?;
    Ok(())
}
