//! What to do where the kernel refuses an io_uring, or lacks a part of it.

use std::io;

use crate::setup_error::SetupError;

impl SetupError {
    pub(super) fn ring(error: io::Error) -> Self {
        let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
        let cure = ring_cure(error.raw_os_error(), disabled.as_deref().map(str::trim), &release());
        Self { step: "io_uring_setup", error, cure }
    }

    pub(super) fn buffers(error: io::Error) -> Self {
        let cure = match error.raw_os_error() {
            Some(libc::ENOMEM) => MEMORY.to_owned(),
            Some(libc::EINVAL) => too_old(&release()),
            _ => "The buffers that the kernel receives into could not be registered.".to_owned(),
        };
        Self { step: "io_uring_register (buffer ring)", error, cure }
    }

    pub(super) fn receive(error: io::Error) -> Self {
        Self { step: "io_uring multishot receive", error, cure: too_old(&release()) }
    }
}

const MEMORY: &str = "Kernel memory for the ring could not be had: raise the locked-memory limit \
    (`ulimit -l`, `LimitMEMLOCK=` in a systemd unit) or lower `runtime.workers`.";

fn ring_cure(errno: Option<i32>, disabled: Option<&str>, release: &str) -> String {
    match (errno, disabled) {
        (Some(libc::EPERM), Some("2")) => {
            "io_uring is switched off on this host (kernel.io_uring_disabled = 2): \
            `sysctl -w kernel.io_uring_disabled=0` switches it on."
                .to_owned()
        }
        (Some(libc::EPERM), Some("1")) => {
            "io_uring is kept for a group on this host (kernel.io_uring_disabled = 1): \
            run as a member of the group in kernel.io_uring_group, with CAP_SYS_ADMIN, or \
            `sysctl -w kernel.io_uring_disabled=0`."
                .to_owned()
        }
        (Some(libc::EPERM | libc::EACCES), _) => {
            "A seccomp profile forbids io_uring, as the default ones of Docker \
            and containerd do: allow io_uring_setup, io_uring_enter and io_uring_register in the container's \
            profile, or try `--security-opt seccomp=unconfined`."
                .to_owned()
        }
        (Some(libc::ENOSYS), _) => format!(
            "This kernel ({release}) has no io_uring, or a seccomp profile hides it; rondel needs Linux 6.1 or later \
             with CONFIG_IO_URING."
        ),
        (Some(libc::EINVAL), _) => too_old(release),
        (Some(libc::ENOMEM), _) => MEMORY.to_owned(),
        (Some(libc::EMFILE | libc::ENFILE), _) => {
            "No file descriptor is left for the ring: raise the open-file limit (`ulimit -n`).".to_owned()
        }
        _ => "The kernel gave no reason that rondel knows.".to_owned(),
    }
}

fn too_old(release: &str) -> String {
    format!("This kernel ({release}) lacks what rondel needs of io_uring; Linux 6.1 or later has it.")
}

fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::ring_cure;

    #[test]
    fn the_cure_names_the_cause() {
        check(libc::EPERM, Some("2"), "sysctl -w kernel.io_uring_disabled=0");
        check(libc::EPERM, Some("1"), "kernel.io_uring_group");
        check(libc::EPERM, Some("0"), "seccomp");
        check(libc::EPERM, None, "seccomp");
        check(libc::ENOSYS, None, "(5.15.0) has no io_uring");
        check(libc::EINVAL, Some("0"), "Linux 6.1 or later");
        check(libc::ENOMEM, Some("0"), "ulimit -l");
        check(libc::EMFILE, Some("0"), "ulimit -n");
    }

    #[track_caller]
    fn check(errno: i32, disabled: Option<&str>, names: &str) {
        let cure = ring_cure(Some(errno), disabled, "5.15.0");
        assert!(cure.contains(names), "{cure}");
    }
}
