//! Keys that control the demo, if stdin is a terminal and this process is in its foreground.

use std::io::Read as _;
use std::thread;

use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

use super::action::{Action, BACKENDS};
use super::controller::Controller;
use super::output::end;

pub(super) const HELP: &str =
    "  k kills a backend, r restores all, s slows all; 1, 2 and 3 kill or revive that backend";

/// A terminal without line buffering and echo. Dropping it restores the settings.
#[derive(Debug)]
pub(super) struct Terminal {
    before: Termios,
}

/// Reads keys in a thread of their own, if there is a terminal. When the terminal is closed, the demo ends.
pub(super) fn start(controller: Controller) -> Option<Terminal> {
    let terminal = Terminal::prepare()?;
    let listen = move || {
        for key in std::io::stdin().lock().bytes().map_while(Result::ok) {
            if let Some(action) = action(key) {
                controller.apply(action);
            }
        }
        // Input ends only when the terminal is closed.
        end();
    };
    thread::Builder::new().name("demo-keys".to_owned()).spawn(listen).ok()?;
    Some(terminal)
}

fn action(key: u8) -> Option<Action> {
    match key {
        b'k' => Some(Action::KillOne),
        b'r' => Some(Action::Restore),
        b's' => Some(Action::SlowAll),
        b'1'..=b'9' => Some(usize::from(key - b'0')).filter(|number| *number <= BACKENDS).map(Action::Toggle),
        _ => None,
    }
}

impl Terminal {
    fn prepare() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        // The kernel would stop a background process that changes the terminal.
        if tcgetpgrp(&stdin).ok()? != getpgrp() {
            return None;
        }
        let mut keys = before.clone();
        // Ctrl-C stays a signal.
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        keys.special_codes[SpecialCodeIndex::VMIN] = 1;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &keys).ok()?;
        Some(Self { before })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It fails only if the terminal is closed.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
