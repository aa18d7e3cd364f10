//! The connection to the janitor, which is told what has to be removed when this process ends.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the janitor cleans up after this process, unless that is done before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Thing<'a> {
    /// A process group, by the number of its first process.
    Group(u32),
    /// A network namespace.
    Namespace(&'a str),
    /// A folder with its contents.
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

/// The process that cleans up after this one.
#[derive(Debug)]
pub(crate) struct Janitor {
    /// `None` once it was started to clean up.
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

    /// Runs `make`, which creates a thing and returns it, and reports it before anything can interrupt.
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

    /// Reports that this is removed already.
    pub(crate) fn gone(&self, thing: Thing<'_>) {
        if let Some((_, input)) = self.lock().as_mut() {
            // An ended janitor cannot be told.
            let _ = writeln!(input, "done {}", thing.line());
        }
    }

    /// Lets it clean up and waits for it; nothing can be created afterwards. While a thread holds the guard, other
    /// threads cannot end the process in another way.
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
