//! What is known of a host: read from the kernel, tried, or asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use config::{AdminSocket, Config, LogTarget, Warning};
use driver::{ConnectOptions, Uring, Waker, is_its_own_peer};
use rustix::fs::Access;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::probes::{self, ProbeFact};
use crate::limits::{Host, holds, sysctl};
use crate::{own, sockets};

/// What is known of a host, as far as a config asks for it.
#[derive(Debug)]
pub(super) struct HostFacts {
    /// The release of the kernel.
    pub(super) release: String,
    /// Whether a ring can be had; otherwise what happened, and what to do.
    pub(super) ring: Result<(), (String, String)>,
    pub(super) host: Host,
    /// How many descriptors the admin interface may use.
    pub(super) admin_descriptors: usize,
    /// What the cgroups of the process give it, in hundredths of a CPU; none is no bound.
    pub(super) quota: Option<u64>,
    /// Connections that the firewall can remember; none where it remembers none.
    pub(super) conntrack_max: Option<u64>,
    /// Ports that connections to one backend may have on this side.
    pub(super) source_ports: u64,
    pub(super) ports: Vec<PortFact>,
    /// By address, and by the address to connect from, whether it takes connections. Those beyond [`BACKENDS_MAX`] are not in it.
    pub(super) backends: BTreeMap<Way, Result<(), String>>,
    /// The addresses to connect from that the host does not hold.
    pub(super) missing_sources: BTreeSet<IpAddr>,
    /// What is wrong with backends that are the process itself.
    pub(super) loops: Vec<String>,
    /// What is likely to be meant otherwise.
    pub(super) warnings: Vec<Warning>,
    /// What probes read on this host.
    pub(super) probes: Vec<ProbeFact>,
    /// Where the admin socket is to be; none where it is off.
    pub(super) admin_folder: Option<AdminFolder>,
    /// Where the access log is to be; none where it is off, or on stderr.
    pub(super) access_log: Option<AccessLogPlace>,
}

/// The address of a backend, and the one to connect from; none lets the kernel choose.
pub(super) type Way = (SocketAddr, Option<IpAddr>);

/// An address that a listener is to have.
#[derive(Debug)]
pub(super) struct PortFact {
    pub(super) listener: String,
    pub(super) address: SocketAddr,
    /// Whether it could be bound, or the number of the error.
    pub(super) bound: Result<(), i32>,
    /// Who listens there already, if that can be seen.
    pub(super) holder: Option<Holder>,
}

/// A process that has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) name: String,
}

/// The folder of the admin socket.
#[derive(Debug)]
pub(super) struct AdminFolder {
    pub(super) socket: PathBuf,
    /// Whether nobody asked for this path.
    pub(super) is_default: bool,
    /// Why no socket can be made there.
    pub(super) error: Option<String>,
}

/// The file or the socket of the access log.
#[derive(Debug)]
pub(super) struct AccessLogPlace {
    pub(super) path: PathBuf,
    /// Why it cannot be written.
    pub(super) error: Option<String>,
}

impl HostFacts {
    /// Looks at this host. It binds addresses for a moment, and connects to each backend once.
    ///
    /// # Errors
    ///
    /// There is no runtime to connect with.
    pub(super) fn read(config: &Config, host: Host, admin_descriptors: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            ring: ring(),
            host,
            admin_descriptors,
            quota: quota(),
            conntrack_max: sysctl("/proc/sys/net/netfilter/nf_conntrack_max"),
            source_ports: source_ports(),
            ports: config.listeners.iter().map(|listener| port(config, listener)).collect(),
            backends: runtime.block_on(reach(config)),
            missing_sources: config
                .pools
                .iter()
                .filter_map(|pool| pool.source)
                .filter(|source| holds(*source) == Some(false))
                .collect(),
            loops: own::loops(config),
            warnings: own::warnings(config),
            probes: runtime.block_on(probes::read(config)),
            admin_folder: admin_folder(&config.admin.socket),
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

/// The least that a cgroup of this process, or one around it, gives.
fn quota() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let around =
        Path::new(own).ancestors().map(|cgroup| Path::new("/sys/fs/cgroup").join(cgroup).join("cpu.max"));
    around.filter_map(|file| percent(&fs::read_to_string(file).ok()?)).min()
}

/// Of `QUOTA PERIOD`, in microseconds; none where the quota is `max`.
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

fn port(config: &Config, listener: &config::Listener) -> PortFact {
    let options = sockets::options(listener, &config.pools[listener.pool.0]);
    let bound = sockets::probe(options).map_err(|error| error.raw_os_error().unwrap_or(0));
    let taken = bound == Err(rustix::io::Errno::ADDRINUSE.raw_os_error());
    PortFact {
        listener: listener.name.clone(),
        address: listener.address,
        bound,
        holder: taken.then(|| holder(listener.address)).flatten(),
    }
}

/// Who listens at an address, or at one that covers it, as far as this user may know: proc(5).
fn holder(address: SocketAddr) -> Option<Holder> {
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
    Some(Holder { pid, name: name.trim().to_owned() })
}

/// The inodes of sockets that listen at `address`, or at one that covers it, in a table of proc(5).
fn listening(table: &str, address: SocketAddr) -> Vec<String> {
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, "0A", _, _, _, _, _, inode, ..] = fields[..] else { return None };
        sockets::overlap(address, local_address(local)?).then(|| inode.to_owned())
    };
    table.lines().filter_map(inode).collect()
}

