//! The target of lines: stderr, a file or syslog. Writes take at most the given timeout, except to a file on a
//! disk that hangs.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{AccessLog, LogTarget};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use crate::udp::UdpSyslog;

/// The target of lines.
pub(crate) enum Sink {
    Stderr,
    File(LogFile),
    Syslog(Syslog),
    SyslogUdp(UdpSyslog),
}

/// What a write did.
pub(crate) struct Wrote {
    /// The number of bytes that are done with: 0 if nothing could be written in time.
    pub(crate) length: usize,
    /// Why these lines are lost; none if they are written.
    pub(crate) lost: Option<io::Error>,
}

/// A file opened for appending, which may be a FIFO.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    is_regular: bool,
}

/// The socket of a syslog daemon.
pub(crate) struct Syslog {
    path: PathBuf,
    socket: UnixDatagram,
    priority: u8,
    /// The message; kept to reuse its memory.
    message: Vec<u8>,
}

/// The maximum size of a write, in bytes.
const WRITE_MAX: usize = 64 * 1024;

/// The maximum size of a write to anything but a regular file: writes of up to `PIPE_BUF` bytes to a pipe are
/// atomic, pipe(7).
const PIPE_WRITE_MAX: usize = 4096;

/// The severity of a line, RFC 5424: informational.
const SEVERITY: u8 = 6;

impl Sink {
    /// Opens the target. A missing file is created with mode 0640.
    pub(crate) fn open(log: &AccessLog) -> io::Result<Self> {
        let priority = log.facility.number() << 3 | SEVERITY;
        Ok(match &log.to {
            LogTarget::Stderr => Self::Stderr,
            LogTarget::File(path) => Self::File(LogFile::open(path)?),
            LogTarget::Syslog(path) => Self::Syslog(Syslog::connect(path, priority)?),
            LogTarget::SyslogUdp(to) => Self::SyslogUdp(UdpSyslog::connect(*to, priority)?),
        })
    }

    /// Whether lines may still be lost, although the last one was not.
    pub(crate) fn is_doubtful(&self) -> bool {
        matches!(self, Self::SyslogUdp(syslog) if syslog.is_doubtful())
    }

    /// Reopens a file by its path. On failure the old file stays open.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(file) = self {
            *file = LogFile::open(&file.path)?;
        }
        Ok(())
    }

    /// Writes some of the lines, complete ones where possible, within `timeout`. An error loses all of them.
    pub(crate) fn write(&mut self, lines: &[u8], timeout: Duration) -> io::Result<Wrote> {
        let length = match self {
            // Without the lock of the standard library, which the process's log takes.
            Self::Stderr => write(io::stderr().as_fd(), whole_lines(lines, PIPE_WRITE_MAX), timeout),
            Self::File(file) => {
                let max = if file.is_regular { WRITE_MAX } else { PIPE_WRITE_MAX };
                write(file.file.as_fd(), whole_lines(lines, max), timeout)
            }
            Self::Syslog(syslog) => syslog.send(lines, timeout),
            Self::SyslogUdp(syslog) => {
                let (length, lost) = syslog.send(lines);
                return Ok(Wrote { length, lost });
            }
        };
        length.map(|length| Wrote { length, lost: None })
    }
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        // With `NONBLOCK`, opening a FIFO without a reader fails instead of blocking. It has no effect on regular
        // files.
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::CLOEXEC
            | OFlags::NOCTTY
            | OFlags::NONBLOCK;
        let file = File::from(open(path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP)?);
        let is_regular = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile;
        Ok(Self { path: path.to_owned(), file, is_regular })
    }
}

impl Syslog {
    fn connect(path: &Path, priority: u8) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(path)?;
        Ok(Self { path: path.to_owned(), socket, priority, message: Vec::new() })
    }

    /// Sends the first line as one message.
    fn send(&mut self, lines: &[u8], timeout: Duration) -> io::Result<usize> {
        let end = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
        self.message.clear();
        // RFC 3164 as it is used on this socket: without host and time, which the daemon adds.
        self.message
            .extend_from_slice(format!("<{}>rondel[{}]: ", self.priority, std::process::id()).as_bytes());
        self.message.extend_from_slice(lines[..end].trim_ascii_end());
        if !is_ready(self.socket.as_fd(), timeout)? {
            return Ok(0);
        }
        match self.socket.send(&self.message) {
            Ok(_) => Ok(end),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            // The daemon was restarted, and listens on a new socket at the same path.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotConnected) => {
                self.socket = Self::connect(&self.path, self.priority)?.socket;
                self.socket.send(&self.message).map(|_| end)
            }
            Err(error) => Err(error),
        }
    }
}

/// The complete lines in the first `max` bytes; at least the first line.
fn whole_lines(lines: &[u8], max: usize) -> &[u8] {
    if lines.len() <= max {
        return lines;
    }
    let last = lines[..max].iter().rposition(|byte| *byte == b'\n');
    let first = || lines.iter().position(|byte| *byte == b'\n');
    &lines[..last.or_else(first).map_or(lines.len(), |end| end + 1)]
}

fn write(to: BorrowedFd<'_>, bytes: &[u8], timeout: Duration) -> io::Result<usize> {
    if !is_ready(to, timeout)? {
        return Ok(0);
    }
    match rustix::io::write(to, bytes) {
        Ok(written) => Ok(written),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits until `to` is writable, at most for `timeout`, and returns whether it is.
fn is_ready(to: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(timeout).expect("a short time");
    match poll(&mut [PollFd::new(&to, PollFlags::OUT)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::whole_lines;

    #[test]
    fn a_write_ends_with_a_line() {
        check("a\nbb\nccc\n", 9, "a\nbb\nccc\n");
        check("a\nbb\nccc\n", 8, "a\nbb\n");
        check("a\nbb\nccc\n", 5, "a\nbb\n");
        check("a\nbb\nccc\n", 4, "a\n");
        check("long\nb\n", 3, "long\n");
    }

    #[track_caller]
    fn check(lines: &str, max: usize, expected: &str) {
        assert_eq!(whole_lines(lines.as_bytes(), max), expected.as_bytes());
    }
}
