//! The command `rondel`: parses the arguments and calls the module of the subcommand.

mod cli; // The command line. Start here.

mod check; // Commands that run a balancer, or need none.
mod completions;
mod demo;
mod doctor;
mod explain;
mod man;
mod run;
mod tcp;

mod access; // Commands that query and control a running balancer.
mod backends;
mod bans;
mod close;
mod connections;
mod deny;
mod disable;
mod drain;
mod ended;
mod events;
mod failback;
mod health;
mod log_level;
mod plan;
mod reload;
mod reopen;
mod route;
mod sources;
mod status;
#[cfg(feature = "top")]
mod top;
mod weight;

mod admin; // Shared by the commands.
mod clock;
mod conventions;
mod file;
mod logging;
mod outcome;
mod signals;
mod text;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    completions::complete_if_asked(Cli::command);
    host::give_back_large_memory();
    signals::ignore_user_signals();
    let done = match Cli::parse().command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Tcp(arguments) => tcp::tcp(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Reload(arguments) => reload::reload(&arguments),
        Command::Reopen(arguments) => reopen::reopen(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::Backends(arguments) => backends::backends(&arguments),
        Command::Events(arguments) => events::events(&arguments),
        Command::Connections(arguments) if arguments.ended => ended::ended(&arguments),
        Command::Connections(arguments) => connections::connections(&arguments),
        Command::Route(arguments) => route::route(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Close(arguments) => close::close(&arguments),
        Command::Deny(arguments) => deny::deny(&arguments),
        Command::Allow(arguments) => deny::allow(&arguments),
        Command::Forget(arguments) => deny::forget(&arguments),
        Command::Access(arguments) => access::access(&arguments),
        Command::Sources(arguments) => sources::sources(&arguments),
        Command::Bans(arguments) => bans::bans(&arguments),
        #[cfg(feature = "top")]
        Command::Top(arguments) => top::top(&arguments),
        Command::Drain(arguments) => drain::drain(&arguments),
        Command::Undrain(arguments) => drain::undrain(&arguments),
        Command::Disable(arguments) => disable::disable(&arguments),
        Command::Enable(arguments) => disable::enable(&arguments),
        Command::Weight(arguments) => weight::weight(&arguments),
        Command::Failback(arguments) => failback::failback(&arguments),
        Command::LogLevel(arguments) => log_level::log_level(&arguments),
        Command::Health(arguments) => health::health(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => man::man(&arguments, Cli::command()),
    };
    outcome::exit_code(done)
}
