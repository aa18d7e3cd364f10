//! A server that a test starts. Its files belong to an unprivileged user, because databases refuse to run as root.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Folder, PATIENCE, eventually, holds_within};

/// A server; it is killed when it is dropped.
pub(crate) struct Program {
    command: Command,
    listening: SocketAddr,
    child: Child,
    folder: Folder,
}

impl Program {
    /// Starts `command`, with its output in files of `folder`, and waits until it accepts connections at
    /// `listening`.
    #[track_caller]
    pub(crate) fn start(folder: Folder, mut command: Command, listening: SocketAddr) -> Self {
        let output = |name| File::options().create(true).append(true).open(folder.file(name)).unwrap();
        command.stdin(Stdio::null()).stdout(output("stdout")).stderr(output("stderr"));
        let child = spawn(&mut command);
        let mut program = Self { command, listening, child, folder };
        program.wait_until_it_listens();
        program
    }

    /// Starts it again on the same files, after [`end`](Self::end).
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&mut self.command);
        self.wait_until_it_listens();
    }

    #[track_caller]
    fn wait_until_it_listens(&mut self) {
        eventually(&format!("{:?} listens at {}", self.command, self.listening), || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{:?} ended: {}", self.command, self.output());
            TcpStream::connect_timeout(&self.listening, PATIENCE).is_ok()
        });
    }

    /// Its output.
    pub(crate) fn output(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.file(name)).unwrap_or_default();
        read("stdout") + &read("stderr") + &read("error.log")
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its process was started here and not waited for, so the number is still its own.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends it a signal, and waits until it has ended: its port is closed then.
    #[track_caller]
    pub(crate) fn end(&mut self, signal: Signal) {
        self.signal(signal);
        self.wait();
    }

    /// Waits until it has ended, after it was told to.
    #[track_caller]
    pub(crate) fn wait(&mut self) {
        let ended = holds_within(PATIENCE, || self.child.try_wait().unwrap().is_some());
        assert!(ended, "{:?} does not end: {}", self.command, self.output());
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

#[track_caller]
fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
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

/// A command run by an unprivileged user.
pub(crate) fn unprivileged(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.env("HOME", "/nonexistent").env("LC_ALL", "C").current_dir("/");
    command
}

/// Runs a program that succeeds, and returns its standard output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    String::from_utf8_lossy(&run_for_bytes(command).stdout).into_owned()
}

/// The same for binary output.
#[track_caller]
pub(crate) fn run_for_bytes(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).into_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}\n{complained}", output.status);
    output
}

/// The user `nobody` and the group `nogroup` of Debian.
const NOBODY: u32 = 65534;
