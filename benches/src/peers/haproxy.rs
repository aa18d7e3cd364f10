//! HAProxy as its guides advise for TCP.

use std::fmt::Write as _;
use std::io;

use crate::peers::{BACKLOG, CONNECTIONS_MAX, Guard, SOURCE_CONNECTIONS_MAX, Task, denied};
use crate::process::{Output, Process};
use crate::workshop::Workshop;

/// Whether bytes may stay in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Splice {
    /// They are copied to user space.
    No,
    /// HAProxy decides for each stream.
    Auto,
}

pub(crate) fn start(workshop: &Workshop, task: &Task<'_>, splice: Splice) -> io::Result<Process> {
    let name = if splice == Splice::No { "haproxy" } else { "haproxy-splice" };
    let rules = guard(workshop, task)?;
    let path = workshop.write(&format!("{name}.cfg"), &config(task, splice, &rules))?;
    // Reloads need a master; otherwise the guide's way for a foreground process is -db.
    let mode: &[&str] = if task.reloads { &["-W", "-db"] } else { &["-db"] };
    let command: Vec<String> =
        ["haproxy"].iter().chain(mode).chain(&["-f", &path]).map(|&word| word.to_owned()).collect();
    workshop.start(name, task.place(), &command, Output::Log)
}

/// Its rules about addresses, by its documentation: a file of networks is a tree to it.
fn guard(workshop: &Workshop, task: &Task<'_>) -> io::Result<String> {
    Ok(match task.guard {
        Guard::None => String::new(),
        Guard::Prefixes => {
            let file = workshop.write("denied.lst", &denied())?;
            format!("    tcp-request connection reject if {{ src -f {file} }}\n")
        }
        Guard::Limits => format!(
            "    stick-table type ip size 1m expire 1m store conn_cur
    tcp-request connection track-sc0 src
    tcp-request connection reject if {{ sc0_conn_cur gt {SOURCE_CONNECTIONS_MAX} }}
"
        ),
    })
}

/// The management guide advises one thread for each core, no access log if speed matters, and `splice-auto` if
/// kernel and card are known to support it well. Which of the two is better depends on the kernel, so both are
/// measured. Round robin is its default for TCP too, and is explicit because all peers use it.
fn config(task: &Task<'_>, splice: Splice, rules: &str) -> String {
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
{rules}",
        task.workers, task.address
    );
    for (index, backend) in task.backends.iter().enumerate() {
        // Writing to a `String` does not fail.
        let _ = writeln!(config, "    server backend-{} {backend}", index + 1);
    }
    config
}
