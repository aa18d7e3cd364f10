//! `rondel plan`: shows what a reload of a running rondel with this file would change. It changes nothing.

use std::path::PathBuf;

use api::Command;
use config::Config;

use crate::admin::AdminClient;
use crate::outcome::{Failed, Outcome};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel plan /etc/rondel/rondel.yaml
  rondel plan ./next.yaml

The command binds no address, so a reload may still fail because an address is in use.

Exit codes: 0 a reload could apply the file; 3 it would be refused.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn plan(arguments: &Arguments) -> Outcome {
    // The file is read here, because the running rondel may lack permission to read it.
    let text = Config::text_of(&arguments.file).map_err(Failed::Config)?;
    let name = arguments.file.display().to_string();
    Config::parse(&name, &text).map_err(Failed::Config)?;
    let text = String::from_utf8(text).expect("a configuration is UTF-8");
    arguments.admin.command(&Command::Plan { name, text }, "nothing would change")
}
