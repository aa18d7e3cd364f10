//! The operational log on stderr: for people on a terminal, for the journal under systemd.

use std::env;
use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use env_logger::{Builder, Env, Logger, Target};
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Starts the log. `RUST_LOG` says how much of it; as is, `info` and graver.
pub(crate) fn start() {
    let mut builder = Builder::new();
    builder.parse_write_style(&env::var("RUST_LOG_STYLE").unwrap_or_default());
    // A terminal has its colours, and a person before it who can press Ctrl-Q.
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
    // What goes where is the one's, what is said at all the other's.
    let chosen = Builder::from_env(Env::default().default_filter_or("info")).build();
    let initial = chosen.filter();
    let writer = builder.filter_level(LevelFilter::Trace).build();
    log::set_max_level(initial);
    log::set_boxed_logger(Box::new(Levelled { chosen, initial, writer })).expect("there is one log");
}

/// A log whose level can be changed while the process runs.
///
/// Once [`log::set_max_level`] says another level than at the start, that alone decides what is said, in place of `RUST_LOG`
/// with its levels for each module.
struct Levelled {
    /// What `RUST_LOG` lets through.
    chosen: Logger,
    /// The most that it lets through.
    initial: LevelFilter,
    /// It lets everything through.
    writer: Logger,
}

impl Log for Levelled {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = log::max_level();
        if level == self.initial { self.chosen.enabled(metadata) } else { metadata.level() <= level }
    }

    fn log(&self, record: &Record<'_>) {
        let level = log::max_level();
        // `RUST_LOG` may look at the words as well.
        if if level == self.initial { self.chosen.matches(record) } else { record.level() <= level } {
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

/// Whether stderr is the stream that systemd says is its journal, systemd.exec(5). The variable is inherited by
/// shells and what they start, so it alone does not prove it.
fn journal(stream: Option<&str>, stderr: Option<(u64, u64)>) -> bool {
    let named = stream.and_then(|stream| stream.split_once(':'));
    let named = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    named.is_some() && named == stderr
}

/// Device and inode of stderr.
fn stderr_identity() -> Option<(u64, u64)> {
    let stderr = fs::metadata("/proc/self/fd/2").ok()?;
    Some((stderr.dev(), stderr.ino()))
}

/// Each line with its priority, sd-daemon(3); the journal knows the time.
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

/// A log that whoever reads it cannot hold up: what is not read in time is lost, and counted.
///
/// The thread that logs also answers signals. A queue and a thread to empty it would only lose the lines later, and would
/// have to be waited for at the end.
struct Lossy<W> {
    to: W,
    /// Records that were lost since the last one that was written.
    lost: u64,
}

impl<W: Write + AsFd> Write for Lossy<W> {
    /// Writes a part of `record`, or counts all of it as lost.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let patience = if self.lost == 0 { READER_PATIENCE } else { Duration::ZERO };
        if self.lost > 0 && self.has_room(patience)? {
            writeln!(self.to, "{} records of the log were lost: nobody read them", self.lost)?;
            self.lost = 0;
        }
        if self.lost > 0 || !self.has_room(patience)? {
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
    /// Whether [`ROOM`] bytes can be written without waiting, within `patience`.
    fn has_room(&self, patience: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(patience).expect("a short time");
        match poll(&mut [PollFd::new(&self.to, PollFlags::OUT)], Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            // A signal, for which who logs should be free now.
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// How long a record waits for a reader that is only late. One that stays away is waited for once, until it reads again.
const READER_PATIENCE: Duration = Duration::from_millis(100);

/// How many bytes a pipe takes at once when poll(2) says that it takes some: `PIPE_BUF` of pipe(7).
const ROOM: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use log::Level;

    use super::{Lossy, journal, journal_lines};

    #[test]
    fn what_nobody_reads_is_lost_and_counted() {
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
        let told = String::from_utf8_lossy(&bytes[..read]);
        assert!(told.contains(" records of the log were lost: nobody read them\nafter\n"), "{told}");
    }

    #[test]
    fn the_journal_is_the_stream_that_was_named() {
        assert!(journal(Some("8:123"), Some((8, 123))));
        assert!(!journal(Some("8:123"), Some((8, 124))), "stderr was sent elsewhere");
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
