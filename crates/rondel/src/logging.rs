//! The process's log on stderr: with colours on a terminal, with priorities for systemd's journal.

use std::env;
use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use env_logger::{Builder, Env, Logger, Target};
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Starts the log. `RUST_LOG` sets the level, by default `info`.
pub(crate) fn start() {
    let mut builder = Builder::new();
    builder.parse_write_style(&env::var("RUST_LOG_STYLE").unwrap_or_default());
    // Only a terminal is written to with blocking writes: an operator can resume it with Ctrl-Q.
    if !io::stderr().is_terminal() {
        builder.target(Target::Pipe(Box::new(Lossy { to: io::stderr(), lost: 0 })));
    }
    if to_journal() {
        builder.format(|out, record| journal_lines(out, record.level(), &record.args().to_string()));
    } else {
        builder.format(|out, record| {
            let level = record.level();
            let style = out.default_level_style(level);
            writeln!(out, "{} {style}{level:<5}{style:#} {}", out.timestamp_millis(), record.args())
        });
    }
    // One logger filters, the other formats and writes.
    let filter = Builder::from_env(Env::default().default_filter_or("info")).build();
    let initial = filter.filter();
    let writer = builder.filter_level(LevelFilter::Trace).build();
    log::set_max_level(initial);
    log::set_boxed_logger(Box::new(Levelled { filter, initial, writer })).expect("the log is started once");
}

/// A log whose level can be changed while the process runs.
///
/// As soon as [`log::set_max_level`] sets another level than the initial one, that level replaces the filter of
/// `RUST_LOG` with its levels for modules.
struct Levelled {
    /// The filter of `RUST_LOG`.
    filter: Logger,
    /// The maximum level of that filter.
    initial: LevelFilter,
    /// It has no filter.
    writer: Logger,
}

impl Log for Levelled {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = log::max_level();
        if level == self.initial { self.filter.enabled(metadata) } else { metadata.level() <= level }
    }

    fn log(&self, record: &Record<'_>) {
        let level = log::max_level();
        // The filter of `RUST_LOG` may match the text too.
        if if level == self.initial { self.filter.matches(record) } else { record.level() <= level } {
            self.writer.log(record);
        }
    }

    fn flush(&self) {
        self.writer.flush();
    }
}

/// Whether the log goes to systemd's journal.
pub(crate) fn to_journal() -> bool {
    journal(env::var("JOURNAL_STREAM").ok().as_deref(), stderr_identity())
}

/// Whether stderr is the stream that `JOURNAL_STREAM` names, systemd.exec(5). The variable alone is no proof,
/// because processes with another stderr inherit it.
fn journal(stream: Option<&str>, stderr: Option<(u64, u64)>) -> bool {
    let named = stream.and_then(|stream| stream.split_once(':'));
    let named = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    named.is_some() && named == stderr
}

/// The device and the inode of stderr.
fn stderr_identity() -> Option<(u64, u64)> {
    let stderr = fs::metadata("/proc/self/fd/2").ok()?;
    Some((stderr.dev(), stderr.ino()))
}

/// Writes each line with its priority, sd-daemon(3), and without the time, which the journal adds.
fn journal_lines(out: &mut impl Write, level: Level, message: &str) -> io::Result<()> {
    let priority = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    for line in message.lines() {
        writeln!(out, "<{priority}>{line}")?;
    }
    Ok(())
}

/// A writer that a slow reader cannot block: records that do not fit into the pipe in time are dropped and counted.
///
/// The thread that logs also handles signals. A queue with a thread of its own would only drop records later, and
/// would have to be flushed at the end.
struct Lossy<W> {
    to: W,
    /// Records dropped since the last one that was written.
    lost: u64,
}

impl<W: Write + AsFd> Write for Lossy<W> {
    /// Writes a part of `record`, or drops all of it.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let timeout = if self.lost == 0 { WRITE_TIMEOUT } else { Duration::ZERO };
        if self.lost > 0 && self.has_room(timeout)? {
            writeln!(self.to, "{} records of the log were lost: the reader was too slow", self.lost)?;
            self.lost = 0;
        }
        if self.lost > 0 || !self.has_room(timeout)? {
            self.lost += 1;
            return Ok(record.len());
        }
        self.to.write(&record[..record.len().min(ROOM)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: AsFd> Lossy<W> {
    /// Waits until [`ROOM`] bytes can be written without blocking, at most for `timeout`, and returns whether
    /// they can.
    fn has_room(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(timeout).expect("a short time");
        match poll(&mut [PollFd::new(&self.to, PollFlags::OUT)], Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            // This thread has to handle the signal now.
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// How long a record waits for a slow reader. After a record was dropped, further records do not wait until the
/// reader has read.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// How many bytes can be written to a pipe that poll(2) reports as writable: `PIPE_BUF` of pipe(7).
const ROOM: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use log::Level;

    use super::{Lossy, journal, journal_lines};

    #[test]
    fn records_that_are_not_read_are_dropped_and_counted() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let (mut reader, mut log) = (File::from(reader), Lossy { to: File::from(writer), lost: 0 });
        let record = [b'x'; 10_000];
        for _ in 0..100 {
            log.write_all(&record).unwrap();
        }
        let mut bytes = vec![0; 1 << 20];
        let kept = reader.read(&mut bytes).unwrap();
        assert!(kept < 100 * record.len(), "the pipe held all of it");
        log.write_all(b"after\n").unwrap();
        let read = reader.read(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..read]);
        assert!(text.contains(" records of the log were lost: the reader was too slow\nafter\n"), "{text}");
    }

    #[test]
    fn the_journal_is_the_stream_in_the_variable() {
        assert!(journal(Some("8:123"), Some((8, 123))));
        assert!(!journal(Some("8:123"), Some((8, 124))), "stderr was redirected");
        assert!(!journal(None, Some((8, 123))));
        assert!(!journal(Some("8"), Some((8, 123))));
        assert!(!journal(Some("8:123"), None));
    }

    #[test]
    fn every_line_has_its_priority() {
        let mut out = Vec::new();
        journal_lines(&mut out, Level::Error, "first\nsecond").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "<3>first\n<3>second\n");
    }
}
