//! `rondel top`: a running rondel on a terminal, anew each second.

mod screen; // What is drawn, made of what is known.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use self::screen::{View, draw};
use crate::admin::Reach;
use crate::outcome::{Failed, Outcome, print_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel top
  rondel top --socket /run/rondel/admin.sock
  rondel top --json | jq .pools

With --json it prints what it would draw once, as `rondel status --json` does, and needs no terminal.
Keys: q ends it; s sorts backends by their next column; up, down, page up and page down move through them.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn top(arguments: &Arguments) -> Outcome {
    if arguments.reach.json {
        return print_json(&arguments.reach.status()?);
    }
    if !io::stdout().is_terminal() {
        return Err(Failed::Runtime(
            "top draws on a terminal; `rondel status` and `rondel backends` print the same".to_owned(),
        ));
    }
    // Whatever is wrong with the socket is said before the screen is taken.
    let view = View::new(arguments.reach.status()?);
    let mut terminal = ratatui::try_init().map_err(|error| failed(&error))?;
    let watched = watch(&mut terminal, &arguments.reach, view);
    ratatui::restore();
    watched.map_err(|error| failed(&error))
}

/// Draws, and asks again each second, until a key ends it.
fn watch(terminal: &mut DefaultTerminal, reach: &Reach, mut view: View) -> io::Result<()> {
    loop {
        terminal.draw(|frame| draw(frame, &mut view))?;
        if !event::poll(INTERVAL)? {
            match reach.status() {
                Ok(status) => view.renew(status),
                Err(Failed::Runtime(why) | Failed::Refused(why)) => view.lose(why),
                Err(other) => view.lose(format!("{other:?}")),
            }
        } else if let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
        {
            match wanted(key) {
                Wanted::End => return Ok(()),
                Wanted::Sort => view.sort = view.sort.next(),
                Wanted::Move(by) => view.move_by(by),
                Wanted::Nothing => {}
            }
        }
    }
}

/// What a key asks for.
enum Wanted {
    End,
    /// By the next column.
    Sort,
    /// So many lines on.
    Move(isize),
    Nothing,
}

fn wanted(key: KeyEvent) -> Wanted {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Wanted::End,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wanted::End,
        KeyCode::Char('s') => Wanted::Sort,
        KeyCode::Up => Wanted::Move(-1),
        KeyCode::Down => Wanted::Move(1),
        KeyCode::PageUp => Wanted::Move(-PAGE),
        KeyCode::PageDown => Wanted::Move(PAGE),
        _ => Wanted::Nothing,
    }
}

fn failed(error: &io::Error) -> Failed {
    Failed::Runtime(format!("the terminal: {error}"))
}

/// How often it asks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Lines that a page up or down moves.
const PAGE: isize = 10;
