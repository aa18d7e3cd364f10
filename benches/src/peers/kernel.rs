//! NAT in the kernel, by nftables: no process, no second connection, no copy. It is the floor for any forwarding on
//! this machine, not a rival: it balances without knowing whether a backend answers.

use std::io;

use crate::namespace::Namespace;
use crate::peers::Task;
use crate::workshop::Workshop;

pub(crate) fn start(workshop: &Workshop, namespace: &Namespace, task: &Task<'_>) -> io::Result<()> {
    let path = workshop.write("kernel.nft", &rules(task))?;
    namespace.run(&["nft", "--file", &path])?;
    // The kernel tracks each connection for two minutes after its end, which would be all of a benchmark at once.
    // The file exists only if connections are tracked by a module of that name; a kernel without it needs no
    // change.
    let _ =
        namespace.run(&["sh", "-c", "echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait"]);
    Ok(())
}

/// The example of the nftables wiki ("Load balancing"): `numgen inc` uses the backends in turn. In the output hook,
/// since the clients are in the namespace too.
fn rules(task: &Task<'_>) -> String {
    let backends: Vec<String> = task
        .backends
        .iter()
        .enumerate()
        .map(|(index, backend)| format!("{index} : {} . {}", backend.ip(), backend.port()))
        .collect();
    format!(
        "\
flush ruleset
table ip bench {{
    chain output {{
        type nat hook output priority -100; policy accept;
        ip daddr {} tcp dport {} dnat ip to numgen inc mod {} map {{ {} }}
    }}
}}
",
        task.address.ip(),
        task.address.port(),
        backends.len(),
        backends.join(", ")
    )
}
