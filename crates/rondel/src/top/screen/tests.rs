//! Screens of sizes from 80x24 to 200x50, of 1 to 100 pools, drawn on a terminal in memory.

use api::{BackendState, Connections, Query, Severity, Status, problems};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;

use super::draw;
use crate::top::colours::Colours;
use crate::top::columns::cut;
use crate::top::view::{Effect, View};

/// How many backends are down.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sick {
    No,
    /// All of the first pool but one.
    Most,
    Every,
}

/// So many pools `pool-0`, `pool-1` and so on, each with so many backends `b0`, `b1` and so on.
fn status(pools: usize, backends: usize, sick: Sick) -> Status {
    let mut status: Status = serde_json::from_str(include_str!("../status.json")).unwrap();
    let sample = status.pools[0].clone();
    status.pools = (0..pools)
        .map(|number| {
            let mut pool = sample.clone();
            pool.name = format!("pool-{number}");
            pool.backends = (0..backends)
                .map(|at| {
                    let mut backend = sample.backends[0].clone();
                    backend.name = format!("b{at}");
                    backend.address = format!("10.0.{number}.{}:8080", at + 1).parse().unwrap();
                    backend.role = None;
                    backend.active = (number * 1000 + at) as u64;
                    let is_down = match sick {
                        Sick::No => false,
                        Sick::Most => number == 0 && at > 0,
                        Sick::Every => true,
                    };
                    if is_down {
                        backend.state = BackendState::Down;
                        backend.probe.as_mut().unwrap().error = Some("connection refused".to_owned());
                    }
                    backend
                })
                .collect();
            pool
        })
        .collect();
    status
}

/// The status with its problems, as control answers it.
fn answered(mut status: Status) -> Status {
    status.problems = problems(&status);
    status
}

fn view(status: Status) -> View {
    View::new(answered(status), TimeZone::UTC, Colours::On)
}

/// The lines of the screen, without spaces at their ends.
fn screen(view: &mut View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

fn press(view: &mut View, keys: &str) -> Effect {
    let mut effect = Effect::Nothing;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            'v' => KeyCode::Down,
            '^' => KeyCode::Up,
            key => KeyCode::Char(key),
        };
        effect = view.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    effect
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 30), (200, 50)];

#[test]
fn what_matters_is_whole_at_every_size() {
    for (width, height) in SIZES {
        for (pools, backends) in [(1, 3), (1, 60), (15, 3), (15, 60), (100, 3), (100, 60)] {
            for sick in [Sick::No, Sick::Most, Sick::Every] {
                let mut view = view(status(pools, backends, sick));
                let lines = screen(&mut view, width, height);
                let context = format!("{width}x{height}, {pools} pools of {backends}, {sick:?}: {lines:#?}");
                assert!(
                    lines[0].starts_with("rondel 1.2.3: serving for 1m0s   12 of 100 connections"),
                    "{context}"
                );
                assert!(lines[1].starts_with("? help   q ends"), "{context}");
                let text = lines.join("\n");
                // A row has its name, its state and its numbers as they are, whatever else has room.
                let name = if pools == 1 { "- pool-0" } else { "pool-0" };
                let row =
                    lines.iter().find(|line| line.contains(name) && line.contains(" up")).expect(&context);
                let active: usize = (0..backends).sum();
                let state = match sick {
                    Sick::No => format!("{backends} up"),
                    Sick::Most => format!("1 of {backends} up"),
                    Sick::Every => format!("0 of {backends} up"),
                };
                let words: Vec<_> = row.split_whitespace().collect();
                assert!(row.contains(&format!(" {state} ")), "{context}");
                assert!(words.contains(&active.to_string().as_str()), "{context}");
                // Problems are above, one line a pool.
                let expected = match (sick, backends) {
                    (Sick::No, _) => None,
                    (Sick::Most, 3) => Some("* pool pool-0: backends b1 and b2, 2 of 3, are down".to_owned()),
                    (Sick::Most, _) => Some("* pool pool-0: 59 of 60 backends are down".to_owned()),
                    (Sick::Every, _) => Some(format!("! pool pool-0: all {backends} backends are down")),
                };
                assert_eq!(
                    text.matches(" pool pool-0: ").count(),
                    usize::from(expected.is_some()),
                    "{context}"
                );
                if let Some(expected) = expected {
                    let whole = format!("{expected} since 00:17: connection refused");
                    assert_eq!(lines[2], cut(&whole, width.into()), "{context}");
                }
                assert_eq!(text.contains("more problems"), sick == Sick::Every && pools > 10, "{context}");
            }
        }
    }
}

