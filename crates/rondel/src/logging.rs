//! The operational log on stderr: for people on a terminal, for the journal under systemd.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;

use env_logger::{Builder, Env};
use log::Level;

/// Starts the log. `RUST_LOG` says how much of it; as is, `info` and graver.
pub(crate) fn start() {
    let mut builder = Builder::from_env(Env::default().default_filter_or("info"));
    if to_journal() {
        builder.format(|out, record| journal_lines(out, record.level(), &record.args().to_string()));
    } else {
        builder.format(|out, record| {
            let level = record.level();
            let style = out.default_level_style(level);
            writeln!(out, "{} {style}{level:<5}{style:#} {}", out.timestamp_millis(), record.args())
        });
    }
    builder.init();
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

#[cfg(test)]
mod tests {
    use log::Level;

    use super::{journal, journal_lines};

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
