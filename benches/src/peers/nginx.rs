//! The stream module of nginx, configured as in its documentation.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::peers::{BACKLOG, Guard, SOURCE_CONNECTIONS_MAX, Task};
use crate::process::{self, Output, Process};
use crate::workshop::Workshop;

pub(crate) fn start(workshop: &Workshop, task: &Task<'_>) -> io::Result<Process> {
    let path = workshop.write("nginx.conf", &config(workshop, task))?;
    let folder = workshop.folder.display().to_string();
    let command = ["nginx", "-p", &folder, "-c", &path, "-e", "stderr"].map(str::to_owned);
    workshop.start("nginx", task.place(), &command, Output::Log)
}

pub(crate) fn has_stream() -> bool {
    // If it is not a separate module it is built in, as in the packages of nginx.org.
    process::is_installed("nginx")
        && (Path::new(MODULE).exists() || !Path::new("/usr/lib/nginx/modules").exists())
}

/// As many worker processes as cores, with separate listening sockets (`reuseport`) for more than one. Buffers are
/// 16 KiB each by default (`proxy_buffer_size`), `tcp_nodelay` is on, and there is no access log unless one is
/// named.
fn config(workshop: &Workshop, task: &Task<'_>) -> String {
    let load = if Path::new(MODULE).exists() { format!("load_module {MODULE};\n") } else { String::new() };
    let reuseport = if task.workers > 1 { " reuseport" } else { "" };
    let mut servers = String::new();
    for backend in task.backends {
        // Writing to a `String` does not fail.
        let _ = write!(servers, " server {backend};");
    }
    let (zone, limit) = match task.guard {
        Guard::None | Guard::Prefixes => ("", String::new()),
        Guard::Limits => (
            "    limit_conn_zone $binary_remote_addr zone=all:64m;\n",
            format!("        limit_conn all {SOURCE_CONNECTIONS_MAX};\n"),
        ),
    };
    format!(
        "\
{load}daemon off;
worker_processes {};
pid {}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
stream {{
{zone}    upstream backends {{{servers} }}
    server {{
        listen {} backlog={BACKLOG}{reuseport};
        proxy_pass backends;
        proxy_connect_timeout 5s;
        proxy_timeout 10m;
{limit}    }}
}}
",
        task.workers,
        workshop.folder.display(),
        task.address
    )
}

/// The path in Debian.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
