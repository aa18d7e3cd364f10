//! The thread to the janitor: it is told of all that has to be gone when this process is.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the janitor cleans up after this process, unless it is told that it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Thing<'a> {
    /// A group of processes, by the number of the first.
    Group(u32),
    /// A network namespace.
    Namespace(&'a str),
    /// A folder with all in it.
    Folder(&'a Path),
}

impl Thing<'_> {
    fn line(self) -> String {
        match self {
            Self::Group(pid) => format!("group {pid}"),
            Self::Namespace(name) => format!("namespace {name}"),
            Self::Folder(path) => format!("folder {}", path.display()),
        }
    }
}

/// The process that cleans up when this one is gone.
#[derive(Debug)]
pub(crate) struct Janitor {
    /// `None` once it was sent to work.
    process: Mutex<Option<(Child, ChildStdin)>>,
}

impl Janitor {
    pub(crate) fn start(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            // A group of its own, so that Ctrl-C in a terminal does not reach it.
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
        let input = child.stdin.take().expect("it was asked for a pipe");
        Ok(Self { process: Mutex::new(Some((child, input))) })
    }

    /// Runs `make`, which makes a thing and says which, and tells of it before anything can come between.
    pub(crate) fn making<T>(
        &self,
        make: impl FnOnce() -> io::Result<T>,
        thing: impl FnOnce(&T) -> Thing<'_>,
    ) -> io::Result<T> {
        let mut process = self.lock();
        let Some((_, input)) = process.as_mut() else {
            return Err(io::Error::other("the benchmark is ending"));
        };
        let new = make()?;
        writeln!(input, "{}", thing(&new).line())?;
        Ok(new)
    }

    /// Tells that this is gone already.
    pub(crate) fn gone(&self, thing: Thing<'_>) {
        if let Some((_, input)) = self.lock().as_mut() {
            // A janitor that is gone cannot be told.
            let _ = writeln!(input, "done {}", thing.line());
        }
    }

    /// Sends it to work and waits until it is through; nothing can be made afterwards. Whoever holds the guard keeps other
    /// threads from ending the process in another way.
    pub(crate) fn clean_up(&self) -> impl Drop + '_ {
        let mut process = self.lock();
        if let Some((mut child, input)) = process.take() {
            drop(input);
            let _ = child.wait();
        }
        process
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Child, ChildStdin)>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
