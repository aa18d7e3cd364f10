//! The screen of `rondel top`: a pure function of the last two statuses, the order and the scroll position.

use std::cmp::Reverse;

use api::{BackendState, BackendStatus, ListenerStatus, LogLevel, Status};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use crate::text::{overrides, span};

/// The data on the screen, and how it is shown.
pub(super) struct View {
    now: Status,
    /// The previous status, for rates.
    before: Option<Status>,
    /// Why there is no newer status.
    error: Option<String>,
    pub(super) sort: Sort,
    /// Backends above the first line.
    scrolled: usize,
}

/// The order of backends. It is stable: equal backends keep the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// The order of the file.
    File,
    /// Unavailable backends first.
    State,
    /// The most connections first.
    Active,
    /// The most new connections per second first.
    Rate,
    /// The most failed connects first.
    Failed,
}

impl Sort {
    pub(super) fn next(self) -> Self {
        match self {
            Self::File => Self::State,
            Self::State => Self::Active,
            Self::Active => Self::Rate,
            Self::Rate => Self::Failed,
            Self::Failed => Self::File,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::File => "the file",
            Self::State => "STATE",
            Self::Active => "CONNS",
            Self::Rate => "NEW/s",
            Self::Failed => "FAILED",
        }
    }
}

impl View {
    pub(super) fn new(status: Status) -> Self {
        Self { now: status, before: None, error: None, sort: Sort::File, scrolled: 0 }
    }

    /// Shows a newer status.
    pub(super) fn update(&mut self, status: Status) {
        self.error = None;
        // The counters of a restarted process start at 0.
        let same = status.started_at.total_cmp(&self.now.started_at).is_eq();
        self.before = Some(std::mem::replace(&mut self.now, status)).filter(|_| same);
    }

    /// Shows why there is no newer status, beside the last one.
    pub(super) fn set_error(&mut self, why: String) {
        self.error = Some(why);
    }

    pub(super) fn scroll(&mut self, lines: isize) {
        self.scrolled = self.scrolled.saturating_add_signed(lines);
    }

    /// The backends with their pools' names, sorted.
    fn backends(&self) -> Vec<(&str, &BackendStatus)> {
        let pools = self.now.pools.iter();
        let mut all: Vec<_> = pools
            .flat_map(|pool| pool.backends.iter().map(|backend| (pool.name.as_str(), backend)))
            .collect();
        match self.sort {
            Sort::File => {}
            Sort::State => all.sort_by_key(|(_, backend)| backend.is_available()),
            Sort::Active => all.sort_by_key(|(_, backend)| Reverse(backend.active)),
            Sort::Rate => all.sort_by(|(_, a), (_, b)| b.rate.total_cmp(&a.rate)),
            Sort::Failed => all.sort_by_key(|(_, backend)| Reverse(backend.connect_failed)),
        }
        all
    }

    /// The increase of a counter per second; `None` without a previous value.
    fn per_second(&self, now: u64, before: impl Fn(&Status) -> Option<u64>) -> Option<f64> {
        let earlier = self.before.as_ref()?;
        let grown = now.saturating_sub(before(earlier)?);
        let seconds = self.now.uptime_seconds - earlier.uptime_seconds;
        #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
        (seconds > 0.0).then(|| grown as f64 / seconds)
    }
}

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let listeners = u16::try_from(view.now.listeners.len()).unwrap_or(u16::MAX).min(LISTENERS_MAX);
    let [head, upper, middle, lower] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(listeners + 2),
        Constraint::Min(3),
        Constraint::Length(EVENTS + 1),
    ])
    .areas(frame.area());
    // The last backend is the last line.
    let shown = usize::from(middle.height.saturating_sub(2));
    view.scrolled = view.scrolled.min(view.backends().len().saturating_sub(shown));
    frame.render_widget(header(view), head);
    draw_listeners(frame, view, upper);
    draw_backends(frame, view, middle);
    draw_events(frame, view, lower);
}

fn header(view: &View) -> Paragraph<'_> {
    let status = &view.now;
    let phase = status.phase;
    let workers: Vec<_> = status.workers.iter().map(|worker| worker.active.to_string()).collect();
    let first = format!(
        "rondel {}: {phase} for {}  connections: {} of {}, by worker {}",
        status.version,
        span(status.uptime_seconds),
        status.connections.active,
        status.connections.max,
        workers.join(" ")
    );
    let alert = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
    let second = match (&view.error, &status.config.last_error) {
        (Some(why), _) => {
            Line::styled(format!("disconnected: {}", why.lines().next().unwrap_or_default()), alert)
        }
        (None, Some(why)) => Line::styled(format!("the last reload was refused: {why}"), alert),
        (None, None) => Line::raw(format!("sorted by {}   s sorts, arrows scroll, q ends", view.sort.name())),
    };
    Paragraph::new(vec![Line::styled(first, Modifier::BOLD), second])
}

