//! Why the access log cannot be opened.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// The access log cannot be opened.
#[derive(Debug)]
pub struct OpenError {
    /// Its target, as the configuration names it.
    pub to: String,
    /// The error of the kernel.
    pub error: io::Error,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, error } = self;
        write!(f, "access_log: {to}: {error}\n  {}", cure(error.kind(), error.raw_os_error()))
    }
}

impl std::error::Error for OpenError {}

/// What to do when the access log cannot be opened.
fn cure(kind: io::ErrorKind, number: Option<i32>) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "create the directory, start the syslog daemon, or choose another path",
        io::ErrorKind::PermissionDenied => {
            "give the user of the process write permission, as `LogsDirectory=rondel` in a systemd unit does \
             for /var/log/rondel"
        }
        io::ErrorKind::ConnectionRefused => "nothing listens on the socket: start the syslog daemon",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "this host has no route to the server: check its address, and that the network is up before the start"
        }
        _ if number == Some(Errno::NXIO.raw_os_error()) => "the FIFO has no reader: start the reader first",
        _ => "choose another path in `access_log`, or set it to `off`",
    }
}
