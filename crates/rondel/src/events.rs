//! `rondel events`: what happened to a running rondel, and what its reloads changed.

use api::{Event, Status};

use crate::admin::AdminClient;
use crate::backends::require_pool;
use crate::clock::{Clock, Since};
use crate::completions::names;
use crate::outcome::{Failed, Outcome, print, print_json, print_progress, remark};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel events
  rondel events --since 14:00
  rondel events --since 10m --pool web --follow
  rondel events --since '2026-11-30 14:00'
  rondel events --json | jq '.[] | select(.kind == \"reload\")'

The oldest event comes first, with the changes of each reload below it. Times are local; an event of \
another day has a date. A time such as 23:00 that is still to come today is that of yesterday. \
The process keeps the last 256 events of each of four classes: start, reloads, commands and drains; \
roles and tiers; states of backends and shortages of the host; denials and allowances of addresses. Events end with the process; the \
log has them for longer. --follow prints new events within a second of when they occur, with --json \
one JSON object a line.

Exit codes: 0 success; 1 rondel cannot be reached, or --follow has lost it; 3 there is no such pool.")]
pub(crate) struct Arguments {
    /// List only events since this time, such as 14:00, '2026-11-30 14:00', or 10m for the last minutes
    #[arg(long, value_name = "TIME", value_parser = Since::read)]
    since: Option<Since>,
    /// List only events of this pool, and reloads that changed it
    #[arg(long, value_name = "POOL", add = names::pools())]
    pool: Option<String>,
    /// Continue with new events until the command is ended
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn events(arguments: &Arguments) -> Outcome {
    let since =
        arguments.since.map(|since| Clock::local().resolve(since)).transpose().map_err(Failed::Usage)?;
    let status = arguments.admin.status()?;
    if let Some(pool) = &arguments.pool {
        let of_events = status.events.iter().filter_map(|event| event.pool.as_deref());
        require_pool(&status, of_events, pool)?;
    }
    let is_listed = |event: &Event| {
        since.is_none_or(|since| event.at >= since)
            && arguments.pool.as_ref().is_none_or(|pool| event.concerns(pool))
    };
    let last = status.events.last().map_or(0, |event| event.number);
    let listed: Vec<&Event> = status.events.iter().filter(|event| is_listed(event)).collect();
    if arguments.follow {
        for event in &listed {
            print_one(arguments, event)?;
        }
        return follow(arguments, last, is_listed);
    }
    if arguments.admin.json {
        return print_json(&listed);
    }
    print_list(arguments, &status, &listed)
}

fn print_list(arguments: &Arguments, status: &Status, listed: &[&Event]) -> Outcome {
    if listed.is_empty() {
        let of_pool = arguments.pool.as_ref().map_or_else(String::new, |pool| format!(" of pool {pool}"));
        let clock = Clock::local();
        let since = arguments.since.and_then(|since| clock.resolve(since).ok()).unwrap_or(status.started_at);
        remark(&format!("no event{of_pool} since {}", clock.second(since)));
        return Ok(());
    }
    let clock = Clock::local();
    let lines: Vec<String> = listed.iter().map(|event| lines(event, &clock)).collect();
    print(&lines.join("\n"))
}

/// Prints the events after `last` as they occur. It ends with an error only.
fn follow(arguments: &Arguments, mut last: u64, is_listed: impl Fn(&Event) -> bool) -> Outcome {
    arguments.admin.follow(|name, data| {
        if name != "events" {
            return Ok(());
        }
        let events: Vec<Event> = serde_json::from_str(data)
            .map_err(|error| Failed::Runtime(format!("unexpected answer of rondel: {data} ({error})")))?;
        for event in events.iter().filter(|event| event.number > last) {
            if is_listed(event) {
                print_one(arguments, event)?;
            }
        }
        last = events.last().map_or(last, |event| event.number.max(last));
        Ok(())
    })
}

fn print_one(arguments: &Arguments, event: &Event) -> Outcome {
    if arguments.admin.json {
        return print_progress(&serde_json::to_string(event).expect("maps have strings for keys"));
    }
    print_progress(&lines(event, &Clock::local()))
}

/// The event, and what it changed below it.
fn lines(event: &Event, clock: &Clock) -> String {
    let Event { level, kind, text, details, .. } = event;
    let mut lines = format!("{}  {level:<5}  {kind:<9}  {text}", clock.second(event.at));
    for detail in details {
        lines.push_str("\n    ");
        lines.push_str(detail);
    }
    lines
}

#[cfg(test)]
mod tests {
    use api::{Event, EventKind, LogLevel};

    use super::lines;
    use crate::clock::Clock;

    #[test]
    fn an_event_is_a_line_with_its_details_below() {
        let event = Event {
            number: 7,
            at: 0.0,
            level: LogLevel::Info,
            kind: EventKind::Reload,
            pool: None,
            text: "reloaded: 1 change".to_owned(),
            details: vec!["~ pool web: weight of a 1 -> 3".to_owned()],
        };
        let shown = lines(&event, &Clock::local());
        let (time, rest) = shown.split_once("  ").unwrap();
        assert!(time.starts_with("1970-01-01 ") || time.starts_with("1969-12-31 "), "{time}");
        assert_eq!(rest, "info   reload     reloaded: 1 change\n    ~ pool web: weight of a 1 -> 3");
    }
}
