//! `rondel top`: a running rondel on a terminal, updated each second.

mod view; // What is shown, and how keys change it.

mod screen; // The screen, drawn from the view.

mod columns;
mod problems;
mod rows; // The tables.

mod clock; // What these use.
mod colours;
mod rates;

use std::env;
use std::future::poll_fn;
use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use api::{Connections, Query, Status};
use jiff::tz::TimeZone;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};

use self::colours::Colours;
use self::screen::draw;
use self::view::{Effect, View};
use crate::admin::AdminClient;
use crate::outcome::{Failed, Outcome, print_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel top
  rondel top --socket /run/rondel/admin.sock
  rondel top --json | jq .pools

Problems come first, one line for each kind and pool. Then a line for each pool; enter opens one to show its \
backends, and lists the connections of a backend. On a narrow terminal the least important columns are left out. \
The key ? lists all keys, q ends it. SIGTERM, SIGHUP and SIGINT end it like q.

When rondel does not answer, the screen keeps the last data, shows their time and the error, and asks again each \
second. NO_COLOR switches colours off. With --json the command prints the data once, as `rondel status --json` \
does, and needs no terminal.")]
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
    let colours = Colours::of(env::var_os("NO_COLOR").as_deref());
    let view = View::new(arguments.admin.status()?, TimeZone::system(), colours);
    let (sender, inputs) = sync_channel(INPUTS_MAX);
    // Signals are handled before the terminal is changed, so that it is restored at every end.
    read_signals(sender.clone()).map_err(|error| failed(&error))?;
    let mut terminal = ratatui::try_init().map_err(|error| failed(&error))?;
    let keys = sender.clone();
    thread::spawn(move || read_keys(&keys));
    let (wanted, polled) = wanted();
    let admin = arguments.admin.clone();
    thread::spawn(move || poll(&admin, &polled, &sender));
    let ended = draw_until_end(&mut terminal, &inputs, &wanted, view);
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
    /// The answer to a query.
    Connections(Query, Box<Result<Connections, Failed>>),
    /// A signal to end.
    End,
    /// Keys cannot be read any more.
    Failed(io::Error),
}

/// Draws after each input, until a key or a signal ends it.
fn draw_until_end(
    terminal: &mut DefaultTerminal,
    inputs: &Receiver<Input>,
    wanted: &Wanted,
    mut view: View,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| draw(frame, &mut view))?;
        match inputs.recv().unwrap_or(Input::End) {
            Input::Key(key) => match view.key(key) {
                Effect::End => return Ok(()),
                Effect::Ask(query) => wanted.set(query),
                Effect::Nothing => {}
            },
            Input::Resized => {}
            Input::Status(answer) => match *answer {
                Ok(status) => view.update(status),
                Err(failed) => view.error = Some(in_words(failed)),
            },
            Input::Connections(query, answer) => view.answer(&query, answer.map_err(in_words)),
            Input::End => return Ok(()),
            Input::Failed(error) => return Err(error),
        }
    }
}

fn in_words(failed: Failed) -> String {
    match failed {
        Failed::Runtime(why) | Failed::Refused(why) | Failed::Unknown(why) => why,
        other => format!("{other:?}"),
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

/// The connections to ask for, beside the status.
struct Wanted {
    query: Arc<Mutex<Option<Query>>>,
    changed: SyncSender<()>,
}

/// The same, for the thread that asks.
struct Polled {
    query: Arc<Mutex<Option<Query>>>,
    changed: Receiver<()>,
}

fn wanted() -> (Wanted, Polled) {
    let query = Arc::new(Mutex::new(None));
    let (sender, changed) = sync_channel(1);
    (Wanted { query: query.clone(), changed: sender }, Polled { query, changed })
}

impl Wanted {
    fn set(&self, query: Option<Query>) {
        *self.query.lock().unwrap_or_else(PoisonError::into_inner) = query;
        // If one notice waits already, it serves for this change too.
        let _ = self.changed.try_send(());
    }
}

/// Sends answers each second, and connections as soon as they are wanted, from a thread of its own, because an answer
/// may take long.
fn poll(admin: &AdminClient, wanted: &Polled, to: &SyncSender<Input>) {
    loop {
        match wanted.changed.recv_timeout(INTERVAL) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => {
                if to.send(Input::Status(Box::new(admin.status()))).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let query = wanted.query.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(query) = query {
            let answer = admin.query("/connections", &query);
            if to.send(Input::Connections(query, Box::new(answer))).is_err() {
                return;
            }
        }
    }
}

fn failed(error: &io::Error) -> Failed {
    Failed::Runtime(format!("the terminal: {error}"))
}

/// The size of the queue of inputs. When it is full, senders wait.
const INPUTS_MAX: usize = 16;

/// The time between two queries.
const INTERVAL: Duration = Duration::from_secs(1);