fn draw_listeners(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let rows = view.now.listeners.iter().map(|listener| {
        let bytes = |of: fn(&ListenerStatus) -> u64| {
            view.per_second(of(listener), |before| {
                before.listeners.iter().find(|other| other.name == listener.name).map(of)
            })
        };
        Row::new([
            listener.name.clone(),
            listener.address.to_string(),
            listener.pool.clone(),
            format!("{}/{}", listener.active, listener.connections_max),
            format!("{:.0}", listener.rate),
            size(bytes(|listener| listener.bytes_to_backend)),
            size(bytes(|listener| listener.bytes_to_client)),
            listener.held.to_string(),
        ])
    });
    let names = ["LISTENER", "ADDRESS", "POOL", "CONNS", "NEW/s", "IN/s", "OUT/s", "HELD"];
    let widths = [20, 24, 16, 14, 8, 9, 9, 6].map(Constraint::Length);
    frame.render_widget(table(rows, names, widths), area);
}

fn draw_backends(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let backends = view.backends();
    let rows = backends.into_iter().skip(view.scrolled).map(|(pool, backend)| {
        let out = view.per_second(backend.bytes_to_client, |before| {
            let pool = before.pools.iter().find(|other| other.name == pool)?;
            pool.backends
                .iter()
                .find(|other| other.address == backend.address)
                .map(|other| other.bytes_to_client)
        });
        let error = backend.probe.as_ref().and_then(|probe| probe.error.clone());
        let none = || "-".to_owned();
        Row::new([
            Cell::from(format!("{pool}/{}", backend.name)),
            Cell::from(backend.address.to_string()),
            Cell::from(backend.state.name()).style(colour(backend.state)),
            Cell::from(backend.role.map_or_else(none, |role| role.to_string())),
            Cell::from(backend.weight.to_string()),
            Cell::from(backend.active.to_string()),
            Cell::from(format!("{:.0}", backend.rate)),
            Cell::from(size(out)),
            Cell::from(backend.connect_failed.to_string()),
            Cell::from(overrides(backend.overrides)),
            Cell::from(error.unwrap_or_else(none)),
        ])
    });
    let names = [
        "BACKEND", "ADDRESS", "STATE", "ROLE", "WEIGHT", "CONNS", "NEW/s", "OUT/s", "FAILED", "OVERRIDE",
        "ERROR",
    ];
    let widths = [20, 24, 8, 8, 6, 7, 7, 9, 7, 12, 40].map(Constraint::Length);
    frame.render_widget(table(rows, names, widths), area);
}

fn draw_events(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let now = view.now.started_at + view.now.uptime_seconds;
    let entries = view.now.events.iter().rev().take(EVENTS.into());
    let line = |entry: &api::Event| {
        let style = match entry.level {
            LogLevel::Error => Style::new().fg(Color::Red),
            LogLevel::Warn => Style::new().fg(Color::Yellow),
            LogLevel::Off | LogLevel::Info | LogLevel::Debug | LogLevel::Trace => Style::new(),
        };
        Line::styled(format!("{:>8} ago  {}", span(now - entry.at), entry.text), style)
    };
    let block = Block::new().borders(Borders::TOP).title("events");
    frame.render_widget(Paragraph::new(entries.map(line).collect::<Vec<_>>()).block(block), area);
}

fn table<'a, const N: usize>(
    rows: impl Iterator<Item = Row<'a>>,
    names: [&'a str; N],
    widths: [Constraint; N],
) -> Table<'a> {
    let header = Row::new(names).style(Style::new().add_modifier(Modifier::REVERSED));
    Table::new(rows, widths).header(header).block(Block::new().borders(Borders::TOP))
}

/// The colour of a state.
fn colour(state: BackendState) -> Style {
    match state {
        BackendState::Up => Style::new().fg(Color::Green),
        BackendState::Down | BackendState::Ejected => Style::new().fg(Color::Red),
        BackendState::Unknown => Style::new(),
    }
}