#[test]
fn a_screen_of_80_columns_has_the_most_important_ones() {
    let mut status = status(1, 3, Sick::Most);
    status.pools[0].backends[1].overrides.drained = true;
    let mut view = view(status);
    let mut later = view.now.clone();
    later.uptime_seconds += 2.0;
    later.listeners[0].bytes_to_client += 4096;
    later.pools[0].backends[0].bytes_to_client += 2 << 20;
    view.update(answered(later));
    let lines = screen(&mut view, 80, 24);
    let expected = [
        "rondel 1.2.3: serving for 1m2s   12 of 100 connections   34 new/s",
        "? help   q ends   / filter   s sort   enter opens   c connections   l listeners",
        "* pool pool-0: backend b2, 1 of 3, is down since 00:17: connection refused",
        "  pool pool-0: backend b1, 1 of 3, is drained: it has 1 connection",
        "pools 1, backends 1 of 3 up   sorted by problems",
        "POOL/BACKEND  STATE      OVERRIDE  ADDRESS        CONNS  NEW/s  OUT/s  IN/s",
        "- pool-0      1 of 3 up                               3     30   1.0M     0",
        "  pool-0/b1   down 5s    drained   10.0.0.2:8080      1     10      0     0",
        "  pool-0/b2   down 5s              10.0.0.3:8080      2     10      0     0",
        "  pool-0/b0   up 5s                10.0.0.1:8080      0     10   1.0M     0",
    ];
    let found: Vec<_> = lines[..expected.len()].iter().map(String::as_str).collect();
    assert_eq!(found, expected, "{lines:#?}");
    assert!(lines[23].ends_with("10s ago  pool app, backend b: down: connection refused"), "{lines:#?}");
    let wide = screen(&mut view, 200, 50);
    assert!(wide[5].ends_with("OUT/s  IN/s  FAILED  ERROR"), "{wide:#?}");
    assert!(wide[7].ends_with("connection refused"), "{wide:#?}");
}

#[test]
fn a_name_too_long_keeps_both_ends() {
    let mut status = status(1, 3, Sick::No);
    status.pools[0].name = format!("payments{}", "-eu".repeat(20));
    status.pools[0].backends[0].name = format!("app{}", "-west".repeat(12));
    let lines = screen(&mut view(status), 80, 24);
    let row = lines.iter().find(|line| line.contains("-west")).unwrap();
    let name = row.split_whitespace().next().unwrap();
    assert!(name.starts_with("payments-eu") && name.contains('…') && name.ends_with("-west"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("3 up") && line.contains(" 30")), "{lines:#?}");
}

#[test]
fn pools_are_opened_and_the_selection_follows_its_row() {
    let mut view = view(status(15, 3, Sick::No));
    let lines = screen(&mut view, 80, 24);
    assert!(!lines.iter().any(|line| line.contains("/b0")), "they do not fit: {lines:#?}");
    press(&mut view, "v\n");
    let lines = screen(&mut view, 80, 24);
    assert!(lines.iter().any(|line| line.starts_with("  pool-1/b0 ")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.starts_with("  pool-0/b0 ")), "{lines:#?}");
    // The selected backend stays selected when another one comes before it.
    press(&mut view, "vv");
    let mut later = view.now.clone();
    later.pools[1].backends[2].state = BackendState::Down;
    view.update(answered(later));
    screen(&mut view, 80, 24);
    assert_eq!(press(&mut view, "\n"), asked(|query| query.backend = Some("pool-1/b1".parse().unwrap())));
    // And is selected after the way back.
    press(&mut view, "\x1b");
    screen(&mut view, 80, 24);
    assert_eq!(press(&mut view, "c"), asked(|query| query.backend = Some("pool-1/b1".parse().unwrap())));
    press(&mut view, "\x1bf");
    assert!(!screen(&mut view, 80, 24).iter().any(|line| line.contains("/b1 ")), "all are closed");
    press(&mut view, "f");
    assert!(screen(&mut view, 80, 50).iter().any(|line| line.contains("/b1 ")), "all are open");
    // A terminal with room for all opens all, unless pools were opened or closed.
    let mut tall = self::view(status(15, 3, Sick::No));
    screen(&mut tall, 80, 90);
    assert!(screen(&mut tall, 80, 90).iter().any(|line| line.contains("pool-14/b2 ")));
}

