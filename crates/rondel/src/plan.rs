//! `rondel plan`: shows what a reload of a running rondel with this file would change. It changes nothing.

use std::path::PathBuf;

use api::Command;

use crate::admin::AdminClient;
use crate::file::Given;
use crate::outcome::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel plan /etc/rondel/rondel.yaml
  rondel plan ./next.yaml
  generate | rondel plan -

The command binds no address, so a reload may still fail because an address is in use.

Exit codes: 0 a reload could apply the file; 3 it would be refused.")]
pub(crate) struct Arguments {
    /// The configuration file; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn plan(arguments: &Arguments) -> Outcome {
    // The file is read here, because the running rondel may lack permission to read it.
    let given = Given::read(&arguments.file)?;
    given.parse()?;
    let Given { name, text } = given;
    let text = String::from_utf8(text).expect("a configuration is UTF-8");
    arguments.admin.command(&Command::Plan { name, text }, "nothing would change")
}
