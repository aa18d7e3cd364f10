//! The last events. What matters afterwards is written to the log and kept in one step, so both say the same.

use std::collections::VecDeque;
use std::fmt;

use api::{EVENT_CHARS_MAX, Event, EventKind};
use log::Level;

use crate::reloads::unix_seconds;
use crate::wire;

/// The last [`EVENTS_MAX`] entries, oldest first.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    entries: VecDeque<Event>,
    /// How many there ever were.
    written: u64,
}

impl EventLog {
    /// Logs `text`, and keeps it unless its level is below `info`.
    pub(crate) fn note(&mut self, level: Level, kind: EventKind, text: impl fmt::Display) {
        let printable = |char: char| if char.is_control() { ' ' } else { char };
        let text: String = text.to_string().chars().map(printable).collect();
        log::log!(level, "{text}");
        if level > Level::Info {
            return;
        }
        if self.entries.len() == EVENTS_MAX {
            self.entries.pop_front();
        }
        self.written += 1;
        self.entries.push_back(Event {
            number: self.written,
            at: unix_seconds(),
            level: wire::log_level(level.to_level_filter()),
            kind,
            text: text.chars().take(EVENT_CHARS_MAX).collect(),
        });
    }

    /// What it keeps, oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter()
    }
}

/// Entries that are kept. The oldest makes room.
pub(crate) const EVENTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use log::Level;

    use api::{EVENT_CHARS_MAX, EventKind};

    use super::{EVENTS_MAX, EventLog};

    #[test]
    fn the_oldest_makes_room_and_numbers_go_on() {
        let mut event_log = EventLog::default();
        for number in 1..=EVENTS_MAX + 2 {
            event_log.note(Level::Info, EventKind::Phase, number);
        }
        let numbers: Vec<u64> = event_log.entries().map(|entry| entry.number).collect();
        assert_eq!(numbers.len(), EVENTS_MAX);
        assert_eq!(numbers[0], 3);
        assert!(event_log.entries().all(|entry| entry.text == entry.number.to_string()));
    }

    #[test]
    fn an_entry_is_one_bounded_line() {
        let mut event_log = EventLog::default();
        event_log.note(Level::Warn, EventKind::Reload, format_args!("a\nb{}", "\u{e9}".repeat(1_000)));
        event_log.note(Level::Debug, EventKind::Probe, "too detailed");
        let entries: Vec<_> = event_log.entries().collect();
        assert_eq!(entries.len(), 1);
        assert!(entries[0].text.starts_with("a b"));
        assert_eq!(entries[0].text.chars().count(), EVENT_CHARS_MAX);
    }
}
