//! Rondel with its defaults, unless a case requires something else.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;

use rustix::process::Signal;

use crate::peers::{BACKLOG, Guard, Reloads, SOURCE_CONNECTIONS_MAX, Task, Watch, denied};
use crate::process::{Output, Process};
use crate::workshop::Workshop;

pub(crate) fn start(workshop: &Workshop, task: &Task<'_>, program: &str) -> io::Result<Process> {
    if task.guard == Guard::Prefixes {
        workshop.write(DENIED, &denied())?;
    }
    let path = workshop.write(FILE, &config(workshop, task, task.backends))?;
    let command = [program, "run", "--config", &path].map(str::to_owned);
    workshop.start("rondel", task.place(), &command, Output::Log)
}

/// Writes the other of two valid files, and sends SIGHUP. They differ in the order of the backends, so that the
/// load of the backends stays the same. If `told` is false, it does everything except sending the signal.
pub(crate) fn reload(
    workshop: &Workshop,
    task: &Task<'_>,
    process: &Process,
    number: u32,
    told: bool,
) -> io::Result<()> {
    let mut backends = task.backends.to_vec();
    let first = number as usize % backends.len();
    backends.rotate_left(first);
    // Replaced in one step, so that it is never read half written.
    let written = workshop.write("rondel.yaml.next", &config(workshop, task, &backends))?;
    fs::rename(written, workshop.folder.join(if told { FILE } else { "rondel.yaml.unread" }))?;
    if told { process.signal(Signal::HUP) } else { Ok(()) }
}

/// A reload without changes is not counted: it puts no table in place.
pub(crate) fn reloads_done(log: &str) -> Reloads {
    let count = |what: &dyn Fn(&str) -> bool| {
        u32::try_from(log.lines().filter(|line| what(line)).count()).unwrap_or(u32::MAX)
    };
    Reloads {
        done: count(&|line| {
            line.contains("reloaded: ") && line.contains(" change") && !line.contains("nothing changed")
        }),
        refused: count(&|line| line.contains("reload refused")),
    }
}

fn config(workshop: &Workshop, task: &Task<'_>, backends: &[SocketAddr]) -> String {
    let mut config = watch(workshop, task);
    let guard = guard(workshop, task, &mut config);
    // Writing to a `String` does not fail.
    let _ = write!(
        config,
        "\
runtime:
  workers: {}
listeners:
  - {{ address: \"{}\", pool: bench, backlog: {BACKLOG}{guard} }}
pools:
  - name: bench
    backends:
",
        task.workers, task.address
    );
    for backend in backends {
        let _ = writeln!(config, "      - {{ address: \"{backend}\" }}");
    }
    config
}

/// Adds the rules about addresses, and returns how the listener names them.
fn guard(workshop: &Workshop, task: &Task<'_>, config: &mut String) -> &'static str {
    match task.guard {
        Guard::None => "",
        Guard::Prefixes => {
            let file = workshop.folder.join(DENIED).display().to_string();
            let _ = writeln!(config, "access: [{{ name: all, rules: [{{ deny_file: {file} }}] }}]");
            ", access: all"
        }
        Guard::Limits => {
            let _ = writeln!(config, "limits: [{{ name: all, connections: {SOURCE_CONNECTIONS_MAX} }}]");
            ", limits: all"
        }
    }
}

fn watch(workshop: &Workshop, task: &Task<'_>) -> String {
    match task.watch {
        Watch::Default => String::new(),
        Watch::Nothing => "admin: { socket: off, http: off }\n".to_owned(),
        Watch::Everything => format!(
            "admin: {{ http: \"{}\" }}\naccess_log: {{ to: \"{}\" }}\n",
            task.metrics(),
            workshop.folder.join("access.log").display()
        ),
    }
}

const FILE: &str = "rondel.yaml";

/// The file of denied prefixes, beside it.
const DENIED: &str = "denied.txt";

#[cfg(test)]
mod tests {
    use super::{Reloads, reloads_done};

    #[test]
    fn reloads_are_counted_by_the_log() {
        let log = "[INFO] ready\n[INFO] reloaded: 1 change\n[INFO] reloaded: 2 changes\n[INFO] reloaded: nothing changed\n\
                   [ERROR] reload refused: file\n";
        assert_eq!(reloads_done(log), Reloads { done: 2, refused: 1 });
    }
}
