//! The screen: a heading, problems, the page and the latest events. It is a pure function of the view and the size.

use api::{Connections, LogLevel, Problem, Severity, Status};
use config::counted;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::text::wrapped;
use crate::top::columns::{Column, Fitted, cut};
use crate::top::rows::{CONNECTIONS, LISTENERS, POOLS, Rows};
use crate::top::units::{age, size};
use crate::top::view::{Asked, Page, View};

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let lines = if width < WIDTH_MIN || height < HEIGHT_MIN {
        let text = format!("{width}x{height} is too small: top needs {WIDTH_MIN}x{HEIGHT_MIN}");
        wrapped(&text, width).into_iter().map(Line::raw).collect()
    } else {
        lines(view, width, height)
    };
    frame.render_widget(Paragraph::new(lines), Rect { x: 0, y: 0, ..area });
}

fn lines(view: &mut View, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut lines = vec![heading(&view.now, view, width), second_line(view, width)];
    let events = match view.page {
        Page::Pools if height >= EVENTS_HEIGHT_MIN => events(view, width, (height / 10).clamp(2, EVENTS_MAX)),
        _ => Vec::new(),
    };
    if !matches!(view.page, Page::Problems | Page::Help) {
        lines.extend(some_problems(view, width, (height / 5).max(2)));
    }
    let room = height - lines.len() - events.len();
    let page = match view.page.clone() {
        Page::Pools => table(view, &POOLS, &pools_title(view), width, room),
        Page::Listeners => table(view, &LISTENERS, &listeners_title(view), width, room),
        Page::Connections(asked) => table(view, &CONNECTIONS, &connections_title(&asked, view), width, room),
        Page::Problems => text(view, "problems", all_problems(view, width), room),
        Page::Events => text(view, "events, the latest first", self::events(view, width, usize::MAX), room),
        Page::Help => text(view, "help", help(width), room),
    };
    lines.extend(page);
    lines.resize(height - events.len(), Line::default());
    lines.extend(events);
    lines
}

/// The process, in parts of falling importance: those that do not fit are left out.
fn heading(status: &Status, view: &View, width: usize) -> Line<'static> {
    let rate: f64 = status.listeners.iter().map(|listener| listener.rate).sum();
    let workers: Vec<_> = status.workers.iter().map(|worker| worker.active.to_string()).collect();
    let mut parts = vec![
        format!("rondel {}: {} for {}", status.version, status.phase, age(status.uptime_seconds)),
        format!("{} of {} connections", status.connections.active, status.connections.max),
        format!("{rate:.0} new/s"),
    ];
    let rates = view.rates();
    let out = rates.of_all(|listener| listener.bytes_to_client);
    let into = rates.of_all(|listener| listener.bytes_to_backend);
    if let (Some(out), Some(into)) = (out, into) {
        parts.push(format!("{}/s out, {}/s in", size(out), size(into)));
    }
    parts.push(format!("by worker {}", workers.join(" ")));
    Line::styled(fitting(parts, width), Modifier::BOLD)
}

/// Why there are no newer data, the filter, or the keys.
fn second_line(view: &View, width: usize) -> Line<'static> {
    if let Some(why) = &view.error {
        let why = why.lines().next().unwrap_or_default();
        let text = format!("no answer since {}: {why}", view.clock().second(view.time()));
        return Line::styled(cut(&text, width), view.colours.error().add_modifier(Modifier::REVERSED));
    }
    if view.is_typing {
        return Line::styled(
            cut(&format!("filter: {}_   enter keeps it, esc removes it", view.filter), width),
            Modifier::BOLD,
        );
    }
    let keys = match view.page {
        Page::Pools => {
            "? help   q ends   / filter   s sort   enter opens   c connections   l listeners   e events"
        }
        Page::Help => "esc back   q ends",
        _ => "? help   q ends   esc back   / filter   s sort",
    };
    Line::raw(fitting(keys.split("   ").map(str::to_owned).collect(), width))
}

