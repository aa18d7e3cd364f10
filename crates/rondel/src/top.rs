//! `rondel top`: a running rondel on a terminal, anew each second.

mod screen; // What is drawn, made of what is known.

use std::future::poll_fn;
use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::Poll;
use std::thread;

use api::Status;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};

use self::screen::{View, draw};
use crate::admin::Reach;
use crate::drain::pause;
use crate::outcome::{Failed, Outcome, print_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel top
  rondel top --socket /run/rondel/admin.sock
  rondel top --json | jq .pools

With --json it prints what it would draw once, as `rondel status --json` does, and needs no terminal.
Keys: q ends it; s sorts backends by their next column; up, down, page up and page down move through them. SIGTERM, SIGHUP and
SIGINT end it as q does. When the rondel that it shows ends, it keeps the last numbers, says so, and asks again each second.")]
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
    let (sender, heard) = sync_channel(HEARD_MAX);
    // Before the terminal is changed: from then on no signal ends it as it is.
    hear_signals(sender.clone()).map_err(|error| failed(&error))?;
    let mut terminal = ratatui::try_init().map_err(|error| failed(&error))?;
    let keys = sender.clone();
    thread::spawn(move || hear_keys(&keys));
    let reach = arguments.reach.clone();
    thread::spawn(move || hear_statuses(&reach, &sender));
    let watched = watch(&mut terminal, &heard, view);
    // Not `restore`, which panics where the terminal is gone, and standard error with it.
    let _ = ratatui::try_restore();
    watched.map_err(|error| failed(&error))
}

/// What there is to hear: the draw loop waits for nothing else.
enum Heard {
    Key(KeyEvent),
    /// The window has another size.
    Resized,
    /// How all of it is now, or why that is not known.
    Status(Box<Result<Status, Failed>>),
    /// A signal that ends it.
    End,
    /// Keys cannot be read any more.
    Lost(io::Error),
}

/// Draws whenever something is heard, until a key or a signal ends it.
fn watch(terminal: &mut DefaultTerminal, heard: &Receiver<Heard>, mut view: View) -> io::Result<()> {
    loop {
        terminal.draw(|frame| draw(frame, &mut view))?;
        // Without a sender there is nothing more to hear.
        match heard.recv().unwrap_or(Heard::End) {
            Heard::Key(key) => match wanted(key) {
                Wanted::End => return Ok(()),
                Wanted::Sort => view.sort = view.sort.next(),
                Wanted::Move(by) => view.move_by(by),
                Wanted::Nothing => {}
            },
            Heard::Resized => {}
            Heard::Status(answer) => match *answer {
                Ok(status) => view.renew(status),
                Err(Failed::Runtime(why) | Failed::Refused(why)) => view.lose(why),
                Err(other) => view.lose(format!("{other:?}")),
            },
            Heard::End => return Ok(()),
            Heard::Lost(error) => return Err(error),
        }
    }
}

/// Hears signals that end it; the terminal is restored then.
fn hear_signals(to: SyncSender<Heard>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
    let mut signals = {
        let _inside = runtime.enter();
        kinds.into_iter().map(signal).collect::<io::Result<Vec<_>>>()?
    };
    let any = poll_fn(move |context| {
        if signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    thread::spawn(move || {
        runtime.block_on(any);
        // When the draw loop has ended, so has the process soon.
        let _ = to.send(Heard::End);
    });
    Ok(())
}

/// Hears keys, until there is no terminal any more.
fn hear_keys(to: &SyncSender<Heard>) {
    loop {
        let heard = match event::read() {
            Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => Heard::Key(key),
            Ok(Event::Resize(..)) => Heard::Resized,
            Ok(_) => continue,
            Err(error) => {
                let _ = to.send(Heard::Lost(error));
                return;
            }
        };
        if to.send(heard).is_err() {
            return;
        }
    }
}

/// Asks each second how all of it is. An answer may take long, and keys and signals do not wait for it.
fn hear_statuses(reach: &Reach, to: &SyncSender<Heard>) {
    while pause().is_ok() && to.send(Heard::Status(Box::new(reach.status()))).is_ok() {}
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

/// What was heard and is not answered yet. At the bound a thread that hears more waits.
const HEARD_MAX: usize = 16;

/// Lines that a page up or down moves.
const PAGE: isize = 10;
