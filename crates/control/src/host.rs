//! What this host gives the process: CPUs, descriptors, and the kernel's bounds.

use std::fs;
use std::io;
use std::str::FromStr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

/// What was found at start. A value that cannot be read is taken as no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// The CPUs of the process's affinity mask, at least one.
    pub(crate) cpus: Vec<usize>,
    /// How many descriptors the process may have.
    pub(crate) descriptors_max: u64,
    /// How many pages the pipes of one user may have before the kernel gives it small ones
    /// (`fs.pipe-user-pages-soft`, pipe(7)); 0 is no bound.
    pub(crate) pipe_pages_max: u64,
    /// The bound of every listener's backlog (`net.core.somaxconn`).
    pub(crate) backlog_max: u32,
}

impl Host {
    /// Raises the limit of descriptors as far as it goes, and looks at the rest.
    pub(crate) fn prepare() -> io::Result<Self> {
        Ok(Self {
            cpus: cpus()?,
            descriptors_max: raise_descriptors_max(),
            pipe_pages_max: sysctl("/proc/sys/fs/pipe-user-pages-soft").unwrap_or(0),
            backlog_max: sysctl("/proc/sys/net/core/somaxconn").unwrap_or(u32::MAX),
        })
    }
}

fn cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// The soft limit is low (1024) for the sake of programs that use select(2); it is for others to raise it.
fn raise_descriptors_max() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!("the soft limit of open files stays at {:?}: {error}", limit.current);
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

pub(crate) fn sysctl<T: FromStr>(path: &str) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn finds_something_to_run_on() {
        let host = Host::prepare().unwrap();
        assert!(!host.cpus.is_empty());
        assert!(host.descriptors_max > 0);
        assert!(host.backlog_max > 0);
    }
}