fn asked(change: impl FnOnce(&mut Query)) -> Effect {
    let mut query = Query { limit: Some(500), ..Query::default() };
    change(&mut query);
    Effect::Ask(Some(query))
}

#[test]
fn rows_scroll_with_the_selection_and_end_at_the_last() {
    let mut view = view(status(100, 60, Sick::No));
    screen(&mut view, 80, 24);
    press(&mut view, &"v".repeat(200));
    let lines = screen(&mut view, 80, 24);
    assert!(lines.iter().any(|line| line.starts_with("+ pool-99 ")), "{lines:#?}");
    press(&mut view, &"^".repeat(200));
    let lines = screen(&mut view, 80, 24);
    assert!(lines.iter().any(|line| line.starts_with("+ pool-0 ")), "{lines:#?}");
}

#[test]
fn a_filter_shows_the_backends_that_match() {
    let mut view = view(status(15, 3, Sick::Most));
    screen(&mut view, 80, 24);
    press(&mut view, "/POOL-7");
    let lines = screen(&mut view, 80, 24);
    assert!(lines[1].starts_with("filter: POOL-7_"), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("+ pool-")).count(), 1, "{lines:#?}");
    press(&mut view, "\x1b/refused\n");
    let lines = screen(&mut view, 80, 24);
    let rows: Vec<_> =
        lines.iter().filter(|line| line.starts_with("  pool-") || line.starts_with("- pool-")).collect();
    assert_eq!(rows.len(), 3, "a pool and two backends: {lines:#?}");
    press(&mut view, "\x1b/nonsense\n");
    assert!(screen(&mut view, 80, 24).contains(&"  none with this filter".to_owned()));
    press(&mut view, "\x1b");
    let lines = screen(&mut view, 80, 24);
    assert_eq!(lines.iter().filter(|line| line.starts_with("+ pool-")).count(), 15, "{lines:#?}");
}

#[test]
fn the_order_changes_with_a_key() {
    let mut view = view(status(15, 3, Sick::Most));
    let mut first = |keys: &str| {
        press(&mut view, keys);
        let lines = screen(&mut view, 80, 24);
        let head = lines.iter().position(|line| line.starts_with("POOL/BACKEND")).unwrap();
        (lines[head - 1].clone(), lines[head + 1].split_whitespace().nth(1).unwrap().to_owned())
    };
    let title = |sort: &str| format!("pools 15, backends 43 of 45 up   sorted by {sort}");
    assert_eq!(first(""), (title("problems"), "pool-0".to_owned()));
    assert_eq!(first("s"), (title("file"), "pool-0".to_owned()));
    assert_eq!(first("s"), (title("CONNS"), "pool-14".to_owned()));
    assert_eq!(first("s").0, title("NEW/s"));
    assert_eq!(first("s").0, title("FAILED"));
    assert_eq!(first("s").0, title("problems"));
}

