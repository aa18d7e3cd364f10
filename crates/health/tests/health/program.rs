//! A server that a test starts, whose files belong to an unprivileged user, because databases refuse to run as root.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Folder, PATIENCE, eventually};

/// A running server; it is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    folder: Folder,
}

impl Program {
    /// Starts `command` and waits until it accepts connections at `listening`.
    #[track_caller]
    pub(crate) fn start(folder: Folder, command: &mut Command, listening: SocketAddr) -> Self {
        let output = |name| File::options().create(true).append(true).open(folder.file(name)).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let mut program = Self { child, folder };
        eventually(&format!("{command:?} listens at {listening}"), || {
            let ended = program.child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {}", program.output());
            TcpStream::connect_timeout(&listening, PATIENCE).is_ok()
        });
        program
    }

    /// What it has written.
    pub(crate) fn output(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.file(name)).unwrap_or_default();
        read("stdout") + &read("stderr") + &read("error.log")
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{}", self.output());
        }
    }
}

/// A folder that belongs to the user of [`unprivileged`].
pub(crate) fn unprivileged_folder() -> Folder {
    let folder = Folder::new();
    give_away(folder.path());
    folder
}

/// Gives a file or a folder to the user of [`unprivileged`].
pub(crate) fn give_away(path: &Path) {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// A command as a user without rights.
pub(crate) fn unprivileged(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.env("HOME", "/nonexistent").env("LC_ALL", "C").current_dir("/");
    command
}

/// Runs a program that ends well; what it wrote to standard output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}\n{complained}", output.status);
    said
}

/// `nobody` and `nogroup`, of Debian.
const NOBODY: u32 = 65534;
