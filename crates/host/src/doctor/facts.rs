//! Facts about a host: read from the kernel and from files, or found by binding addresses and asking backends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{AdminSocket, AdminToken, Config, LogTarget, TokenError, Warning};
use driver::{Uring, Waker};
use rustix::fs::Access;
use rustix::process::geteuid;

use super::Request;
use super::asking::{self, Asked, BackendIndex};
use super::certificates;
use super::probes::{self, ProbeFact};
use super::user::{User, run_as};
use crate::limits::{Host, holds, sysctl};
use crate::own;
use crate::sizing::{Sizes, TooLittle};
use crate::sockets;

/// Facts about a host, as far as a configuration needs them.
#[derive(Debug)]
pub(super) struct HostFacts {
    /// The release of the kernel.
    pub(super) release: String,
    /// Whether a ring can be created; otherwise the error and its cure.
    pub(super) ring: Result<(), (String, String)>,
    pub(super) host: Host,
    /// The number of descriptors that the admin interface may use.
    pub(super) admin_descriptors: usize,
    /// The CPU quota of the process by its cgroups, in percent of a CPU; `None` if there is no quota.
    pub(super) quota: Option<u64>,
    /// The limit of connection tracking; `None` if it is not in use.
    pub(super) conntrack_max: Option<u64>,
    /// The number of local ports for connections to one backend.
    pub(super) source_ports: u64,
    pub(super) ports: Vec<PortFact>,
    /// Source addresses of pools that the host does not hold.
    pub(super) missing_sources: BTreeSet<IpAddr>,
    /// Errors about backends that are the process itself.
    pub(super) loops: Vec<String>,
    /// Valid but suspicious settings.
    pub(super) warnings: Vec<Warning>,
    /// The user that files were read as.
    pub(super) user: UserFact,
    /// What was found as that user.
    pub(super) found: Found,
    /// The time, since 1970.
    pub(super) now: Duration,
}

/// The user that files are read as.
#[derive(Debug)]
pub(super) struct UserFact {
    /// The name, if it is not that of this process.
    pub(super) name: Option<String>,
    pub(super) is_root: bool,
}

/// Facts that depend on the user.
#[derive(Debug)]
pub(super) struct Found {
    /// Why the configuration cannot be read, if it is of another user.
    pub(super) file: Option<Result<PathBuf, String>>,
    /// What backends answer; those that were not asked, or not in time, are missing.
    pub(super) backends: BTreeMap<BackendIndex, Asked>,
    /// Local inputs of probes.
    pub(super) probes: Vec<ProbeFact>,
    /// The admin socket; `None` if it is off.
    pub(super) admin_socket: Option<AdminSocketFact>,
    /// The token of `admin.http`; `None` if clients need none.
    pub(super) token: Option<TokenFact>,
    /// The access log; `None` if it is off or goes to stderr.
    pub(super) access_log: Option<AccessLogFact>,
}

/// The address of a listener.
#[derive(Debug)]
pub(super) struct PortFact {
    pub(super) listener: String,
    pub(super) address: SocketAddr,
    /// Whether it could be bound; otherwise the error number.
    pub(super) bound: Result<(), i32>,
    /// The process that listens there, if it can be determined.
    pub(super) holder: Option<PortHolder>,
}

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortHolder {
    pub(super) pid: u32,
    pub(super) name: String,
}

/// The path of the admin socket.
#[derive(Debug)]
pub(super) struct AdminSocketFact {
    pub(super) path: PathBuf,
    /// Whether it is the default path.
    pub(super) is_default: bool,
    /// Why the socket cannot be created there.
    pub(super) error: Option<String>,
}

/// The file of the token of `admin.http`.
#[derive(Debug)]
pub(super) struct TokenFact {
    pub(super) path: PathBuf,
    /// A warning about it, or why it cannot be used.
    pub(super) read: Result<Option<Warning>, TokenError>,
}

/// The file or the socket of the access log.
#[derive(Debug)]
pub(super) struct AccessLogFact {
    /// The path, or the target as the configuration names it.
    pub(super) to: String,
    /// Why it cannot be written.
    pub(super) error: Option<String>,
}

