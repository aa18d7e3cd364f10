//! HAProxy as its guides advise for TCP.

use std::fmt::Write as _;
use std::io;

use crate::peers::{BACKLOG, CONNECTIONS_MAX, Task};
use crate::process::{Output, Process};
use crate::workshop::Workshop;

/// Whether bytes may stay in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Splice {
    /// They come to user space.
    No,
    /// HAProxy decides, by what it sees of the stream.
    Auto,
}

pub(crate) fn start(workshop: &Workshop, task: &Task<'_>, splice: Splice) -> io::Result<Process> {
    let name = if splice == Splice::No { "haproxy" } else { "haproxy-splice" };
    let path = workshop.write(&format!("{name}.cfg"), &config(task, splice))?;
    // A master is what reloads need; without them the guide's way for a foreground process is -db.
    let mode: &[&str] = if task.reloads { &["-W", "-db"] } else { &["-db"] };
    let command: Vec<String> =
        ["haproxy"].iter().chain(mode).chain(&["-f", &path]).map(|&word| word.to_owned()).collect();
    workshop.start(name, task.place(), &command, Output::Log)
}

/// The management guide says one thread for each core, no log of connections where speed counts, and `splice-auto`
/// where kernel and card are known to do it well. Which of the two is better depends on the kernel, so both are
/// measured. Round robin is its default for TCP too, and is spelled out because all peers do it.
fn config(task: &Task<'_>, splice: Splice) -> String {
    let option = match splice {
        Splice::No => "",
        Splice::Auto => "    option splice-auto\n",
    };
    let mut config = format!(
        "\
global
    nbthread {}
    maxconn {CONNECTIONS_MAX}
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
{option}listen bench
    bind {} backlog {BACKLOG}
    balance roundrobin
",
        task.workers, task.address
    );
    for (index, backend) in task.backends.iter().enumerate() {
        // Writing to a `String` does not fail.
        let _ = writeln!(config, "    server backend-{} {backend}", index + 1);
    }
    config
}
