//! `rondel plan`: says what a running rondel would change if its file said what this one does. It changes nothing.

use std::path::PathBuf;

use api::Command;
use config::Config;

use crate::admin::Reach;
use crate::outcome::{Failed, Outcome};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel plan /etc/rondel/rondel.yaml
  rondel plan ./next.yaml

Addresses are not bound for it: a reload may still find that one is taken.
Exit codes: 0 it could be reloaded, 3 it would be refused.")]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn plan(arguments: &Arguments) -> Outcome {
    // Here, because the other process need not be able to read the file, nor be the one to say that it cannot.
    let text = Config::text_of(&arguments.file).map_err(Failed::Config)?;
    let name = arguments.file.display().to_string();
    Config::parse(&name, &text).map_err(Failed::Config)?;
    let text = String::from_utf8(text).expect("a configuration is UTF-8");
    arguments.reach.command(&Command::Plan { name, text }, "nothing would change")
}