/// A number of bytes with at most three digits, except for very large ones.
fn size(bytes: Option<f64>) -> String {
    let Some(mut bytes) = bytes else { return "-".to_owned() };
    let mut units = ["", "K", "M", "G", "T"].into_iter();
    let mut unit = "";
    for larger in units.by_ref() {
        unit = larger;
        if bytes < 1000.0 {
            break;
        }
        if unit != "T" {
            bytes /= 1024.0;
        }
    }
    if unit.is_empty() || bytes >= 100.0 { format!("{bytes:.0}{unit}") } else { format!("{bytes:.1}{unit}") }
}

/// The maximum number of listeners on the screen. `rondel status` lists all.
const LISTENERS_MAX: u16 = 8;

/// How many events are shown.
const EVENTS: u16 = 5;

#[cfg(test)]
mod tests {
    use api::Status;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::{Sort, View, draw, size};

    #[test]
    fn the_screen_has_rates_of_two_statuses() {
        let mut view = View::new(status());
        let mut later = status();
        later.uptime_seconds += 2.0;
        later.listeners[0].bytes_to_client += 4096;
        later.pools[0].backends[1].bytes_to_client += 2 << 20;
        view.update(later);
        let screen = lines(&mut view);
        for (line, words) in [
            (0, "rondel 1.2.3: serving for 1m2s  connections: 12 of 100, by worker 5 7"),
            (1, "sorted by the file   s sorts, arrows scroll, q ends"),
            (3, "LISTENER ADDRESS POOL CONNS NEW/s IN/s OUT/s HELD"),
            (4, "web 0.0.0.0:80 app 12/10000 34 0 2.0K 0"),
            (6, "BACKEND ADDRESS STATE ROLE WEIGHT CONNS NEW/s OUT/s FAILED OVERRIDE ERROR"),
            (7, "app/a 10.0.0.1:80 up primary 1 3 10 0 0 - -"),
            (8, "app/b 10.0.0.2:80 down - 7 9 24 1.0M 5 weight=7 connection refused"),
        ] {
            assert_eq!(screen[line], words.split_whitespace().collect::<Vec<_>>().join(" "), "{screen:#?}");
        }
        assert!(screen.iter().any(|line| line.contains("10s ago pool app, backend b: down")), "{screen:#?}");
    }

    #[test]
    fn backends_are_sorted_and_scrolled() {
        let mut view = View::new(status());
        check(&mut view, Sort::File, "a");
        check(&mut view, Sort::State, "b");
        check(&mut view, Sort::Active, "b");
        check(&mut view, Sort::Rate, "b");
        check(&mut view, Sort::Failed, "b");
        // Scrolling ends at the last backend.
        view.scroll(100);
        check(&mut view, Sort::File, "a");
    }

    #[track_caller]
    fn check(view: &mut View, sort: Sort, first: &str) {
        view.sort = sort;
        let screen = lines(view);
        assert!(screen[7].starts_with(&format!("app/{first} ")), "{sort:?}: {screen:#?}");
    }

    #[test]
    fn an_error_is_shown_and_rates_start_again_with_another_process() {
        let mut view = View::new(status());
        view.set_error("/run/rondel/admin.sock: connection refused\n  check the path".to_owned());
        assert_eq!(lines(&mut view)[1], "disconnected: /run/rondel/admin.sock: connection refused");
        let mut restarted = status();
        restarted.started_at += 100.0;
        view.update(restarted);
        assert!(lines(&mut view)[4].ends_with(" 34 - - 0"), "{:#?}", lines(&mut view));
        view.now.config.last_error = Some("rondel.yaml:7: wrong".to_owned());
        assert_eq!(lines(&mut view)[1], "the last reload was refused: rondel.yaml:7: wrong");
    }

    #[test]
    fn a_small_terminal_does_not_panic() {
        for (width, height) in [(1, 1), (20, 5), (80, 10)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &mut View::new(status()))).unwrap();
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, expected) in [
            (0.0, "0"),
            (999.0, "999"),
            (1024.0, "1.0K"),
            (150_000.0, "146K"),
            (1e10, "9.3G"),
            (1e18, "909495T"),
        ] {
            assert_eq!(size(Some(bytes)), expected);
        }
        assert_eq!(size(None), "-");
    }

    /// The lines of the screen, with one space between words.
    fn lines(view: &mut View) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(160, 20)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..160).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..20).map(|y| line(y).split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    fn status() -> Status {
        serde_json::from_str(include_str!("status.json")).unwrap()
    }
}
