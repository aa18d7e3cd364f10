//! `rondel top`: a running rondel on a terminal, updated each second.

mod screen; // The screen, drawn from statuses.

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
use crate::admin::AdminClient;
use crate::drain::pause;
use crate::outcome::{Failed, Outcome, print_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel top
  rondel top --socket /run/rondel/admin.sock
  rondel top --json | jq .pools

With --json the command prints the data once, as `rondel status --json` does, and needs no terminal. \
Keys: q ends it; s sorts the backends by the next column; up, down, page up and page down scroll. \
SIGTERM, SIGHUP and SIGINT end it like q. When the connection to rondel is lost, the screen keeps \
the last data, shows the error, and reconnects each second.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn top(arguments: &Arguments) -> Outcome {
    if arguments.admin.json {
        return print_json(&arguments.admin.status()?);
    }
    if !io::stdout().is_terminal() {
        return Err(Failed::Runtime(
            "top needs a terminal\n  use `rondel status` and `rondel backends`, or `rondel top --json`"
                .to_owned(),
        ));
    }
    // An error of the socket is printed before the terminal is changed.
    let view = View::new(arguments.admin.status()?);
    let (sender, inputs) = sync_channel(INPUTS_MAX);
    // Signals are handled before the terminal is changed, so that it is restored at every end.
    read_signals(sender.clone()).map_err(|error| failed(&error))?;
    let mut terminal = ratatui::try_init().map_err(|error| failed(&error))?;
    let keys = sender.clone();
    thread::spawn(move || read_keys(&keys));
    let admin = arguments.admin.clone();
    thread::spawn(move || poll_status(&admin, &sender));
    let ended = draw_until_end(&mut terminal, &inputs, view);
    // Not `restore`, which panics if neither the terminal nor standard error can be written.
    let _ = ratatui::try_restore();
    ended.map_err(|error| failed(&error))
}

/// An input of the draw loop.
enum Input {
    Key(KeyEvent),
    /// The size of the terminal has changed.
    Resized,
    /// A newer status, or why there is none.
    Status(Box<Result<Status, Failed>>),
    /// A signal to end.
    End,
    /// Keys cannot be read any more.
    Failed(io::Error),
}

/// Draws after each input, until a key or a signal ends it.
fn draw_until_end(
    terminal: &mut DefaultTerminal,
    inputs: &Receiver<Input>,
    mut view: View,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| draw(frame, &mut view))?;
        match inputs.recv().unwrap_or(Input::End) {
            Input::Key(key) => match action(key) {
                Action::End => return Ok(()),
                Action::Sort => view.sort = view.sort.next(),
                Action::Scroll(lines) => view.scroll(lines),
                Action::None => {}
            },
            Input::Resized => {}
            Input::Status(answer) => match *answer {
                Ok(status) => view.update(status),
                Err(Failed::Runtime(why) | Failed::Refused(why)) => view.set_error(why),
                Err(other) => view.set_error(format!("{other:?}")),
            },
            Input::End => return Ok(()),
            Input::Failed(error) => return Err(error),
        }
    }
}

/// Sends [`Input::End`] at the first signal that ends the command.
fn read_signals(to: SyncSender<Input>) -> io::Result<()> {
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
        // It fails if the draw loop has ended.
        let _ = to.send(Input::End);
    });
    Ok(())
}

/// Sends keys, until the terminal is closed.
fn read_keys(to: &SyncSender<Input>) {
    loop {
        let input = match event::read() {
            Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => Input::Key(key),
            Ok(Event::Resize(..)) => Input::Resized,
            Ok(_) => continue,
            Err(error) => {
                let _ = to.send(Input::Failed(error));
                return;
            }
        };
        if to.send(input).is_err() {
            return;
        }
    }
}

/// Sends the status each second, from a thread of its own, because an answer may take long.
fn poll_status(admin: &AdminClient, to: &SyncSender<Input>) {
    while pause().is_ok() && to.send(Input::Status(Box::new(admin.status()))).is_ok() {}
}

/// The action of a key.
enum Action {
    End,
    /// Sort by the next column.
    Sort,
    /// Scroll down this many lines.
    Scroll(isize),
    None,
}

fn action(key: KeyEvent) -> Action {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Action::End,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Action::End,
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Up => Action::Scroll(-1),
        KeyCode::Down => Action::Scroll(1),
        KeyCode::PageUp => Action::Scroll(-PAGE),
        KeyCode::PageDown => Action::Scroll(PAGE),
        _ => Action::None,
    }
}

fn failed(error: &io::Error) -> Failed {
    Failed::Runtime(format!("the terminal: {error}"))
}

/// The size of the queue of inputs. When it is full, senders wait.
const INPUTS_MAX: usize = 16;

/// How many lines a page has.
const PAGE: isize = 10;