#[test]
fn connections_are_listed_and_their_number_is_bounded() {
    let mut view = view(status(1, 3, Sick::No));
    screen(&mut view, 80, 24);
    let Effect::Ask(Some(query)) = press(&mut view, "C") else { panic!("it asks") };
    assert_eq!(query, Query { limit: Some(500), ..Query::default() });
    assert!(screen(&mut view, 80, 24)[2].starts_with("connections   asking"));
    let answer: Connections = serde_json::from_value(serde_json::json!({
        "connections": [{
            "id": "0-12-3", "worker": 0, "client": "192.0.2.7:40000", "listener": "web", "pool": "pool-0",
            "backend": "b0", "backend_address": "10.0.0.1:8080", "age_seconds": 7380.0, "bytes_to_backend": 10,
            "bytes_to_client": 2_000_000, "state": "relaying", "spliced": true, "attempts": 1
        }],
        "left_out": 11,
        "silent_workers": [3],
    }))
    .unwrap();
    view.answer(&Query::default(), Err("of another query".to_owned()));
    view.answer(&query, Ok(answer));
    let lines = screen(&mut view, 120, 30);
    assert_eq!(
        lines[2..5],
        [
            "connections   the oldest 1 of 12   without those of workers 3, which did not answer",
            "CLIENT           STATE             BACKEND    ID      LISTENER   AGE  TO-BACKEND  TO-CLIENT",
            "192.0.2.7:40000  relaying,spliced  pool-0/b0  0-12-3  web       2h3m          10       1.9M",
        ],
        "{lines:#?}"
    );
    view.answer(&query, Err("there is no pool x".to_owned()));
    assert_eq!(screen(&mut view, 80, 24)[2], "connections   there is no pool x");
    assert_eq!(press(&mut view, "\x1b"), Effect::Ask(None));
}

#[test]
fn every_page_is_reached_by_its_key() {
    let mut view = view(status(15, 3, Sick::Every));
    for (key, line) in [
        ("l", "listeners 1   sorted by problems"),
        ("e", "events, the latest first"),
        ("!", "problems"),
        ("?", "help"),
        ("p", "pools 15, backends 0 of 45 up   sorted by problems"),
    ] {
        press(&mut view, key);
        let lines = screen(&mut view, 80, 24);
        assert!(lines.iter().any(|found| found == line), "{key}: {lines:#?}");
    }
    press(&mut view, "!");
    let lines = screen(&mut view, 80, 24);
    assert_eq!(lines.iter().filter(|line| line.starts_with("! pool pool-")).count(), 15, "{lines:#?}");
    press(&mut view, "?");
    let lines = screen(&mut view, 80, 24).join("\n");
    for keys in ["enter, space", "q, ctrl-c", "esc"] {
        assert!(lines.contains(keys), "{lines}");
    }
    assert_eq!(press(&mut view, "q"), Effect::End);
    assert_eq!(view.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Effect::End);
}

#[test]
fn an_error_is_shown_with_the_time_of_the_data() {
    let mut view = view(status(1, 3, Sick::No));
    view.error = Some("/run/rondel/admin.sock: connection refused\n  check the path".to_owned());
    let lines = screen(&mut view, 120, 30);
    assert_eq!(lines[1], "no answer since 00:17:40: /run/rondel/admin.sock: connection refused");
    assert!(lines.iter().any(|line| line.contains("3 up")), "the last data stay: {lines:#?}");
    // The counters of another process start at 0, so there are no rates at first.
    let mut restarted = view.now.clone();
    restarted.started_at += 100.0;
    view.update(restarted);
    let lines = screen(&mut view, 120, 30);
    assert!(lines[1].starts_with("? help"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("- pool-0 ") && line.contains("  -  ")), "{lines:#?}");
}

