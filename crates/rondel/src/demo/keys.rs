//! Keys that break the demo, and mend it. Only where somebody sits before it: stdin is a terminal, and ours.

use std::io::Read as _;
use std::thread;

use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

use super::end;
use super::show::{BACKENDS, Deed, Show};

/// What the keys do, for people.
pub(super) const HELP: &str =
    "  k kills a backend, r revives all, s slows all; 1, 2 and 3 kill or revive that one";

/// A terminal that gives each key at once. Dropping it makes it what it was.
#[derive(Debug)]
pub(super) struct Terminal {
    before: Termios,
}

/// Listens to keys, if there is a terminal to press them at. When that is gone, the demo ends.
pub(super) fn start(show: Show) -> Option<Terminal> {
    let terminal = Terminal::prepare()?;
    let listen = move || {
        for key in std::io::stdin().lock().bytes().map_while(Result::ok) {
            if let Some(deed) = deed(key) {
                show.act(deed);
            }
        }
        // A terminal that is there always has another key.
        end();
    };
    thread::Builder::new().name("demo-keys".to_owned()).spawn(listen).ok()?;
    Some(terminal)
}

fn deed(key: u8) -> Option<Deed> {
    match key {
        b'k' => Some(Deed::KillOne),
        b'r' => Some(Deed::Restore),
        b's' => Some(Deed::SlowAll),
        b'1'..=b'9' => Some(usize::from(key - b'0')).filter(|number| *number <= BACKENDS).map(Deed::Toggle),
        _ => None,
    }
}

impl Terminal {
    fn prepare() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        // The kernel stops a process that changes a terminal from the background.
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
        // It has gone: then nothing of it is to be mended.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
