//! The command line and its help.

use std::fmt::Write as _;

use clap::{Parser, Subcommand};

use crate::{
    backends, check, close, completions, connections, demo, disable, doctor, drain, events, explain,
    failback, health, log_level, plan, reload, reopen, route, run, status, tcp, weight,
};

/// A layer-4 TCP load balancer on io_uring.
#[derive(Debug, Parser)]
#[command(
    version,
    about = "A layer-4 TCP load balancer on io_uring",
    after_help = EXAMPLES,
    after_long_help = after_long_help(),
    arg_required_else_help = true,
    subcommand_value_name = "COMMAND",
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the load balancer with a configuration file
    Run(run::Arguments),
    /// Validate a configuration file and print the result
    Check(check::Arguments),
    /// Check whether this host has what a configuration file needs
    Doctor(doctor::Arguments),
    /// Balance one address over some backends, without a configuration file
    Tcp(tcp::Arguments),
    /// Run a demo: three built-in HTTP backends behind rondel
    Demo(demo::Arguments),
    /// Reload the configuration file of a running rondel
    Reload(reload::Arguments),
    /// Reopen the access log of a running rondel, after log rotation
    Reopen(reopen::Arguments),
    /// Show what a reload would change
    Plan(plan::Arguments),
    /// Show the status of a running rondel
    Status(status::Arguments),
    /// List the backends with their states
    Backends(backends::Arguments),
    /// List events: reloads and what they changed, commands, roles, states of backends
    Events(events::Arguments),
    /// List connections
    Connections(connections::Arguments),
    /// Show which backend a client would get now, and why
    Route(route::Arguments),
    /// Explain a code of the access log or a close reason
    Explain(explain::Arguments),
    /// Close a connection, or all connections of a backend or of a client
    Close(close::Arguments),
    /// Show a running rondel on the terminal, updated each second
    #[cfg(feature = "top")]
    Top(crate::top::Arguments),
    /// Send no new connections to a backend
    Drain(drain::Arguments),
    /// End the drain of a backend
    Undrain(drain::Undrain),
    /// Treat a backend as down
    Disable(disable::Arguments),
    /// Remove every override of a backend: drain, disable and weight
    Enable(disable::Arguments),
    /// Override the weight of a backend
    Weight(weight::Arguments),
    /// Return a pool to its active tier
    Failback(failback::Arguments),
    /// Change the log level of a running rondel
    LogLevel(log_level::Arguments),
    /// Report by exit code whether a running rondel, a pool or a listener takes connections
    Health(health::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
    /// Print the manual page, as roff
    Man,
}

const EXAMPLES: &str = "\
Examples:
  rondel demo
  rondel tcp --listen :5432 --to 10.0.0.1:5432 --to 10.0.0.2:5432
  rondel check rondel.yaml && rondel run --config rondel.yaml";

/// The exit codes and their meanings.
pub(crate) const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "Success. After SIGTERM: every connection has finished."),
    ("1", "A failure at run time."),
    ("2", "The command line is invalid."),
    ("3", "The configuration is invalid or cannot be read, or a command was refused."),
    ("4", "The address of a listener, the admin interface or the access log cannot be opened."),
    ("5", "The kernel lacks or forbids a feature that rondel needs, such as io_uring."),
    ("6", "The drain timeout expired, and the connections that were left were closed."),
];

/// The signals that `run`, `tcp` and `demo` handle.
pub(crate) const SIGNALS: [(&str, &str); 5] = [
    ("SIGHUP", "Reload the configuration file; an invalid file changes nothing. `demo` ends."),
    ("SIGUSR1", "Reopen the access log file, after log rotation."),
    ("SIGTERM, SIGINT", "Drain: accept no connections, and end within runtime.drain_timeout."),
    ("a second one", "End immediately, and close the connections that are left."),
    ("SIGUSR2", "Ignored."),
];

/// The environment variables.
pub(crate) const ENVIRONMENT: [(&str, &str); 3] = [
    ("RONDEL_CONFIG", "The configuration file of `run`, unless --config is given."),
    ("RONDEL_SOCKET", "The admin socket that commands use, unless --socket is given."),
    ("RUST_LOG", "The log level: error, warn, info (default), debug, trace."),
];

