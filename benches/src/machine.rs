//! What was measured on: a figure means nothing without it.

use std::fs;
use std::process::{Command, Stdio};

use serde::Serialize;

/// The machine and the versions of what ran on it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// The release of the kernel.
    pub(crate) kernel: String,
    /// The model of the processor.
    pub(crate) processor: String,
    /// Processors that are online.
    pub(crate) processors: usize,
    /// The day, as `2026-11-22`.
    pub(crate) date: String,
    /// What each program says of itself.
    pub(crate) versions: Vec<String>,
}

impl Machine {
    pub(crate) fn this(rondel: &str) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor =
            cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
        Self {
            kernel: read("/proc/sys/kernel/osrelease"),
            processor: processor
                .map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.trim().to_owned()),
            processors: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            date: first_line("date", "+%F").unwrap_or_else(|| "undated".to_owned()),
            versions: [
                (rondel, "--version"),
                ("haproxy", "-v"),
                ("nginx", "-v"),
                ("wrk", "-v"),
                ("iperf3", "--version"),
            ]
            .into_iter()
            .filter_map(|(program, option)| first_line(program, option))
            .collect(),
        }
    }

    /// The version without what the builder added: `6.18.44-fc` is `6.18`.
    pub(crate) fn kernel_short(&self) -> String {
        self.kernel.split('.').take(2).collect::<Vec<_>>().join(".")
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What a program says first, wherever it says it; `None` if it is not there.
fn first_line(program: &str, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).stdin(Stdio::null()).output().ok()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let line = said.lines().next()?.trim();
    // Before the year of the copyright, or the day of the release.
    let end =
        ["Copyright", " [", " - http"].iter().filter_map(|what| line.find(what)).min().unwrap_or(line.len());
    Some(line[..end].trim().trim_start_matches("nginx version: ").to_owned())
}
