//! `rondel man`: prints the manual pages: one of all commands, and one of the configuration file.

mod command; // rondel(8), from the command line.
mod file; // rondel.yaml(5), from the reference of keys.
mod prose; // What both have.

use std::io;

use clap::{Command, ValueEnum};

use crate::outcome::{Failed, Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel man | man -l -
  rondel man rondel.yaml | man -l -
  rondel man > /usr/local/share/man/man8/rondel.8
  rondel man rondel.yaml > /usr/local/share/man/man5/rondel.yaml.5")]
pub(crate) struct Arguments {
    /// The page
    #[arg(value_name = "PAGE", default_value = "rondel")]
    page: Page,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Page {
    /// The commands, section 8
    #[value(name = "rondel")]
    Commands,
    /// The configuration file, section 5
    #[value(name = "rondel.yaml")]
    File,
}

pub(crate) fn man(arguments: &Arguments, command: Command) -> Outcome {
    let page: io::Result<Vec<u8>> = match arguments.page {
        Page::Commands => command::page(command),
        Page::File => file::page(),
    };
    let page = page.map_err(|error| Failed::Runtime(format!("manual page: {error}")))?;
    print(String::from_utf8_lossy(&page).trim_end())
}