/// The tables of the long help, which the manual page also has.
fn after_long_help() -> String {
    let mut help = format!("{EXAMPLES}\n");
    for (title, rows) in [
        ("Exit codes", EXIT_CODES.as_slice()),
        ("Signals", SIGNALS.as_slice()),
        ("Environment", ENVIRONMENT.as_slice()),
    ] {
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        // Writing to a `String` does not fail.
        let _ = writeln!(help, "\n{title}:");
        for (name, meaning) in rows {
            let _ = writeln!(help, "  {name:width$}  {meaning}");
        }
    }
    help
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::error::ErrorKind;
    use clap::{CommandFactory as _, Parser as _};

    use super::{Cli, Command};

    #[track_caller]
    fn parse(line: &str) -> Command {
        Cli::try_parse_from(line.split_whitespace()).unwrap().command
    }

    #[track_caller]
    fn refuse(line: &str) -> clap::Error {
        Cli::try_parse_from(line.split_whitespace()).unwrap_err()
    }

    #[test]
    fn the_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_has_a_short_and_a_long_option_for_the_file() {
        for line in ["rondel run --config a.yaml", "rondel run -c a.yaml"] {
            let Command::Run(arguments) = parse(line) else { panic!("{line}") };
            assert_eq!(arguments.config, Path::new("a.yaml"));
        }
    }

    #[test]
    fn check_takes_the_file() {
        let Command::Check(arguments) = parse("rondel check a.yaml") else { panic!() };
        assert_eq!(arguments.file, Path::new("a.yaml"));
    }

    #[test]
    fn tcp_takes_an_option_for_each_backend() {
        let Command::Tcp(arguments) =
            parse("rondel tcp --listen 127.0.0.1:5432 --to 10.0.0.1:5432 --to [2001:db8::1]:5432")
        else {
            panic!()
        };
        assert_eq!(arguments.listen, "127.0.0.1:5432".parse().unwrap());
        assert_eq!(arguments.to, ["10.0.0.1:5432".parse().unwrap(), "[2001:db8::1]:5432".parse().unwrap()]);
    }

    #[test]
    fn tcp_needs_both_ends() {
        for line in ["rondel tcp --listen :5432", "rondel tcp --to 10.0.0.1:5432"] {
            assert_eq!(refuse(line).kind(), ErrorKind::MissingRequiredArgument, "{line}");
        }
    }

    #[test]
    fn a_host_name_is_refused_with_an_example() {
        let message = refuse("rondel tcp --listen localhost:80 --to 10.0.0.1:80").to_string();
        assert!(message.contains("names are not resolved"), "{message}");
        assert!(message.contains("127.0.0.1:80"), "{message}");
    }

    #[test]
    fn the_address_of_the_demo_is_optional() {
        let Command::Demo(arguments) = parse("rondel demo") else { panic!() };
        assert_eq!(arguments.listen, None);
        let Command::Demo(arguments) = parse("rondel demo --listen :9000") else { panic!() };
        assert_eq!(arguments.listen, Some(config::listen_address(":9000").unwrap()));
    }

    #[test]
    fn no_arguments_show_the_help() {
        assert_eq!(refuse("rondel").kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    }

    #[test]
    fn explain_takes_a_code_and_route_takes_a_client_and_a_listener() {
        assert!(matches!(parse("rondel route 192.0.2.7 web"), Command::Route(_)));
        refuse("rondel route 192.0.2.7");
        refuse("rondel explain 192.0.2.7 web");
        for what in ["SC", "-- --", "--json SC"] {
            assert!(matches!(parse(&format!("rondel explain {what}")), Command::Explain(_)), "{what}");
        }
        refuse("rondel explain");
    }

    #[test]
    fn notes_in_the_help_have_at_most_100_columns() {
        for command in Cli::command().get_subcommands() {
            let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in notes.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", command.get_name());
            }
        }
    }

    #[test]
    fn usage_errors_exit_with_2() {
        assert_eq!(refuse("rondel balance").exit_code(), 2);
    }

    #[test]
    fn the_long_help_names_every_exit_code_and_signal() {
        let help = Cli::command().render_long_help().to_string();
        for (name, meaning) in super::EXIT_CODES.iter().chain(&super::SIGNALS).chain(&super::ENVIRONMENT) {
            assert!(help.contains(name), "{name}");
            assert!(help.contains(meaning), "{meaning}");
        }
    }
}