#[test]
fn a_problem_is_the_sentence_of_the_status_and_a_note_is_no_alarm() {
    let mut status = status(3, 3, Sick::No);
    // The pools are sick in the reverse of their order in the file.
    status.pools[0].backends[0].overrides.drained = true;
    status.pools[1].backends[0].state = BackendState::Down;
    status.pools[2].backends.iter_mut().for_each(|backend| backend.state = BackendState::Down);
    status.config.last_error = Some(format!("rondel.yaml:7:1: wrong{}\nand more", " and long".repeat(20)));
    let mut view = view(status);
    let severities: Vec<_> = view.now.problems.iter().map(|problem| problem.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Error, Severity::Warning, Severity::Note]);
    let clock = view.clock();
    let sentences: Vec<_> =
        view.now.problems.iter().map(|problem| problem.sentence(|at| clock.minute(at))).collect();
    let lines = screen(&mut view, 80, 24);
    assert!(lines[2].starts_with("! the last reload was refused") && lines[2].ends_with('…'), "{lines:#?}");
    for (line, sentence) in lines[3..6].iter().zip(&sentences[1..]) {
        assert_eq!(line[2..], *sentence);
    }
    let signs: Vec<_> = lines[2..6].iter().map(|line| line.chars().next().unwrap()).collect();
    assert_eq!(signs, ['!', '!', '*', ' ']);
    let order: Vec<_> =
        lines.iter().filter_map(|line| line.strip_prefix("+ pool-")?.chars().next()).collect();
    assert_eq!(order, ['2', '1', '0'], "{lines:#?}");
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, &mut view)).unwrap();
    let colours = [2, 3, 4, 5].map(|y| terminal.backend().buffer()[(2, y)].fg);
    assert_eq!(colours, [Color::Red, Color::Red, Color::Yellow, Color::Reset]);
    // Where all of them are listed, they are whole.
    press(&mut view, "!");
    let lines = screen(&mut view, 80, 24);
    let words: Vec<_> = lines[3..].iter().flat_map(|line| line.split_whitespace()).collect();
    let all = sentences.iter().zip(["!", "!", "*", ""]).map(|(sentence, sign)| format!("{sign} {sentence}"));
    assert_eq!(
        words.join(" "),
        all.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    );
}

#[test]
fn backends_without_a_probe_are_not_called_unknown() {
    let mut status = status(1, 3, Sick::No);
    for backend in &mut status.pools[0].backends {
        (backend.state, backend.probe) = (BackendState::Unknown, None);
    }
    let lines = screen(&mut view(status), 80, 24);
    let text = lines.join("\n");
    assert!(text.contains("- pool-0      3 without probe "), "{lines:#?}");
    assert_eq!(text.matches(" no probe ").count(), 3, "{lines:#?}");
    assert!(!text.contains("unknown"), "{lines:#?}");
}

#[test]
fn the_pool_with_the_fewest_available_backends_is_the_first() {
    let mut status = status(3, 3, Sick::No);
    for (pool, down) in [(1, 1), (2, 2)] {
        for backend in &mut status.pools[pool].backends[..down] {
            backend.state = BackendState::Down;
        }
    }
    let lines = screen(&mut view(status), 80, 24);
    let order: Vec<_> =
        lines.iter().filter_map(|line| line.strip_prefix("+ pool-")?.chars().next()).collect();
    assert_eq!(order, ['2', '1', '0'], "{lines:#?}");
}

#[test]
fn without_colours_everything_is_said_in_words() {
    let coloured = |colours| {
        let mut view = View::new(answered(status(1, 3, Sick::Most)), TimeZone::UTC, colours);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &mut view)).unwrap();
        terminal.backend().buffer().content().iter().filter(|cell| cell.fg != Color::Reset).count()
    };
    assert!(coloured(Colours::On) > 0);
    assert_eq!(coloured(Colours::Off), 0);
    assert!(matches!(Colours::of(Some("1".as_ref())), Colours::Off));
    assert!(matches!(Colours::of(Some("".as_ref())), Colours::On));
}

#[test]
fn a_small_terminal_is_told_what_top_needs() {
    for (width, height) in [(1, 1), (20, 5), (39, 24), (80, 9)] {
        let lines = screen(&mut view(status(100, 60, Sick::Every)), width, height);
        if width >= 20 {
            assert!(lines[0].starts_with(&format!("{width}x{height} is too")), "{lines:#?}");
        }
    }
    let lines = screen(&mut view(status(100, 60, Sick::Every)), 40, 10);
    assert!(lines.iter().any(|line| line.starts_with("+ pool-0      0 of 60 up ")), "{lines:#?}");
}
