//! The output of the demo, which ends with its reader.

use std::io::{self, ErrorKind, Write as _};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

/// Prints a line. If the terminal or the reader of a pipe is closed, the demo ends.
pub(super) fn print_line(text: &str) {
    let mut stdout = io::stdout();
    let printed = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    let is_closed = |error: io::Error| {
        error.kind() == ErrorKind::BrokenPipe || Errno::from_io_error(&error) == Some(Errno::IO)
    };
    if printed.is_err_and(is_closed) {
        end();
    }
}

/// Ends the demo with SIGTERM, as an operator would.
pub(super) fn end() {
    // A process may always signal itself.
    let _ = kill_process(getpid(), Signal::TERM);
}
