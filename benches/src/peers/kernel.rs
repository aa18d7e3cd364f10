//! NAT in the kernel, as nftables does it: no process, no second connection, no copy. It is the floor for any forwarding on
//! this machine, not a rival: it balances without knowing whether a backend answers.

use std::io;

use crate::namespace::Namespace;
use crate::peers::Task;
use crate::workshop::Workshop;

pub(crate) fn start(workshop: &Workshop, namespace: &Namespace, task: &Task<'_>) -> io::Result<()> {
    let path = workshop.write("kernel.nft", &rules(task))?;
    namespace.run(&["nft", "--file", &path])
}

/// The example of the nftables wiki ("Load balancing"): `numgen inc` takes the backends in turn. In the output
/// hook, since the clients are in the namespace too.
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
