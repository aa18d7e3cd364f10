//! How a command ends: what it says, and the exit code.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use config::{ConfigError, counted};
use serde::Serialize;

use crate::logging;

pub(crate) type Outcome = Result<(), Failed>;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It could not go on.
    Runtime(String),
    /// The command line was wrong.
    Usage(String),
    /// A configuration file is wrong; the diagnostic is for people.
    Config(ConfigError),
    /// A running rondel refused a command, and nothing changed; the text is for people.
    Refused(String),
    /// Nothing has a name that a command was given; the text is for people.
    Unknown(String),
    /// Nothing reads what a command says that was to say more, so it does not go on.
    Unread,
    /// So many connections were left when a drain of a backend had lasted as long as it might.
    DrainTimedOut(u64),
    /// The balancer did not start, or did not end well.
    Control(control::Failure),
    /// The same, and what to do about it in this command.
    Hinted(control::Failure, String),
}

impl From<control::Failure> for Failed {
    fn from(failure: control::Failure) -> Self {
        Self::Control(failure)
    }
}

/// Says how a command ended, if it did not do what it was asked to.
pub(crate) fn exit_code(outcome: Outcome) -> ExitCode {
    let Err(failed) = outcome else { return ExitCode::SUCCESS };
    match failed {
        Failed::Runtime(message) => {
            complain(&message);
            ExitCode::from(1)
        }
        Failed::Usage(message) => {
            complain(&message);
            ExitCode::from(2)
        }
        Failed::Refused(text) => {
            let _ = writeln!(io::stderr(), "{text}\nrefused: nothing was changed");
            ExitCode::from(3)
        }
        Failed::Unknown(text) => {
            complain(&text);
            ExitCode::from(3)
        }
        Failed::Unread => ExitCode::from(1),
        Failed::DrainTimedOut(connections) => {
            let are = if connections == 1 { "is" } else { "are" };
            complain(&format!(
                "{} {are} left; the backend stays drained",
                counted(connections, "connection")
            ));
            ExitCode::from(6)
        }
        Failed::Config(error) => {
            draw(&error);
            ExitCode::from(3)
        }
        // A drawing is for people; a journal has a line for each problem.
        Failed::Control(control::Failure::Config(error)) if !logging::to_journal() => {
            draw(&error);
            ExitCode::from(3)
        }
        Failed::Control(control::Failure::Config(error)) => {
            error.lines().for_each(|line| log::error!("{line}"));
            ExitCode::from(3)
        }
        Failed::Control(failure) => {
            log::error!("{failure}");
            ExitCode::from(failure.exit_code())
        }
        Failed::Hinted(failure, hint) => {
            log::error!("{failure}\n  {hint}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Prints `text` and a line's end to standard output, as the last that the command says.
pub(crate) fn print(text: &str) -> Outcome {
    match print_and_go_on(text) {
        // The reader has seen enough, as in `rondel man | head`.
        Err(Failed::Unread) => Ok(()),
        printed => printed,
    }
}

/// Likewise, for a command that goes on and says more: where nothing reads that, it need not.
pub(crate) fn print_and_go_on(text: &str) -> Outcome {
    let mut stdout = io::stdout();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failed::Unread),
        Err(error) => Err(Failed::Runtime(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Says something beside a list, which scripts do not read.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints a value as JSON, in one line.
pub(crate) fn print_json(value: &impl Serialize) -> Outcome {
    print(&serde_json::to_string(value).expect("maps have strings for keys"))
}

/// The diagnostic, which says `error:` itself.
fn draw(error: &ConfigError) {
    let _ = writeln!(io::stderr(), "{}", error.to_string().trim_end());
}

/// Not `eprintln!`, which panics when nobody reads.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "error: {message}");
}
