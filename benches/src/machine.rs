//! The machine of a measurement: without it, figures mean nothing.

use std::fs;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// The machine, and the versions of the programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The release of the kernel.
    pub(crate) kernel: String,
    /// The model of the processor.
    pub(crate) processor: String,
    /// Processors that are online.
    pub(crate) processors: usize,
    /// The version output of each program.
    pub(crate) versions: Vec<String>,
}

/// When, at which revision and how long something was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Occasion {
    /// The day, as `2026-11-22`.
    pub(crate) date: String,
    /// The commit of this repository; `-dirty` with uncommitted changes.
    pub(crate) revision: String,
    /// The number of rounds.
    pub(crate) rounds: u32,
    /// The duration of each.
    pub(crate) seconds: u32,
    /// The fixed rate, in percent of the least full load among the compared peers.
    pub(crate) rate_percent: u32,
}

impl Machine {
    pub(crate) fn this(rondel: &str) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor =
            cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            kernel: kernel.trim().to_owned(),
            processor: processor
                .map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.trim().to_owned()),
            processors: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            versions: [
                (rondel, "--version"),
                ("haproxy", "-v"),
                ("nginx", "-v"),
                ("wrk", "-v"),
                ("iperf3", "--version"),
            ]
            .into_iter()
            .filter_map(|(program, option)| first_line(program, &[option]))
            .collect(),
        }
    }

    /// The version without the builder's suffix: `6.18.44-fc` is `6.18`.
    pub(crate) fn kernel_short(&self) -> String {
        self.kernel.split('.').take(2).collect::<Vec<_>>().join(".")
    }
}

impl Occasion {
    pub(crate) fn now(rounds: u32, seconds: u32, rate_percent: u32) -> Self {
        let describe = ["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"];
        Self {
            date: first_line("date", &["+%F"]).unwrap_or_else(|| "undated".to_owned()),
            revision: first_line("git", &describe)
                .filter(|line| !line.starts_with("fatal"))
                .unwrap_or_else(|| "an unknown commit".to_owned()),
            rounds,
            seconds,
            rate_percent,
        }
    }
}

/// The first line of a program's version output, on either stream; `None` if it is not installed.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    said.lines().next().map(version)
}

/// Without the year of the copyright, and the day and the place of the release.
fn version(line: &str) -> String {
    let end =
        ["Copyright", " [", " - http"].iter().filter_map(|what| line.find(what)).min().unwrap_or(line.len());
    line[..end].trim().trim_start_matches("nginx version: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_without_what_is_around_them() {
        assert_eq!(
            version("HAProxy version 2.6.12-1 2026/10/17 - https://haproxy.org/"),
            "HAProxy version 2.6.12-1 2026/10/17"
        );
        assert_eq!(version("nginx version: nginx/1.22.1"), "nginx/1.22.1");
        assert_eq!(
            version("wrk debian/4.1.0-3 [epoll] Copyright (C) 2012 Will Glozer"),
            "wrk debian/4.1.0-3"
        );
    }
}
