//! What this host gives the process: CPUs, descriptors, and the kernel's bounds.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::{fs, io};

use config::Config;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

/// What was found at start. A value that cannot be read is taken as no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The CPUs of the process's affinity mask, at least one.
    pub cpus: Vec<usize>,
    /// How many descriptors the process may have.
    pub descriptors_max: u64,
    /// How many pages the pipes of one user may have before the kernel gives it small ones
    /// (`fs.pipe-user-pages-soft`, pipe(7)); 0 is no bound.
    pub pipe_pages_max: u64,
    /// The bound of every listener's backlog (`net.core.somaxconn`).
    pub backlog_max: u32,
    /// Whether it has IPv6, and lets the process use it. It is looked at once: what an address means does not change while
    /// the process runs.
    pub ipv6: bool,
    /// How many bytes of memory the process may take yet, by its limits of data and of address space.
    pub memory_left: u64,
}

impl Host {
    /// Raises the limit of descriptors as far as it goes, and looks at the rest.
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

    /// What `config` means on this host: a port alone is every address that the host has. An address that is `passed` on by
    /// systemd needs no socket of that family.
    pub fn adapt(&self, config: Config, passed: impl Fn(SocketAddr) -> bool) -> Config {
        if self.ipv6 { config } else { config.without_ipv6(passed) }
    }
}

/// A kernel without IPv6, and a filter such as `RestrictAddressFamilies=`, refuse the socket. Where IPv6 is only switched off by
/// `net.ipv6.conf.all.disable_ipv6`, there is the socket, and `[::]` takes IPv4.
fn has_ipv6() -> bool {
    let socket =
        socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP));
    socket.err() != Some(Errno::AFNOSUPPORT)
}

/// Whether this host holds an address; none if that cannot be found out.
///
/// To bind the address would tell as well, but not where `net.ipv4.ip_nonlocal_bind` allows every address, as hosts with a virtual one have
/// it.
pub fn holds(ip: IpAddr) -> Option<bool> {
    match ip {
        IpAddr::V4(ip) => {
            let socket =
                socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(ipproto::UDP))
                    .ok()?;
            // The kernel looks for the interface that has the address.
            match sockopt::set_ip_multicast_if(&socket, &ip) {
                Ok(()) => Some(true),
                Err(Errno::ADDRNOTAVAIL) => Some(false),
                Err(_) => None,
            }
        }
        IpAddr::V6(ip) => Some(listed(&fs::read_to_string("/proc/net/if_inet6").ok()?, ip)),
    }
}

/// Whether the table of IPv6 addresses has this one, in use: address, interface, length, scope, flags, name.
fn listed(table: &str, ip: Ipv6Addr) -> bool {
    let address = format!("{:032x}", u128::from(ip));
    table.lines().any(|line| {
        let mut fields = line.split_whitespace();
        let flags = |fields: &mut std::str::SplitWhitespace<'_>| u32::from_str_radix(fields.nth(3)?, 16).ok();
        fields.next() == Some(&address) && flags(&mut fields).is_some_and(|flags| flags & UNUSABLE == 0)
    })
}

/// `IFA_F_TENTATIVE` and `IFA_F_DADFAILED`: it is not known yet, or known not to be so, that no other host has the address.
const UNUSABLE: u32 = 0x40 | 0x08;

/// By `RLIMIT_DATA` and `RLIMIT_AS`, less what the process has.
fn memory_left() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Vec<u64> = pages.split_whitespace().filter_map(|pages| pages.parse().ok()).collect();
    let taken = |field: usize| pages.get(field).map_or(0, |pages| pages * rustix::param::page_size() as u64);
    let left =
        |limit, taken: u64| getrlimit(limit).current.map_or(u64::MAX, |limit| limit.saturating_sub(taken));
    // All of it, and what is data and stack.
    left(Resource::As, taken(0)).min(left(Resource::Data, taken(5)))
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
    use super::{Host, holds, listed};

    #[test]
    fn it_is_known_which_addresses_the_host_holds() {
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
    fn finds_something_to_run_on() {
        let host = Host::prepare().unwrap();
        assert!(!host.cpus.is_empty());
        assert!(host.descriptors_max > 0);
        assert!(host.backlog_max > 0);
    }
}
