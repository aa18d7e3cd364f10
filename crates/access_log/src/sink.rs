//! Where lines go. Nothing here waits for longer than it is told to, but a write to a file on a disk that hangs.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::LogTarget;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};

/// Where lines go.
pub(crate) enum Sink {
    Stderr,
    File(LogFile),
    Syslog(Syslog),
}

/// A file that is appended to; perhaps a FIFO.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    is_regular: bool,
}

/// A syslog daemon's socket.
pub(crate) struct Syslog {
    path: PathBuf,
    socket: UnixDatagram,
    /// The message that is sent; kept for its memory.
    message: Vec<u8>,
}

/// The most that is written at once, in bytes.
const WRITE_MAX: usize = 64 * 1024;

/// The most that is written at once to what is no regular file: a pipe takes so much whole or not at all, `PIPE_BUF` of pipe(7).
const PIPE_WRITE_MAX: usize = 4096;

/// local0.info, where HAProxy's log goes by custom.
const PRIORITY: u8 = 16 << 3 | 6;

impl Sink {
    /// Opens it. A file is made if there is none, for its owner to write and its group to read.
    pub(crate) fn open(to: &LogTarget) -> io::Result<Self> {
        Ok(match to {
            LogTarget::Stderr => Self::Stderr,
            LogTarget::File(path) => Self::File(LogFile::open(path)?),
            LogTarget::Syslog(path) => Self::Syslog(Syslog::connect(path)?),
        })
    }

    /// Opens a file again by its path. If that fails, the one that is open stays.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(file) = self {
            *file = LogFile::open(&file.path)?;
        }
        Ok(())
    }

    /// Writes some of these lines, whole ones if it can; says how many bytes. None could be written within `patience` if it says 0.
    pub(crate) fn write(&mut self, lines: &[u8], patience: Duration) -> io::Result<usize> {
        match self {
            // Past the lock of the standard library, which whoever writes the log of the process needs.
            Self::Stderr => write(io::stderr().as_fd(), whole_lines(lines, PIPE_WRITE_MAX), patience),
            Self::File(file) => {
                let most = if file.is_regular { WRITE_MAX } else { PIPE_WRITE_MAX };
                write(file.file.as_fd(), whole_lines(lines, most), patience)
            }
            Self::Syslog(syslog) => syslog.send(lines, patience),
        }
    }
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        // Not blocking, so that a FIFO that nobody reads is an error and not a wait; to files it means nothing.
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
    fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(path)?;
        Ok(Self { path: path.to_owned(), socket, message: Vec::new() })
    }

    /// Sends the first line: one is a message.
    fn send(&mut self, lines: &[u8], patience: Duration) -> io::Result<usize> {
        let end = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
        self.message.clear();
        // RFC 3164 as it is used on this socket: no host, and no time, which the daemon knows in its own zone.
        self.message.extend_from_slice(format!("<{PRIORITY}>rondel[{}]: ", std::process::id()).as_bytes());
        self.message.extend_from_slice(lines[..end].trim_ascii_end());
        if !is_ready(self.socket.as_fd(), patience)? {
            return Ok(0);
        }
        match self.socket.send(&self.message) {
            Ok(_) => Ok(end),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            // The daemon was started anew, and listens at another socket of that name.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotConnected) => {
                self.socket = Self::connect(&self.path)?.socket;
                self.socket.send(&self.message).map(|_| end)
            }
            Err(error) => Err(error),
        }
    }
}

/// The lines that fit into so many bytes; the first one in any case.
fn whole_lines(lines: &[u8], most: usize) -> &[u8] {
    if lines.len() <= most {
        return lines;
    }
    let last = lines[..most].iter().rposition(|byte| *byte == b'\n');
    let first = || lines.iter().position(|byte| *byte == b'\n');
    &lines[..last.or_else(first).map_or(lines.len(), |end| end + 1)]
}

fn write(to: BorrowedFd<'_>, bytes: &[u8], patience: Duration) -> io::Result<usize> {
    if !is_ready(to, patience)? {
        return Ok(0);
    }
    match rustix::io::write(to, bytes) {
        Ok(written) => Ok(written),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether something can be written now, or within `patience`.
fn is_ready(to: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(patience).expect("a short time");
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
    fn lines_are_written_whole() {
        check("a\nbb\nccc\n", 9, "a\nbb\nccc\n");
        check("a\nbb\nccc\n", 8, "a\nbb\n");
        check("a\nbb\nccc\n", 5, "a\nbb\n");
        check("a\nbb\nccc\n", 4, "a\n");
        check("long\nb\n", 3, "long\n");
    }

    #[track_caller]
    fn check(lines: &str, most: usize, expected: &str) {
        assert_eq!(whole_lines(lines.as_bytes(), most), expected.as_bytes());
    }
}
