//! A terminal for a test: script(1) has its other end.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Folder, PATIENCE, eventually};

/// A terminal with one program, which leads its session. Dropping it closes it.
pub(crate) struct Terminal {
    script: Child,
    screen: ChildStdout,
    seen: String,
    folder: Folder,
}

impl Terminal {
    /// Runs a program with its arguments on a terminal, followed by a line of shell.
    pub(crate) fn run(program: &Path, arguments: &[&str], then: &str) -> Self {
        let folder = Folder::new();
        let pid = folder.file("pid");
        // The inner shell becomes the program, so that its number is known. The outer one leads the session, or
        // becomes the inner one.
        let inner =
            format!("sh -c 'echo $$ >{}; exec {} {}'", pid.display(), program.display(), arguments.join(" "));
        let line =
            format!("stty rows 40 cols 140; {}{inner}{then}", if then.is_empty() { "exec " } else { "" });
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("script, of the package bsdutils: {error}"));
        let screen = script.stdout.take().unwrap();
        Self { script, screen, seen: String::new(), folder }
    }

    /// Waits until it shows this text.
    #[track_caller]
    pub(crate) fn shows(&mut self, word: &str) {
        let patience = Timespec::try_from(PATIENCE).unwrap();
        while !self.seen.contains(word) {
            let ready = poll(&mut [PollFd::new(&self.screen, PollFlags::IN)], Some(&patience)).unwrap();
            assert!(ready > 0, "no {word}, and nothing more comes:\n{}", self.seen);
            let mut bytes = [0; 4096];
            let length = self.screen.read(&mut bytes).unwrap();
            assert!(length > 0, "no {word}, and it has ended:\n{}", self.seen);
            self.seen += &String::from_utf8_lossy(&bytes[..length]);
        }
    }

    /// Forgets what it has shown, so that only what comes is looked for.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Types these keys.
    #[track_caller]
    pub(crate) fn keys(&mut self, keys: &str) {
        self.script.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Everything it has shown.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }

    /// The program on it.
    #[track_caller]
    pub(crate) fn pid(&self) -> Pid {
        let text = fs::read_to_string(self.folder.file("pid")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }

    /// Sends a signal to the program on it.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Reads everything until the last program on it has ended.
    #[track_caller]
    pub(crate) fn until_the_end(mut self) -> String {
        self.screen.read_to_string(&mut self.seen).unwrap();
        self.script.wait().unwrap();
        std::mem::take(&mut self.seen)
    }

    /// Closes it as a window is closed: its other end is gone.
    #[track_caller]
    pub(crate) fn close(mut self) -> Pid {
        let pid = self.pid();
        self.end();
        pid
    }

    fn end(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until this process, which is not a child of the test, has ended.
#[track_caller]
pub(crate) fn wait_for_the_end_of(pid: Pid) {
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    // If no process waits for it, it stays as a zombie.
    let has_ended = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    eventually("the process has ended", has_ended);
}
