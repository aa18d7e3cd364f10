//! Resources of the process: CPUs, descriptors, memory, and limits of the kernel.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use config::Config;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

/// The resources at start. A value that cannot be read counts as no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The CPUs of the process's affinity mask, at least one.
    pub cpus: Vec<usize>,
    /// The limit of open descriptors.
    pub descriptors_max: u64,
    /// How many pages the pipes of one user may have before new pipes are made small (`fs.pipe-user-pages-soft`,
    /// pipe(7)); 0 is no limit.
    pub pipe_pages_max: u64,
    /// The limit of a listener's backlog (`net.core.somaxconn`).
    pub backlog_max: u32,
    /// Whether the process can use IPv6. It is determined once, so that the meaning of an address does not change
    /// while the process runs.
    pub ipv6: bool,
    /// How many bytes of memory the process may still allocate, by its limits of data and of address space.
    pub memory_left: u64,
}

impl Host {
    /// Raises the limit of descriptors to the hard limit, and reads the rest.
    ///
    /// # Errors
    ///
    /// The CPU affinity cannot be read.
    pub fn prepare() -> io::Result<Self> {
        Ok(Self {
            cpus: cpus()?,
            descriptors_max: raise_descriptors_max(),
            pipe_pages_max: sysctl("/proc/sys/fs/pipe-user-pages-soft").unwrap_or(0),
            backlog_max: sysctl("/proc/sys/net/core/somaxconn").unwrap_or(u32::MAX),
            ipv6: has_ipv6(),
            memory_left: memory_left(),
        })
    }

    /// Adapts `config` to this host: without IPv6, an address that is only a port becomes the IPv4 wildcard. An
    /// address that systemd `passed` a socket for is left as it is.
    pub fn adapt(&self, config: Config, passed: impl Fn(SocketAddr) -> bool) -> Config {
        if self.ipv6 { config } else { config.without_ipv6(passed) }
    }
}

/// A kernel without IPv6, and a filter such as `RestrictAddressFamilies=`, refuse the socket. If IPv6 is only
/// disabled by `net.ipv6.conf.all.disable_ipv6`, the socket can be opened, and `[::]` accepts IPv4.
fn has_ipv6() -> bool {
    let socket =
        socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP));
    socket.err() != Some(Errno::AFNOSUPPORT)
}

/// Whether this host has an address; `None` if that cannot be determined.
///
/// Binding the address is no substitute: with `net.ipv4.ip_nonlocal_bind`, as on hosts with a virtual address,
/// every bind succeeds.
pub fn holds(ip: IpAddr) -> Option<bool> {
    match ip {
        IpAddr::V4(ip) => {
            let socket =
                socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(ipproto::UDP))
                    .ok()?;
            // The kernel looks up the interface with the address.
            match sockopt::set_ip_multicast_if(&socket, &ip) {
                Ok(()) => Some(true),
                Err(Errno::ADDRNOTAVAIL) => Some(false),
                Err(_) => None,
            }
        }
        IpAddr::V6(ip) => Some(listed(&fs::read_to_string("/proc/net/if_inet6").ok()?, ip)),
    }
}

/// Whether a usable entry of the IPv6 address table has this address. The fields are address, interface, length,
/// scope, flags and name.
fn listed(table: &str, ip: Ipv6Addr) -> bool {
    let address = format!("{:032x}", u128::from(ip));
    table.lines().any(|line| {
        let mut fields = line.split_whitespace();
        let flags = |fields: &mut std::str::SplitWhitespace<'_>| u32::from_str_radix(fields.nth(3)?, 16).ok();
        fields.next() == Some(&address) && flags(&mut fields).is_some_and(|flags| flags & UNUSABLE == 0)
    })
}

/// `IFA_F_TENTATIVE` and `IFA_F_DADFAILED`: duplicate address detection has not finished, or found a duplicate.
const UNUSABLE: u32 = 0x40 | 0x08;

/// `RLIMIT_DATA` and `RLIMIT_AS`, less what the process uses.
fn memory_left() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Vec<u64> = pages.split_whitespace().filter_map(|pages| pages.parse().ok()).collect();
    let taken = |field: usize| pages.get(field).map_or(0, |pages| pages * rustix::param::page_size() as u64);
    let left =
        |limit, taken: u64| getrlimit(limit).current.map_or(u64::MAX, |limit| limit.saturating_sub(taken));
    // Field 0 is the total size, field 5 is data and stack: proc(5).
    left(Resource::As, taken(0)).min(left(Resource::Data, taken(5)))
}

fn cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// The soft limit is 1024 by default, for programs that use select(2). Other programs are expected to raise it.
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
    use super::{Host, holds, listed};

    #[test]
    fn addresses_of_the_host_are_recognized() {
        for (ip, held) in [("127.0.0.1", true), ("127.9.8.7", true), ("192.0.2.1", false)] {
            assert_eq!(holds(ip.parse().unwrap()), Some(held), "{ip}");
        }
        let table = "\
20010db8000000000000000000000001 02 40 00 80     eth0
20010db8000000000000000000000002 02 40 00 c0     eth0
20010db8000000000000000000000003 02 40 00 88     eth0
";
        for (ip, held) in
            [("2001:db8::1", true), ("2001:db8::2", false), ("2001:db8::3", false), ("::1", false)]
        {
            assert_eq!(listed(table, ip.parse().unwrap()), held, "{ip}");
        }
    }

    #[test]
    fn every_host_has_cpus_and_descriptors() {
        let host = Host::prepare().unwrap();
        assert!(!host.cpus.is_empty());
        assert!(host.descriptors_max > 0);
        assert!(host.backlog_max > 0);
    }
}
