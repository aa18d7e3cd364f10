//! Findings about the kernel and the limits of the process.

use config::{Config, counted};

use super::facts::HostFacts;
use super::finding::{Finding, KERNEL, Level, RUNTIME, finding, ok};
use crate::bind_error::NO_IPV6;
use crate::sizing::{Sizes, TooLittle};

pub(super) fn assess(config: &Config, facts: &HostFacts) -> Vec<Finding> {
    let sizes = facts.sizes(config);
    let mut findings = vec![kernel(&facts.release), ring(facts), files(&sizes, facts)];
    findings.extend(memory(&sizes));
    findings.push(cpus(&sizes, facts));
    findings.extend(conntrack(&sizes, facts));
    findings.push(pipes(&sizes));
    findings.push(backlogs(config, facts));
    findings.extend(ipv6(config, facts));
    findings
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= KERNEL_MIN {
        return ok("kernel", format!("Linux {release}"));
    }
    // Only a warning, because features may be backported: creating the ring shows whether it works.
    let (major, minor) = KERNEL_MIN;
    finding(
        Level::Warn,
        "kernel",
        format!("Linux {release}"),
        format!("rondel needs Linux {major}.{minor} or later"),
    )
}

fn ring(facts: &HostFacts) -> Finding {
    match &facts.ring {
        Ok(()) => ok("io_uring", "a ring and its buffers can be created"),
        Err((found, cure)) => finding(Level::Fail, "io_uring", found, cure).exits(KERNEL),
    }
}

fn files(sizes: &Result<Sizes, TooLittle>, facts: &HostFacts) -> Finding {
    let limit = facts.host.descriptors_max;
    let raise = "raise the limit: `LimitNOFILE=` in the unit, or `ulimit -n`";
    match sizes {
        Err(TooLittle::Descriptors { .. }) => {
            finding(Level::Fail, "open files", format!("the limit of {limit} allows no connection"), raise)
                .exits(RUNTIME)
        }
        Err(TooLittle::Memory { .. }) => ok("open files", format!("the limit is {limit}")),
        Ok(Sizes { clipped_from: Some(wanted), connections_max, .. }) => finding(
            Level::Warn,
            "open files",
            format!(
                "the limit of {limit} allows {connections_max} of {} of `runtime.max_connections`",
                counted(*wanted, "connection")
            ),
            raise,
        )
        .starts(format!("accepts {connections_max} at a time")),
        Ok(sizes) => ok(
            "open files",
            format!("the limit of {limit} is enough for {}", counted(sizes.connections_max, "connection")),
        ),
    }
}

fn memory(sizes: &Result<Sizes, TooLittle>) -> Option<Finding> {
    let Err(TooLittle::Memory { left, needed }) = sizes else { return None };
    let found =
        format!("the limit leaves {} MiB, and the workers need {} MiB", left >> 20, needed.div_ceil(1 << 20));
    let cure = "raise `LimitDATA=` and `LimitAS=` in the unit, or lower `runtime.max_connections` or `runtime.workers`";
    Some(finding(Level::Fail, "memory", found, cure).exits(RUNTIME))
}

fn cpus(sizes: &Result<Sizes, TooLittle>, facts: &HostFacts) -> Finding {
    let available = facts.host.cpus.len();
    let workers = sizes.as_ref().map_or(available, |sizes| sizes.cpus.len());
    if workers > available {
        return finding(
            Level::Warn,
            "cpus",
            format!("{workers} workers share {}, and are not pinned", counted(available, "CPU")),
            "set `workers: auto` in `runtime`, or give the process more CPUs",
        );
    }
    match facts.quota {
        Some(percent) if percent < 100 * u64::try_from(workers).unwrap_or(u64::MAX) => finding(
            Level::Warn,
            "cpus",
            format!(
                "{}, and a cgroup quota of {percent} % of a CPU: when it is used up, every connection stalls until \
                 the next period",
                counted(workers, "worker")
            ),
            "raise the quota to one CPU per worker (`CPUQuota=`, or the container's limit), or lower `runtime.workers`",
        ),
        _ => ok("cpus", format!("{} on {}", counted(workers, "worker"), counted(available, "CPU"))),
    }
}

fn conntrack(sizes: &Result<Sizes, TooLittle>, facts: &HostFacts) -> Option<Finding> {
    let entries = facts.conntrack_max?;
    let connections = sizes.as_ref().map_or(0, |sizes| sizes.connections_max);
    // One entry for the client's side of a connection, one for the backend's.
    let needed = 2 * u64::from(connections);
    Some(if entries >= needed {
        ok(
            "nf_conntrack_max",
            format!("{entries} entries are enough for {}", counted(connections, "connection")),
        )
    } else {
        finding(
            Level::Warn,
            "nf_conntrack_max",
            format!(
                "{entries} entries for {}, which need {needed}: when the table is full, the firewall drops packets",
                counted(connections, "connection")
            ),
            format!("`sysctl -w net.netfilter.nf_conntrack_max={needed}`, or exempt these ports (`notrack`)"),
        )
    })
}

fn pipes(sizes: &Result<Sizes, TooLittle>) -> Finding {
    match sizes {
        Ok(sizes) if sizes.pipes_per_worker == 0 => finding(
            Level::Warn,
            "pipes",
            "there are no pipes for splicing: streams are copied",
            "raise the limit of open files and `fs.pipe-user-pages-soft`",
        ),
        Ok(sizes) => ok("pipes", format!("{} for each worker", sizes.pipes_per_worker)),
        Err(_) => ok("pipes", "not checked, because descriptors or memory are insufficient"),
    }
}

fn backlogs(config: &Config, facts: &HostFacts) -> Finding {
    let max = facts.host.backlog_max;
    match config.listeners.iter().map(|listener| listener.backlog).max() {
        Some(backlog) if backlog > max => finding(
            Level::Warn,
            "somaxconn",
            format!("the kernel limits a `backlog` of {backlog} to {max}"),
            format!("`sysctl -w net.core.somaxconn={backlog}`"),
        ),
        _ => ok("somaxconn", format!("backlogs of up to {}", counted(max, "client"))),
    }
}

fn ipv6(config: &Config, facts: &HostFacts) -> Option<Finding> {
    if facts.host.ipv6 {
        return None;
    }
    let found = "the host has none, or forbids it to this process";
    let mut backends = config.pools.iter().flat_map(|pool| pool.backends.iter());
    if let Some(backend) = backends.find(|backend| backend.address.is_ipv6()) {
        let found = format!("{found}: {} cannot be reached", backend.address);
        return Some(finding(Level::Fail, "ipv6", found, NO_IPV6).starts("never reaches that backend"));
    }
    Some(ok("ipv6", format!("{found}: an address such as `:8080` means IPv4 only")))
}

/// The first Linux with every io_uring feature that rondel uses.
const KERNEL_MIN: (u32, u32) = (6, 1);
