//! The last events. What matters afterwards is written to the log and kept in one step, so both say the same.

use std::collections::VecDeque;
use std::fmt;

use log::Level;
use serde::{Deserialize, Serialize};

use crate::admin::unix_seconds;

/// The last [`ENTRIES_MAX`] entries, oldest first.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    entries: VecDeque<Entry>,
    /// How many there ever were.
    written: u64,
}

/// A line of the log that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1 on, without a gap.
    pub number: u64,
    /// When it was written, in seconds since 1970.
    pub at: f64,
    /// How grave it is: `error`, `warn` or `info`.
    pub level: String,
    /// What it is about.
    pub kind: Kind,
    /// What happened, in one line of at most [`ENTRY_CHARS_MAX`] characters.
    pub text: String,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A backend is up or down.
    Verdict,
    /// A probe fails in another way than before, and the verdict stays.
    Probe,
    /// A backend says that it has another role, or a pool has another primary.
    Role,
    /// More than one backend says that it is the primary, or that is over.
    Primaries,
    /// A backend is ejected, or no longer.
    Ejection,
    /// The other tier of a pool serves.
    Tier,
    /// The file was read again.
    Reload,
    /// An operator gave a command.
    Command,
    /// The process begins to drain, or to end.
    Phase,
    /// This host lacks something that connections need, or has it again.
    Host,
}

impl EventLog {
    /// Logs `text`, and keeps it unless its level is below `info`.
    pub(crate) fn note(&mut self, level: Level, kind: Kind, text: impl fmt::Display) {
        let printable = |char: char| if char.is_control() { ' ' } else { char };
        let text: String = text.to_string().chars().map(printable).collect();
        log::log!(level, "{text}");
        if level > Level::Info {
            return;
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.written += 1;
        self.entries.push_back(Entry {
            number: self.written,
            at: unix_seconds(),
            level: level.as_str().to_lowercase(),
            kind,
            text: text.chars().take(ENTRY_CHARS_MAX).collect(),
        });
    }

    /// What it keeps, oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

/// Entries that are kept. The oldest makes room.
pub const ENTRIES_MAX: usize = 256;

/// How much of a line is kept; the log has all of it.
pub const ENTRY_CHARS_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use log::Level;

    use super::{ENTRIES_MAX, ENTRY_CHARS_MAX, EventLog, Kind};

    #[test]
    fn the_oldest_makes_room_and_numbers_go_on() {
        let mut event_log = EventLog::default();
        for number in 1..=ENTRIES_MAX + 2 {
            event_log.note(Level::Info, Kind::Phase, number);
        }
        let numbers: Vec<u64> = event_log.entries().map(|entry| entry.number).collect();
        assert_eq!(numbers.len(), ENTRIES_MAX);
        assert_eq!(numbers[0], 3);
        assert!(event_log.entries().all(|entry| entry.text == entry.number.to_string()));
    }

    #[test]
    fn an_entry_is_one_bounded_line() {
        let mut event_log = EventLog::default();
        event_log.note(Level::Warn, Kind::Reload, format_args!("a\nb{}", "\u{e9}".repeat(1_000)));
        event_log.note(Level::Debug, Kind::Probe, "too detailed");
        let entries: Vec<_> = event_log.entries().collect();
        assert_eq!(entries.len(), 1);
        assert!(entries[0].text.starts_with("a b"));
        assert_eq!(entries[0].text.chars().count(), ENTRY_CHARS_MAX);
        assert_eq!(serde_json::to_value(entries[0]).unwrap()["kind"], "reload");
    }
}