/// As many problems as have room; the page of problems has all.
fn some_problems(view: &View, width: usize, room: usize) -> Vec<Line<'static>> {
    let problems = &view.now.problems;
    let shown = if problems.len() > room { room - 1 } else { problems.len() };
    let clock = view.clock();
    let line = |problem: &Problem| {
        let (sign, style) = mark(problem.severity, view);
        // The parts of a text of several lines are in one.
        let text = problem.sentence(|seconds| clock.minute(seconds)).replace('\n', " ");
        Line::styled(cut(&format!("{sign} {text}"), width), style)
    };
    let mut lines: Vec<_> = problems.iter().take(shown).map(line).collect();
    if shown < problems.len() {
        let wrong = problems.iter().skip(shown).filter(|problem| problem.severity != Severity::Note).count();
        let more = match (wrong, problems.len() - shown - wrong) {
            (wrong, 0) => counted(wrong, "more problem"),
            (0, notes) => counted(notes, "more note"),
            (wrong, notes) => format!("{} and {}", counted(wrong, "more problem"), counted(notes, "note")),
        };
        lines.push(Line::raw(cut(&format!("  and {more}: ! lists all"), width)));
    }
    lines
}

/// Every problem, whole.
fn all_problems(view: &View, width: usize) -> Vec<Line<'static>> {
    let clock = view.clock();
    let mut lines = Vec::new();
    for problem in &view.now.problems {
        let (mut sign, style) = mark(problem.severity, view);
        let text = problem.sentence(|seconds| clock.minute(seconds));
        for line in wrapped(&text, width.saturating_sub(2)) {
            lines.push(Line::styled(cut(&format!("{sign} {line}"), width), style));
            sign = ' ';
        }
    }
    if lines.is_empty() { vec![Line::raw("  none")] } else { lines }
}

/// How a problem begins and looks. A note is no alarm.
fn mark(severity: Severity, view: &View) -> (char, Style) {
    match severity {
        Severity::Error => ('!', view.colours.error()),
        Severity::Warning => ('*', view.colours.warning()),
        Severity::Note => (' ', Style::new()),
    }
}

/// A title, the names of the columns and the rows in sight; the selected one is marked.
fn table(
    view: &mut View,
    columns: &[Column],
    title: &[String],
    width: usize,
    room: usize,
) -> Vec<Line<'static>> {
    let rows: Rows = view.rows();
    view.settle(&rows, room.saturating_sub(2));
    if rows.is_empty() {
        let none = if view.filter.is_empty() { "  none" } else { "  none with this filter" };
        return vec![Line::raw(fitting(title.to_vec(), width)), Line::raw(none)];
    }
    // The widths are those of all rows, so that columns stay in their place.
    let cells: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    let fitted = Fitted::new(columns, &cells, width);
    let mut lines = vec![Line::raw(fitting(title.to_vec(), width)), fitted.head(width)];
    for (index, row) in cells.iter().enumerate().skip(view.above).take(view.room) {
        let line = fitted.line(row);
        lines.push(if index == view.at { line.patch_style(SELECTED) } else { line });
    }
    lines
}

