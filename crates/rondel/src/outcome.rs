//! The result of a command: its output and the exit code.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use config::{ConfigError, counted};
use serde::Serialize;

use crate::logging;

pub(crate) type Outcome = Result<(), Failed>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// A failure at run time.
    Runtime(String),
    /// The command line is invalid.
    Usage(String),
    /// A configuration file is invalid.
    Config(ConfigError),
    /// A running rondel refused the command, and nothing changed.
    Refused(String),
    /// An argument is an unknown name.
    Unknown(String),
    /// Standard output was closed while the command had more to print.
    OutputClosed,
    /// This number of connections was left when the time to wait for a drain was over.
    DrainTimedOut(u64),
    /// Checks of the host failed. If `rondel run` would not start, its exit code.
    Checks { message: String, run_exit_code: Option<u8> },
    /// The balancer failed.
    Control(control::Failure),
    /// The balancer failed, with a cure for this command.
    ControlWithCure(control::Failure, String),
}

impl From<control::Failure> for Failed {
    fn from(failure: control::Failure) -> Self {
        Self::Control(failure)
    }
}

/// Prints the error of a command that failed, and returns the exit code.
pub(crate) fn exit_code(outcome: Outcome) -> ExitCode {
    let Err(failed) = outcome else { return ExitCode::SUCCESS };
    match failed {
        Failed::Runtime(message) => {
            print_error(&message);
            ExitCode::from(1)
        }
        Failed::Usage(message) => {
            print_error(&message);
            ExitCode::from(2)
        }
        Failed::Refused(text) => {
            let _ = writeln!(io::stderr(), "{text}\nrefused: nothing was changed");
            ExitCode::from(3)
        }
        Failed::Unknown(text) => {
            print_error(&text);
            ExitCode::from(3)
        }
        Failed::Checks { message, run_exit_code } => {
            print_error(&message);
            ExitCode::from(run_exit_code.unwrap_or(1))
        }
        Failed::OutputClosed => ExitCode::from(1),
        Failed::DrainTimedOut(connections) => {
            let are = if connections == 1 { "is" } else { "are" };
            print_error(&format!(
                "{} {are} left; the backend stays drained",
                counted(connections, "connection")
            ));
            ExitCode::from(6)
        }
        Failed::Config(error) => {
            print_diagnostic(&error);
            ExitCode::from(3)
        }
        // A terminal gets the diagnostic with its excerpt of the file, the journal one line for each error.
        Failed::Control(control::Failure::Config(error)) if !logging::to_journal() => {
            print_diagnostic(&error);
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
        Failed::ControlWithCure(failure, cure) => {
            log::error!("{failure}\n  {cure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Prints `text` and a newline to standard output, as the last output of the command.
pub(crate) fn print(text: &str) -> Outcome {
    match print_progress(text) {
        // The reader has ended, as in `rondel man | head`.
        Err(Failed::OutputClosed) => Ok(()),
        printed => printed,
    }
}

/// Prints `text` and a newline to standard output. It fails if the reader has ended, so that the command ends too.
pub(crate) fn print_progress(text: &str) -> Outcome {
    let mut stdout = io::stdout();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failed::OutputClosed),
        Err(error) => Err(Failed::Runtime(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints a note about a list to stderr, so that scripts do not read it.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Outcome {
    print(&serde_json::to_string(value).expect("maps have strings for keys"))
}

/// Prints a diagnostic, which starts with `error:` itself.
fn print_diagnostic(error: &ConfigError) {
    let _ = writeln!(io::stderr(), "{}", error.to_string().trim_end());
}

/// `eprintln!` would panic if stderr is closed.
fn print_error(message: &str) {
    let _ = writeln!(io::stderr(), "error: {message}");
}
