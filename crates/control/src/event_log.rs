//! The last events. What matters afterwards is written to the log and kept in one step, so both say the same.
//!
//! Events of different classes do not displace each other: backends that go up and down all night push out neither
//! the reload before it nor the last change of the primary.

use std::collections::VecDeque;
use std::fmt;

use api::{EVENT_CHARS_MAX, EVENT_DETAILS_MAX, Event, EventKind};
use log::Level;

use crate::reloads::unix_seconds;
use crate::wire;

/// The last [`EVENTS_MAX`] entries of each class.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    rings: [VecDeque<Event>; Class::NUMBER],
    /// How many there ever were.
    written: u64,
}

/// How often events occur, and with what.
#[derive(Clone, Copy, Debug)]
enum Class {
    /// What operators and signals do: start, reloads, commands, drain.
    Operation,
    /// Which server is the primary, and which tier serves.
    Role,
    /// Backends that go up and down, and shortages of the host.
    State,
    /// What operators, or programs for them, say about addresses of clients.
    Access,
}

impl Class {
    const NUMBER: usize = 4;

    fn of(kind: EventKind) -> Self {
        match kind {
            EventKind::Reload | EventKind::Command | EventKind::Phase => Self::Operation,
            EventKind::Role | EventKind::Primaries | EventKind::Tier => Self::Role,
            EventKind::Access => Self::Access,
            EventKind::Verdict | EventKind::Probe | EventKind::Ejection | EventKind::Host => Self::State,
        }
    }
}

impl EventLog {
    /// Logs `text`, and keeps it unless its level is below `info`.
    pub(crate) fn note(&mut self, level: Level, kind: EventKind, text: impl fmt::Display) {
        self.add(level, kind, None, text);
    }

    /// The same, about a pool.
    pub(crate) fn note_of(&mut self, pool: &str, level: Level, kind: EventKind, text: impl fmt::Display) {
        self.add(level, kind, Some(pool), text);
    }

    fn add(&mut self, level: Level, kind: EventKind, pool: Option<&str>, text: impl fmt::Display) {
        let text = one_line(&text.to_string());
        log::log!(level, "{text}");
        if level > Level::Info {
            return;
        }
        let ring = &mut self.rings[Class::of(kind) as usize];
        if ring.len() == EVENTS_MAX {
            ring.pop_front();
        }
        self.written += 1;
        ring.push_back(Event {
            number: self.written,
            at: unix_seconds(),
            level: wire::log_level(level.to_level_filter()),
            kind,
            pool: pool.map(str::to_owned),
            text: text.chars().take(EVENT_CHARS_MAX).collect(),
            details: Vec::new(),
        });
    }

    /// Adds what the last reload or command, of the class of this kind, changed. It is not logged.
    pub(crate) fn add_details<'a>(&mut self, kind: EventKind, lines: impl IntoIterator<Item = &'a str>) {
        let Some(entry) = self.rings[Class::of(kind) as usize].back_mut() else { return };
        let mut lines = lines.into_iter();
        let kept = lines.by_ref().take(EVENT_DETAILS_MAX);
        entry.details = kept.map(|line| one_line(line).chars().take(EVENT_CHARS_MAX).collect()).collect();
        let more = lines.count();
        entry.details.extend((more > 0).then(|| format!("and {more} more")));
    }

    /// What it keeps, oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Event> {
        let mut entries: Vec<&Event> = self.rings.iter().flatten().collect();
        entries.sort_unstable_by_key(|entry| entry.number);
        entries.into_iter()
    }
}

/// The text without control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// Entries of a class that are kept. The oldest makes room.
pub(crate) const EVENTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use log::Level;

    use api::{EVENT_CHARS_MAX, EVENT_DETAILS_MAX, EventKind};

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
    fn flapping_backends_push_out_neither_reloads_nor_roles() {
        let mut event_log = EventLog::default();
        event_log.note(Level::Info, EventKind::Reload, "reloaded");
        event_log.note(Level::Info, EventKind::Role, "backend b is the primary");
        for _ in 0..10 * EVENTS_MAX {
            event_log.note_of("web", Level::Warn, EventKind::Verdict, "is down");
        }
        let kept: Vec<_> = event_log.entries().collect();
        assert_eq!(kept.len(), EVENTS_MAX + 2);
        assert_eq!([kept[0].text.as_str(), kept[1].text.as_str()], ["reloaded", "backend b is the primary"]);
        assert!(kept.is_sorted_by_key(|entry| entry.number));
        assert_eq!((kept[1].pool.as_deref(), kept[2].pool.as_deref()), (None, Some("web")));
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

    #[test]
    fn details_are_bounded_and_belong_to_the_last_operation() {
        let mut event_log = EventLog::default();
        event_log.note(Level::Info, EventKind::Reload, "reloaded: 22 changes");
        event_log.note(Level::Info, EventKind::Verdict, "is up");
        let long = "x".repeat(1_000);
        event_log.add_details(EventKind::Reload, std::iter::repeat_n(long.as_str(), EVENT_DETAILS_MAX + 2));
        let entries: Vec<_> = event_log.entries().collect();
        assert_eq!(entries[0].details.len(), EVENT_DETAILS_MAX + 1);
        assert_eq!(entries[0].details[0].len(), EVENT_CHARS_MAX);
        assert_eq!(entries[0].details[EVENT_DETAILS_MAX], "and 2 more");
        assert!(entries[1].details.is_empty());
    }
}
