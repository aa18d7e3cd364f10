//! Lines that control logs about what it does.

use config::{Config, Warning};
use host::{Host, Sizes};
use log::Level;

use super::Control;

impl Control {
    /// At the end of the process they are logged at `info`; at a reload, where the metrics have them too, at `debug`.
    pub(super) fn log_totals(&mut self, level: Level) {
        for line in self.totals.lines() {
            log::log!(target: "totals", level, "{line}");
        }
    }
}

pub(super) fn log_sizes(sizes: &Sizes, host: &Host) {
    let descriptors = host.descriptors_max;
    log::info!(
        "workers={} pinned={} connections_max={} pipes_per_worker={} open_files_limit={descriptors}",
        sizes.cpus.len(),
        sizes.cpus.iter().all(Option::is_some),
        sizes.connections_max,
        sizes.pipes_per_worker,
    );
    if let Some(wanted) = sizes.clipped_from {
        log::warn!(
            "`runtime.max_connections` is {wanted}, and the limit of {descriptors} open files allows {}; \
             raise it: `LimitNOFILE=` in the unit, or `ulimit -n`",
            sizes.connections_max
        );
    }
}

/// Logs these lines, the first [`LINES_MAX`] of them if there are more.
pub(super) fn log_lines<'a>(mut lines: impl Iterator<Item = &'a str>, what: &str) {
    for line in lines.by_ref().take(LINES_MAX) {
        log::info!("{line}");
    }
    let more = lines.count();
    if more > 0 {
        log::info!("and {more} more {what}");
    }
}

/// Logs the warnings that were not logged `before`.
pub(super) fn warn_of(warnings: &[Warning], before: &[Warning]) {
    for warning in warnings.iter().filter(|warning| !before.contains(warning)).take(LINES_MAX) {
        log::warn!("{warning}");
    }
}

pub(super) fn warn_of_backlogs(config: &Config, backlog_max: u32) {
    for listener in config.listeners.iter().filter(|listener| listener.backlog > backlog_max) {
        log::warn!(
            "listener {}: the kernel clips `backlog` {} at net.core.somaxconn {backlog_max}; \
             raise it: `sysctl -w net.core.somaxconn={}`",
            listener.name,
            listener.backlog,
            listener.backlog
        );
    }
}

/// Lines of one kind that a reload logs. `rondel reload` and `rondel plan` print all of what changes.
const LINES_MAX: usize = 50;
