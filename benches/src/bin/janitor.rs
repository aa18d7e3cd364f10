//! Cleans up after a benchmark that has ended, in whatever way.
//!
//! `bench` starts it first and writes to its standard input, a line each, what has to be cleaned up: `group PID`,
//! `namespace NAME`, `folder PATH`; and `done LINE` when it has cleaned that up itself. The input ends when `bench`
//! ends: finished, interrupted or killed. So there is one way of cleaning up, which is never skipped.

use std::fs;
use std::io::{self, BufRead as _};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

fn main() -> ExitCode {
    let mut left: Vec<String> = Vec::new();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match line.strip_prefix("done ") {
            Some(done) => left.retain(|line| line != done),
            None => left.push(line),
        }
    }
    // In reverse order: processes are in the namespace and the folder that were made for them.
    for line in left.iter().rev() {
        clean_up(line);
    }
    ExitCode::SUCCESS
}

fn clean_up(line: &str) {
    match line.split_once(' ') {
        // At once: it belongs to the benchmark, and holds nothing worth keeping.
        Some(("group", pid)) => {
            if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
                // It may have ended by itself.
                let _ = kill_process_group(pid, Signal::KILL);
            }
        }
        Some(("namespace", name)) => {
            let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
        }
        Some(("folder", path)) => {
            // Twice, because a process that is being killed may have written again in between.
            let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_dir_all(path));
        }
        _ => eprintln!("janitor: not understood: {line:?}"),
    }
}