impl HostFacts {
    /// Examines this host. It binds the listeners' addresses for a moment, and asks each backend once.
    ///
    /// # Errors
    ///
    /// There is no such user, or no runtime can be created.
    pub(super) fn collect(config: &Config, host: Host, request: &Request<'_>) -> io::Result<Self> {
        let user = request.user.map(User::find).transpose()?;
        let file = user.as_ref().and(request.file);
        Ok(Self {
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            ring: ring(),
            host,
            admin_descriptors: request.admin_descriptors,
            quota: quota(),
            conntrack_max: sysctl("/proc/sys/net/netfilter/nf_conntrack_max"),
            source_ports: source_ports(),
            ports: config
                .listen_addresses()
                .map(|(listener, address)| port(config, listener, address))
                .collect(),
            missing_sources: config
                .pools
                .iter()
                .filter_map(|pool| pool.source)
                .filter(|source| holds(*source) == Some(false))
                .collect(),
            loops: own::loops(config),
            warnings: own::warnings(config),
            found: run_as(user.as_ref(), || Found::collect(config, file))??,
            user: UserFact {
                is_root: user.as_ref().map_or(geteuid().as_raw(), |user| user.uid) == 0,
                name: user.map(|user| user.name),
            },
            now: certificates::now(),
        })
    }

    /// The sizes that `rondel run` would use.
    pub(super) fn sizes(&self, config: &Config) -> Result<Sizes, TooLittle> {
        let probes =
            config.pools.iter().filter(|pool| pool.probe.is_some()).map(|pool| pool.backends.len()).sum();
        Sizes::new(
            &config.runtime,
            config.listen_addresses().count(),
            probes,
            self.admin_descriptors,
            &self.host,
        )
    }
}

impl Found {
    fn collect(config: &Config, file: Option<&Path>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            file: file.map(|file| match rustix::fs::access(file, Access::READ_OK) {
                Ok(()) => Ok(file.to_owned()),
                Err(errno) => Err(format!("{}: {}", file.display(), io::Error::from(errno))),
            }),
            backends: runtime.block_on(asking::ask_all(config)),
            probes: runtime.block_on(probes::collect(config)),
            admin_socket: admin_socket(&config.admin.socket),
            token: config.admin.token_file.as_ref().map(|path| TokenFact {
                path: path.clone(),
                read: AdminToken::read(path).map(|(_, warning)| warning),
            }),
            access_log: config.access_log.as_ref().and_then(|log| access_log(&log.to)),
        })
    }
}

fn ring() -> Result<(), (String, String)> {
    let waker =
        Waker::new().map_err(|error| (error.to_string(), "raise the limit of open files".to_owned()))?;
    match Uring::new(BUFFERS, Arc::new([waker]), 0) {
        Ok(_) => Ok(()),
        Err(error) => Err((format!("{}: {}", error.step, error.error), error.cure)),
    }
}

/// The smallest quota of the cgroup of this process and its ancestors.
fn quota() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let files =
        Path::new(own).ancestors().map(|cgroup| Path::new("/sys/fs/cgroup").join(cgroup).join("cpu.max"));
    files.filter_map(|file| percent(&fs::read_to_string(file).ok()?)).min()
}

/// Parses `QUOTA PERIOD`, in microseconds; `None` if the quota is `max`.
fn percent(cpu_max: &str) -> Option<u64> {
    let (quota, period) = cpu_max.trim().split_once(' ')?;
    (quota.parse::<u64>().ok()? * 100).checked_div(period.parse().ok()?)
}

fn source_ports() -> u64 {
    let range: Option<String> = sysctl("/proc/sys/net/ipv4/ip_local_port_range");
    let ends: Vec<u64> =
        range.iter().flat_map(|range| range.split_whitespace()).filter_map(|end| end.parse().ok()).collect();
    match ends[..] {
        [first, last] => last.saturating_sub(first) + 1,
        _ => u64::MAX,
    }
}

fn port(config: &Config, listener: &config::Listener, address: SocketAddr) -> PortFact {
    let options = sockets::options(listener, address, &config.pools[listener.pool.0]);
    let bound = sockets::probe(options).map_err(|error| error.raw_os_error().unwrap_or(0));
    let in_use = bound == Err(rustix::io::Errno::ADDRINUSE.raw_os_error());
    PortFact {
        listener: listener.name.clone(),
        address,
        bound,
        holder: in_use.then(|| holder(address)).flatten(),
    }
}