/// Lines of text, from the one that is scrolled to.
fn text(view: &mut View, title: &str, lines: Vec<Line<'static>>, room: usize) -> Vec<Line<'static>> {
    view.settle_text(lines.len(), room.saturating_sub(1));
    let title = Line::styled(title.to_owned(), Modifier::BOLD);
    std::iter::once(title).chain(lines.into_iter().skip(view.above).take(view.room)).collect()
}

fn pools_title(view: &View) -> Vec<String> {
    let backends = view.now.pools.iter().flat_map(|pool| &pool.backends);
    let up = backends.clone().filter(|backend| backend.is_available()).count();
    let mut title =
        vec![format!("pools {}, backends {} of {} up", view.now.pools.len(), up, backends.count())];
    title.extend(filter(view));
    title.push(format!("sorted by {}", view.sort.name()));
    title
}

fn listeners_title(view: &View) -> Vec<String> {
    let mut title = vec![format!("listeners {}", view.now.listeners.len())];
    title.extend(filter(view));
    title.push(format!("sorted by {}", view.sort.name()));
    title
}

fn connections_title(asked: &Asked, view: &View) -> Vec<String> {
    let mut title = vec![format!("connections{}", asked.of)];
    match &asked.answer {
        None => title.push("asking".to_owned()),
        Some(Err(why)) => title.push(why.lines().next().unwrap_or_default().to_owned()),
        Some(Ok(Connections { connections, left_out: 0, .. })) => title.push(connections.len().to_string()),
        Some(Ok(Connections { connections, left_out, .. })) => {
            let all = *left_out + connections.len() as u64;
            title.push(format!("the oldest {} of {all}", connections.len()));
        }
    }
    if let Some(Ok(Connections { silent_workers, .. })) = &asked.answer
        && !silent_workers.is_empty()
    {
        let workers: Vec<_> = silent_workers.iter().map(ToString::to_string).collect();
        title.push(format!("without those of workers {}, which did not answer", workers.join(", ")));
    }
    title.extend(filter(view));
    title
}

fn filter(view: &View) -> Option<String> {
    (!view.filter.is_empty()).then(|| format!("filter: {}", view.filter))
}

/// The latest events, the latest first.
fn events(view: &View, width: usize, number: usize) -> Vec<Line<'static>> {
    let now = view.time();
    let lines = view.now.events.iter().rev().take(number).map(|event| {
        let style = match event.level {
            LogLevel::Error => view.colours.error(),
            LogLevel::Warn => view.colours.warning(),
            LogLevel::Off | LogLevel::Info | LogLevel::Debug | LogLevel::Trace => Style::new(),
        };
        Line::styled(cut(&format!("{:>6} ago  {}", age(now - event.at), event.text), width), style)
    });
    lines.collect()
}

fn help(width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (keys, meaning) in KEYS {
        for (index, line) in wrapped(meaning, width.saturating_sub(KEYS_WIDTH)).into_iter().enumerate() {
            let keys = if index == 0 { keys } else { "" };
            lines.push(Line::raw(format!("{keys:KEYS_WIDTH$}{line}")));
        }
    }
    lines
}

/// The first parts that fit, with three spaces between them.
fn fitting(parts: Vec<String>, width: usize) -> String {
    let mut line = String::new();
    for part in parts {
        if line.is_empty() {
            line = cut(&part, width);
        } else if line.chars().count() + 3 + part.chars().count() <= width {
            line.push_str("   ");
            line.push_str(&part);
        } else {
            break;
        }
    }
    line
}

/// The keys and what they do, for the page of help.
const KEYS: [(&str, &str); 15] = [
    ("up, down, j, k", "select a row; page up, page down, home and end go farther"),
    ("enter, space", "open or close a pool; on a backend or a listener: list its connections"),
    ("f", "close all pools, or open all"),
    (
        "c",
        "list the connections of what is selected; C: of the process. The oldest 500 are asked for, each second",
    ),
    ("p", "pools and backends, the first page"),
    ("l", "listeners"),
    ("e", "events"),
    ("!", "all problems"),
    ("/", "show only rows with this text in a name, an address, a state, a role or an error"),
    ("s", "sort by the next of: problems, the order of the file, CONNS, NEW/s, FAILED"),
    ("esc", "back to the pools; there: remove the filter"),
    ("?, h", "this page"),
    ("q, ctrl-c", "end"),
    ("", ""),
    (
        "!  and  *",
        "before a problem: an error, and a warning; a note has neither. Times of day are those of this host",
    ),
];

const KEYS_WIDTH: usize = 16;

const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// A smaller terminal is not drawn on.
const WIDTH_MIN: usize = 40;
const HEIGHT_MIN: usize = 10;

/// A lower terminal shows no events beside the pools.
const EVENTS_HEIGHT_MIN: usize = 20;

/// The most events beside the pools.
const EVENTS_MAX: usize = 5;

#[cfg(test)]
mod tests;
