//! The peers. How each is configured and started is in its own file.

mod forwarders;
mod haproxy;
mod kernel;
mod nginx;
mod rondel;

use std::env;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use clap::ValueEnum;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::namespace::Namespace;
use crate::process::{self, Cores, Place, Process};
use crate::workshop::Workshop;

/// A program between clients and backends; in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Peer {
    /// None: clients connect to a backend.
    Direct,
    /// NAT in the kernel: the minimal cost of forwarding.
    Kernel,
    /// HAProxy.
    Haproxy,
    /// HAProxy with splice(2).
    HaproxySplice,
    /// The stream module of nginx.
    Nginx,
    /// A plain forwarder on tokio.
    Tokio,
    /// The same on tokio-uring.
    TokioUring,
    /// Rondel.
    Rondel,
    /// The previous revision of rondel: the program named by [`BEFORE`], to compare two revisions in one run.
    RondelBefore,
}

/// The environment variable with the path of a `rondel` binary of another revision.
const BEFORE: &str = "RONDEL_BEFORE";

/// The rivals of rondel.
pub(crate) const RIVALS: [Peer; 3] = [Peer::Haproxy, Peer::HaproxySplice, Peer::Nginx];

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Kernel => "kernel",
            Self::Haproxy => "haproxy",
            Self::HaproxySplice => "haproxy-splice",
            Self::Nginx => "nginx",
            Self::Tokio => "tokio",
            Self::TokioUring => "tokio-uring",
            Self::Rondel => "rondel",
            Self::RondelBefore => "rondel-before",
        }
    }

    /// Whether it takes part by default.
    pub(crate) fn is_usual(self) -> bool {
        self != Self::RondelBefore || self.missing().is_none()
    }

    /// Why it cannot take part, if it cannot.
    pub(crate) fn missing(self) -> Option<&'static str> {
        match self {
            Self::Kernel if !rustix::process::geteuid().is_root() => {
                Some("needs root for a network namespace")
            }
            Self::Kernel if !process::is_installed("ip") => Some("ip is not installed (Debian: iproute2)"),
            Self::Kernel if !process::is_installed("nft") => Some("nft is not installed (Debian: nftables)"),
            Self::Haproxy | Self::HaproxySplice if !process::is_installed("haproxy") => {
                Some("haproxy is not installed (Debian: haproxy)")
            }
            Self::Nginx if !nginx::has_stream() => {
                Some("nginx has no stream module (Debian: libnginx-mod-stream)")
            }
            Self::RondelBefore if env::var_os(BEFORE).is_none() => {
                Some("RONDEL_BEFORE names no program of another revision")
            }
            _ => None,
        }
    }

    /// Starts it, and returns when it serves.
    pub(crate) fn start(self, workshop: &Workshop, task: &Task<'_>) -> io::Result<Stand> {
        let address = task.address;
        process::wait_until_free(address)?;
        let process = match self {
            Self::Direct => return Ok(Stand { address: task.backends[0], process: None, namespace: None }),
            Self::Kernel => {
                let namespace = task.namespace.expect("a task of this peer has one");
                kernel::start(workshop, namespace, task)?;
                return Ok(Stand { address, process: None, namespace: Some(namespace.name().to_owned()) });
            }
            Self::Haproxy => haproxy::start(workshop, task, haproxy::Splice::No)?,
            Self::HaproxySplice => haproxy::start(workshop, task, haproxy::Splice::Auto)?,
            Self::Nginx => nginx::start(workshop, task)?,
            Self::Tokio => forwarders::start(workshop, task, "forward-tokio")?,
            Self::TokioUring => forwarders::start(workshop, task, "forward-tokio-uring")?,
            Self::Rondel => rondel::start(workshop, task, &workshop.program("rondel"))?,
            Self::RondelBefore => {
                rondel::start(workshop, task, &env::var(BEFORE).map_err(io::Error::other)?)?
            }
        };
        process.wait_until_listening(address)?;
        Ok(Stand { address, process: Some(process), namespace: None })
    }

    /// Tells a running peer to read its configuration again, the `number`th time; or, if `told` is false, does
    /// everything this takes except telling it.
    pub(crate) fn reload(
        self,
        workshop: &Workshop,
        task: &Task<'_>,
        process: &Process,
        number: u32,
        told: bool,
    ) -> io::Result<()> {
        match self {
            Self::Rondel | Self::RondelBefore => rondel::reload(workshop, task, process, number, told),
            _ if !told => Ok(()),
            Self::Haproxy => process.signal(Signal::USR2),
            _ => process.signal(Signal::HUP),
        }
    }

    /// The number of reloads a peer has completed, and of those it rejected, by its output.
    pub(crate) fn reloads_done(self, process: &Process) -> Option<Reloads> {
        matches!(self, Self::Rondel | Self::RondelBefore).then(|| rondel::reloads_done(&process.log()))
    }
}

/// The results of the requested reloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reloads {
    /// The new table is in place.
    pub(crate) done: u32,
    /// The old one stayed.
    pub(crate) refused: u32,
}

/// The task of a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'a> {
    /// The address it listens on.
    pub(crate) address: SocketAddr,
    /// The backends, used in turn.
    pub(crate) backends: &'a [SocketAddr],
    /// Threads or processes that do the work.
    pub(crate) workers: u32,
    /// Where they run.
    pub(crate) cores: Cores,
    /// Whether it will be told to reload.
    pub(crate) reloads: bool,
    /// Its monitoring.
    pub(crate) watch: Watch,
    /// Its rules about the addresses of clients.
    pub(crate) guard: Guard,
    /// For those that run in one.
    pub(crate) namespace: Option<&'a Namespace>,
}

/// The monitoring of a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// The default.
    Default,
    /// None.
    Nothing,
    /// Metrics, and an access log to a file.
    Everything,
}

/// The rules of a balancer about the addresses of clients. They refuse none that the benchmark makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// None.
    None,
    /// The prefixes of [`denied`] are denied.
    Prefixes,
    /// The connections of each source are counted.
    Limits,
}

/// 100 000 prefixes of 10.0.0.0/8, a line each: no two are neighbours, so that none can be joined.
pub(crate) fn denied() -> String {
    let networks = (0_u32..100_000).map(|number| (10 << 24) + number * 160);
    let lines: Vec<_> = networks.map(|network| format!("{}/28", Ipv4Addr::from(network))).collect();
    lines.join("\n")
}

/// How many connections a source may have, where they are counted: more than a case makes.
pub(crate) const SOURCE_CONNECTIONS_MAX: u32 = 60_000;

impl Task<'_> {
    /// The metrics address of a balancer with monitoring.
    pub(crate) fn metrics(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.address.port() + 100)
    }

    fn place(&self) -> Place<'static> {
        Place::here(self.cores)
    }
}

/// A running peer. It ends with this value.
#[derive(Debug)]
pub(crate) struct Stand {
    /// The address for clients.
    pub(crate) address: SocketAddr,
    /// Its first process, if it has any.
    pub(crate) process: Option<Process>,
    /// The network namespace of clients, if it is another one.
    pub(crate) namespace: Option<String>,
}

impl Stand {
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Where its clients run.
    pub(crate) fn clients(&self, cores: Cores) -> Place<'_> {
        Place { cores, namespace: self.namespace.as_deref() }
    }
}

/// The accept queue that all balancers request; the kernel clips it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// More than any case needs.
const CONNECTIONS_MAX: u32 = 6000;
