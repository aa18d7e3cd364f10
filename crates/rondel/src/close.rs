//! `rondel close`: closes connections of a running rondel.

use api::{BackendName, Close, Command, ConnectionId};
use config::Prefix;

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::Outcome;
use crate::text::read_prefix;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel close 0-12-3
  rondel drain web/a && rondel close --backend web/a
  rondel close --client 192.0.2.7
  rondel close --client 203.0.113.0/24

A side that was already sent all data and a FIN is closed without data loss; another side is reset. \
An ID never refers to another connection: if the connection has ended, the command is refused.")]
pub(crate) struct Arguments {
    /// The connection, by its ID in `rondel connections`
    #[arg(value_name = "ID", required_unless_present_any = ["backend", "client"])]
    connection: Option<ConnectionId>,
    /// Every connection of this backend
    #[arg(long, value_name = "POOL/BACKEND", add = names::backends_and_removed(), conflicts_with_all = ["connection", "client"])]
    backend: Option<BackendName>,
    /// Every connection of clients with this address, or with one of this prefix
    #[arg(long, value_name = "IP|PREFIX", value_parser = read_prefix, conflicts_with = "connection")]
    client: Option<Prefix>,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn close(arguments: &Arguments) -> Outcome {
    let connection = arguments.connection.map(Close::Connection);
    let backend = || arguments.backend.clone().map(Close::Backend);
    let client = || arguments.client.map(Close::Client);
    let close = connection.or_else(backend).or_else(client).expect("the command line has one of them");
    arguments.admin.command(&Command::Close(close), "")
}