/// The process that listens on an address, or on one that covers it, as far as this user may read it: proc(5).
fn holder(address: SocketAddr) -> Option<PortHolder> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| listening(&fs::read_to_string(table).unwrap_or_default(), address))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let mut processes =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has_it = |pid: &u32| {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        targets.any(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()))
    };
    let pid = processes.find(has_it)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(PortHolder { pid, name: name.trim().to_owned() })
}

/// The inodes of sockets that listen on `address`, or on one that covers it, in `/proc/net/tcp` or `tcp6`.
fn listening(table: &str, address: SocketAddr) -> Vec<String> {
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, "0A", _, _, _, _, _, inode, ..] = fields[..] else { return None };
        sockets::overlap(address, local_address(local)?).then(|| inode.to_owned())
    };
    table.lines().filter_map(inode).collect()
}

/// Parses an address of that table: 32-bit words in the byte order of the host, and the port.
fn local_address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let word =
        |at: usize| Some(u32::from_str_radix(words.get(8 * at..8 * (at + 1))?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = if words.len() == 8 {
        word(0)?.into()
    } else {
        let words: [[u8; 4]; 4] = [word(0)?, word(1)?, word(2)?, word(3)?];
        <[u8; 16]>::try_from(words.as_flattened()).ok()?.into()
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

fn admin_socket(socket: &AdminSocket) -> Option<AdminSocketFact> {
    let (path, is_default) = match socket {
        AdminSocket::Off => return None,
        AdminSocket::Auto => (Path::new(config::ADMIN_SOCKET_DEFAULT), true),
        AdminSocket::At(path) => (path.as_path(), false),
    };
    let directory = path.parent().unwrap_or(Path::new("/"));
    // `rondel run` creates the default directory.
    let directory =
        if is_default && !directory.exists() { directory.parent().unwrap_or(directory) } else { directory };
    let error = rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK).err();
    Some(AdminSocketFact {
        path: path.to_owned(),
        is_default,
        error: error.map(|errno| format!("{}: {}", directory.display(), io::Error::from(errno))),
    })
}

/// Why datagrams cannot be sent to a server. Nothing is sent for this.
fn no_route(server: SocketAddr) -> Option<io::Error> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(server)).err()
}

fn access_log(to: &LogTarget) -> Option<AccessLogFact> {
    let (path, written) = match to {
        LogTarget::Stderr => return None,
        LogTarget::SyslogUdp(server) => {
            return Some(AccessLogFact {
                to: to.to_string(),
                error: no_route(*server).map(|error| error.to_string()),
            });
        }
        LogTarget::Syslog(path) => (path, path.as_path()),
        // A missing file is created.
        LogTarget::File(path) if path.exists() => (path, path.as_path()),
        LogTarget::File(path) => (path, path.parent().unwrap_or(Path::new("/"))),
    };
    let error = rustix::fs::access(written, Access::WRITE_OK).err();
    Some(AccessLogFact {
        to: path.display().to_string(),
        error: error.map(|errno| {
            let error = io::Error::from(errno);
            if written == path { error.to_string() } else { format!("{}: {error}", written.display()) }
        }),
    })
}

/// Receive buffers of the test ring: as many as a small worker has.
const BUFFERS: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::{holder, listening, percent};

    #[test]
    fn quotas_are_read_as_percent_of_a_cpu() {
        assert_eq!(percent("max 100000\n"), None);
        assert_eq!(percent("150000 100000\n"), Some(150));
        assert_eq!(percent("50000 0\n"), None);
        assert_eq!(percent(""), None);
    }

    #[test]
    fn only_listening_sockets_hold_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0\n\
            1: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0\n\
            2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0\n";
        check(table, "127.0.0.1:8080", &["11"]);
        check(table, "127.0.0.2:8080", &[]);
        check(table, "0.0.0.0:8080", &["11"]);
        let table = "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A \
            00000000:00000000 00:00000000 00000000     0        0 21 1 0 100 0 0 10 0\n";
        check(table, "[::1]:8080", &["21"]);
        check(table, "[::2]:8080", &[]);
    }

    #[track_caller]
    fn check(table: &str, address: &str, inodes: &[&str]) {
        // The tables above are those of a little-endian host.
        if cfg!(target_endian = "little") {
            assert_eq!(listening(table, address.parse().unwrap()), inodes, "{address}");
        }
    }

    #[test]
    fn the_holder_of_a_port_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = holder(socket.local_addr().unwrap()).unwrap();
        assert_eq!(found.pid, std::process::id());
    }
}
