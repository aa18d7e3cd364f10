//! `rondel close`: ends connections of a running rondel.

use std::net::IpAddr;

use api::{BackendName, Close, Command, ConnectionId};

use crate::admin::Reach;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel close 0-12-3
  rondel drain web/a && rondel close --backend web/a
  rondel close --client 192.0.2.7

A side that was sent everything, and the FIN, is closed and gets all of it; any other is reset.
A connection that has ended in the meantime is refused: an ID never means another one.")]
pub(crate) struct Arguments {
    /// The connection, as `rondel connections` calls it
    #[arg(value_name = "ID", required_unless_present_any = ["backend", "client"])]
    connection: Option<ConnectionId>,
    /// All that this backend has now
    #[arg(long, value_name = "POOL/BACKEND", conflicts_with_all = ["connection", "client"])]
    backend: Option<BackendName>,
    /// All that clients at this address have now
    #[arg(long, value_name = "IP", conflicts_with = "connection")]
    client: Option<IpAddr>,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn close(arguments: &Arguments) -> Outcome {
    let connection = arguments.connection.map(Close::Connection);
    let backend = || arguments.backend.clone().map(Close::Backend);
    let client = || arguments.client.map(Close::Client);
    let close = connection.or_else(backend).or_else(client).expect("the command line has one of them");
    arguments.reach.command(&Command::Close(close), "")
}
