//! Signals that are meant for a rondel that runs, and reach a command beside it: `pkill -USR1 rondel` signals both.

use std::fs;

use tokio::signal::unix::{SignalKind, signal};

/// From now on SIGUSR1 and SIGUSR2 do not end this process. A balancer that it becomes answers SIGUSR1 then.
pub(crate) fn survive_those_of_others() {
    // Without a runtime there will be none for the command either, which says so.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    let _inside = runtime.enter();
    for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
        // Its handler stays when nothing listens any more, and does nothing then.
        drop(signal(kind));
    }
}

/// Whether the process was started so that SIGHUP does nothing, as nohup(1) starts one.
pub(crate) fn is_hangup_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// The same by `/proc/PID/status`, which has a bit for each signal from 1 on.
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
    fn a_process_that_nohup_started_is_told_from_others() {
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
