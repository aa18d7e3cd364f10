//! The command `rondel`: it reads the arguments, and hands over to the file of the command that was asked for.

mod check;
mod cli; // What the user may write. Start here.
mod completions;
mod demo;
mod man;
mod run;
mod tcp;

mod logging; // What the commands share.
mod outcome;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Tcp(arguments) => tcp::tcp(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man => man::man(),
    };
    outcome::exit_code(done)
}