/// An address as the kernel writes it there: words of the address in the order of this host's bytes, and the port.
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

/// Connects to each backend once, as its pool does, some at a time.
async fn reach(config: &Config) -> BTreeMap<Way, Result<(), String>> {
    let limit = Arc::new(Semaphore::new(CONNECTS_MAX));
    let mut connects = JoinSet::new();
    let backends =
        config.pools.iter().flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)));
    for (pool, backend) in backends.take(BACKENDS_MAX) {
        let (way, patience) = ((backend.address, pool.source), pool.connect_timeout.min(CONNECT_TIME_MAX));
        let limit = Arc::clone(&limit);
        connects.spawn(async move {
            let _place = limit.acquire().await;
            let reached = match timeout(patience, connect(way)).await {
                // Where nothing listens on this host, the kernel may connect a socket to itself.
                Ok(Ok(stream)) if is_its_own_peer(&stream, way.0).unwrap_or(false) => {
                    Err(io::Error::from(io::ErrorKind::ConnectionRefused).to_string())
                }
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {}", config::show_duration(patience))),
            };
            (way, reached)
        });
    }
    connects.join_all().await.into_iter().collect()
}

async fn connect((to, source): Way) -> io::Result<TcpStream> {
    let socket = driver::open(&ConnectOptions { to, source, hold_ack: false }).map_err(io::Error::from)?;
    TcpSocket::from_std_stream(socket.into()).connect(to).await
}

fn admin_folder(socket: &AdminSocket) -> Option<AdminFolder> {
    let (socket, is_default) = match socket {
        AdminSocket::Off => return None,
        AdminSocket::Auto => (Path::new(config::ADMIN_SOCKET_DEFAULT), true),
        AdminSocket::At(path) => (path.as_path(), false),
    };
    let folder = socket.parent().unwrap_or(Path::new("/"));
    // The usual folder is made where there is none.
    let folder = if is_default && !folder.exists() { folder.parent().unwrap_or(folder) } else { folder };
    let error = rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).err();
    Some(AdminFolder {
        socket: socket.to_owned(),
        is_default,
        error: error.map(|errno| format!("{}: {}", folder.display(), io::Error::from(errno))),
    })
}

fn access_log(to: &LogTarget) -> Option<AccessLogPlace> {
    let (path, written) = match to {
        LogTarget::Stderr => return None,
        LogTarget::Syslog(path) => (path, path.as_path()),
        // A file that is not there yet is made.
        LogTarget::File(path) if path.exists() => (path, path.as_path()),
        LogTarget::File(path) => (path, path.parent().unwrap_or(Path::new("/"))),
    };
    let error = rustix::fs::access(written, Access::WRITE_OK).err();
    Some(AccessLogPlace {
        path: path.clone(),
        error: error.map(|errno| format!("{}: {}", written.display(), io::Error::from(errno))),
    })
}

/// Receive buffers of the ring that is tried: as many as a small worker has.
const BUFFERS: u32 = 1024;

/// Backends that are connected to: of more, nobody reads the list.
pub(super) const BACKENDS_MAX: usize = 256;

/// Connects at a time.
const CONNECTS_MAX: usize = 32;

/// How long a connect may take, whatever `connect_timeout` says.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::{holder, listening, percent};

    #[test]
    fn quotas_are_read_as_hundredths_of_a_cpu() {
        assert_eq!(percent("max 100000\n"), None);
        assert_eq!(percent("150000 100000\n"), Some(150));
        assert_eq!(percent("50000 0\n"), None);
        assert_eq!(percent(""), None);
    }

    #[test]
    fn only_who_listens_holds_a_port() {
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
        // What is read is written by a host of this order of bytes.
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
