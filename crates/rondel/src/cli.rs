//! The command line and its help.

use std::fmt::Write as _;

use clap::{Parser, Subcommand};

use crate::conventions::TABLES;
use crate::text::wrapped;
use crate::{
    access, backends, bans, check, close, completions, connections, demo, deny, disable, doctor, drain,
    events, explain, failback, health, log_level, man, plan, reload, reopen, route, run, sources, status,
    tcp, weight,
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
    disable_help_subcommand = true,
    max_term_width = WIDTH_MAX
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
    /// Refuse clients with an address, or with any of a prefix
    Deny(deny::Deny),
    /// Let clients with an address connect, whatever denies it
    Allow(deny::Allow),
    /// Take back what `deny` or `allow` said
    Forget(deny::Forget),
    /// Show access lists, and what is denied and allowed by operators
    Access(access::Arguments),
    /// List the sources with most connections, and the clients that were refused most
    Sources(sources::Arguments),
    /// List what is denied, also as commands of nft
    Bans(bans::Arguments),
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
    /// Print a manual page, as roff
    Man(man::Arguments),
}

const EXAMPLES: &str = "\
Examples:
  rondel demo
  rondel tcp --listen :5432 --to 10.0.0.1:5432 --to 10.0.0.2:5432
  rondel check rondel.yaml && rondel run --config rondel.yaml";

/// The tables of the long help, which the manual page also has.
fn after_long_help() -> String {
    let width = terminal_width();
    let mut help = EXAMPLES.to_owned();
    for (title, rows) in TABLES {
        // Writing to a `String` does not fail.
        let _ = write!(help, "\n\n{title}:");
        let indent = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 4;
        for (name, meaning) in rows {
            let lines = wrapped(meaning, width.saturating_sub(indent));
            for (index, line) in lines.iter().enumerate() {
                let name = if index == 0 { name } else { "" };
                let _ = write!(help, "\n  {name:width$}{line}", width = indent - 2);
            }
        }
    }
    help
}

/// The width that clap wraps help to. It breaks lines, but does not indent the rest of a row.
fn terminal_width() -> usize {
    let terminal = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.filter(|width| *width > 0).or_else(variable).map_or(WIDTH_MAX, |width| width.min(WIDTH_MAX))
}

/// The widest line of a help. A longer one is hard to read.
const WIDTH_MAX: usize = 100;

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
    fn help_is_wrapped_once() {
        for width in [80, 100] {
            for command in Cli::command().term_width(width).get_subcommands_mut() {
                let name = command.get_name().to_owned();
                let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let help = command.clone().term_width(width).render_help().to_string();
                for line in help.lines() {
                    // A URL or a list of words in an option has no place to be broken.
                    assert!(line.chars().count() <= width, "{name}: {line}");
                }
                for paragraph in notes.lines().filter(|line| !line.is_empty()) {
                    // An example is pasted, so it stays on one line.
                    let lines = if paragraph.starts_with(' ') {
                        vec![paragraph.to_owned()]
                    } else {
                        crate::text::wrapped(paragraph, width)
                    };
                    assert!(help.contains(&lines.join("\n")), "{name}, {width} columns: {lines:#?}\n{help}");
                }
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
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for (name, meaning) in super::TABLES.iter().flat_map(|(_, rows)| *rows) {
            assert!(help.contains(&format!("{name} {meaning}")), "{name}: {help}");
        }
    }
}
