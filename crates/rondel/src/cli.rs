//! The command line as the user writes it, and what its help says.

use std::fmt::Write as _;

use clap::{Parser, Subcommand};

use crate::{
    backends, check, close, completions, connections, demo, disable, doctor, drain, explain, failback,
    health, log_level, plan, reload, reopen, route, run, status, tcp, weight,
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
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Balance what a configuration file says
    Run(run::Arguments),
    /// Say what a configuration file means, or what is wrong with it
    Check(check::Arguments),
    /// Say whether this host has what a configuration file asks of it
    Doctor(doctor::Arguments),
    /// Balance one address over some backends, without a file
    Tcp(tcp::Arguments),
    /// Show it at work: three HTTP backends built in, and rondel before them
    Demo(demo::Arguments),
    /// Let a running rondel read its file again, and say what came of it
    Reload(reload::Arguments),
    /// Let a running rondel open its access log again, which was renamed
    Reopen(reopen::Arguments),
    /// Say what a reload would change
    Plan(plan::Arguments),
    /// Say how a running rondel is
    Status(status::Arguments),
    /// Say how each backend is
    Backends(backends::Arguments),
    /// Say which connections there are
    Connections(connections::Arguments),
    /// Show which backend a client would get now, and why
    Route(route::Arguments),
    /// Explain a code of the access log or a close reason
    Explain(explain::Arguments),
    /// End a connection, or those of a backend or of a client
    Close(close::Arguments),
    /// Show a running rondel on the terminal, anew each second
    #[cfg(feature = "top")]
    Top(crate::top::Arguments),
    /// Send no new connections to a backend
    Drain(drain::Arguments),
    /// Send connections to a drained backend again
    Undrain(drain::Undrain),
    /// Treat a backend as down
    Disable(disable::Arguments),
    /// Treat a backend as the file and its probe say again
    Enable(disable::Arguments),
    /// Give a backend another weight
    Weight(weight::Arguments),
    /// Let the active tier of a pool take over again
    Failback(failback::Arguments),
    /// Say how much a running rondel logs
    LogLevel(log_level::Arguments),
    /// Say whether a running rondel serves, as an exit code
    Health(health::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Print the manual page, as roff
    Man,
}

const EXAMPLES: &str = "\
Examples:
  rondel demo
  rondel tcp --listen :5432 --to 10.0.0.1:5432 --to 10.0.0.2:5432
  rondel check rondel.yaml && rondel run --config rondel.yaml";

/// The exit codes, each with what it means.
pub(crate) const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "Done as asked; after SIGTERM, the last connection has ended."),
    ("1", "It failed while running."),
    ("2", "The command line was wrong."),
    ("3", "The configuration was wrong, or could not be read; or a command was refused."),
    ("4", "An address could not be bound, or something was not permitted."),
    ("5", "The kernel lacks or forbids something that rondel needs, such as io_uring."),
    ("6", "Connections were left when the drain timeout came, and were cut."),
];

/// The signals that `run`, `tcp` and `demo` answer.
pub(crate) const SIGNALS: [(&str, &str); 5] = [
    ("SIGHUP", "Read the file again; one that is wrong changes nothing. It ends `demo`."),
    ("SIGUSR1", "Open the file of the access log again, which was renamed."),
    ("SIGTERM, SIGINT", "Drain: accept no more, finish within runtime.drain_timeout."),
    ("either again", "End at once; the connections that are left are cut."),
    ("SIGUSR2", "Nothing."),
];

/// The environment variables that are read.
pub(crate) const ENVIRONMENT: [(&str, &str); 3] = [
    ("RONDEL_CONFIG", "The configuration file of `run`, where --config names none."),
    ("RONDEL_SOCKET", "The admin socket that commands use, where --socket names none."),
    ("RUST_LOG", "How much is logged: error, warn, info (default), debug, trace."),
];

/// The tables of the long help, which the manual page has too.
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
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_the_file_by_either_name() {
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
    fn tcp_takes_backends_one_by_one() {
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
    fn a_name_is_refused_with_what_would_be_right() {
        let message = refuse("rondel tcp --listen localhost:80 --to 10.0.0.1:80").to_string();
        assert!(message.contains("names are not resolved"), "{message}");
        assert!(message.contains("127.0.0.1:80"), "{message}");
    }

    #[test]
    fn the_demo_finds_an_address_unless_it_is_told_one() {
        let Command::Demo(arguments) = parse("rondel demo") else { panic!() };
        assert_eq!(arguments.listen, None);
        let Command::Demo(arguments) = parse("rondel demo --listen :9000") else { panic!() };
        assert_eq!(arguments.listen, Some(config::listen_address(":9000").unwrap()));
    }

    #[test]
    fn nothing_asked_shows_the_help() {
        assert_eq!(refuse("rondel").kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    }

    #[test]
    fn a_code_is_explained_and_a_client_is_routed() {
        assert!(matches!(parse("rondel route 192.0.2.7 web"), Command::Route(_)));
        refuse("rondel route 192.0.2.7");
        refuse("rondel explain 192.0.2.7 web");
        for what in ["SC", "-- --", "--json SC"] {
            assert!(matches!(parse(&format!("rondel explain {what}")), Command::Explain(_)), "{what}");
        }
        refuse("rondel explain");
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
