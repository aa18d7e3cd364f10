//! Signals that also reach commands: `pkill -USR1 rondel` signals the balancer and every command that runs beside it.

use std::fs;

use tokio::signal::unix::{SignalKind, signal};

/// Makes SIGUSR1 and SIGUSR2 not end this process. The balancer handles SIGUSR1 later.
pub(crate) fn ignore_user_signals() {
    // If no runtime can be created here, the command fails for the same reason and reports it.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    let _inside = runtime.enter();
    for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
        // The handler stays installed, and does nothing without a listener.
        drop(signal(kind));
    }
}

/// Whether the process ignores SIGHUP, as under nohup(1).
pub(crate) fn is_hangup_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// Whether `/proc/PID/status` has SIGHUP in the mask of ignored signals, in which bit 0 is signal 1.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

/// The number of SIGHUP on Linux.
const SIGHUP: u32 = 1;

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn an_ignored_hangup_is_detected() {
        for (mask, ignored) in [
            ("0000000000001000", false),
            ("0000000000001001", true),
            ("0000000000000000", false),
            ("", false),
        ] {
            assert_eq!(
                ignores_hangup(&format!("Name:\trondel\nSigIgn:\t{mask}\nSigCgt:\t01\n")),
                ignored,
                "{mask}"
            );
        }
        assert!(!ignores_hangup(""));
    }
}
