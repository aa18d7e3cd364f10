//! A network namespace with its own loopback, for the peer in the kernel.

use std::io;
use std::process::{self, Command, Stdio};
use std::sync::Arc;

use crate::janitor::{Janitor, Thing};

/// A network namespace. It is removed with this value.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    janitor: Arc<Janitor>,
}

impl Namespace {
    pub(crate) fn new(janitor: &Arc<Janitor>) -> io::Result<Self> {
        let name = format!("rondel-bench-{}", process::id());
        let add = || run(&["ip", "netns", "add", &name]).map(|()| name);
        let name = janitor.making(add, |name| Thing::Namespace(name))?;
        let namespace = Self { name, janitor: Arc::clone(janitor) };
        namespace.run(&["ip", "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command in it and waits for its end.
    pub(crate) fn run(&self, command: &[&str]) -> io::Result<()> {
        let mut words = vec!["ip", "netns", "exec", &self.name];
        words.extend(command);
        run(&words)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What cannot be deleted now is left to the janitor.
        if run(&["ip", "netns", "delete", &self.name]).is_ok() {
            self.janitor.gone(Thing::Namespace(&self.name));
        }
    }
}

fn run(words: &[&str]) -> io::Result<()> {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())))
}
