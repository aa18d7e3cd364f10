//! The servers behind the balancers, on the core of the load.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;

use crate::process::{self, Cores, Output, Place, Process};
use crate::workshop::Workshop;

/// Running servers. They end with this value.
#[derive(Debug)]
pub(crate) struct Backends {
    /// Their addresses.
    pub(crate) addresses: Vec<SocketAddr>,
    _process: Process,
}

impl Backends {
    /// Two backends with the pages of all cases, served by one nginx with a process for each core: more of them
    /// would wait for each other, which `direct` would avoid and balancers would not.
    pub(crate) fn http(workshop: &Workshop, cores: Cores, site: Site<'_>) -> io::Result<Self> {
        write_pages(workshop)?;
        Self::start(workshop, cores, site, 2, |name, addresses| {
            let config = nginx_config(workshop, name, addresses, cores.count());
            let path = workshop.write(&format!("{name}.conf"), &config)?;
            let folder = workshop.folder.display().to_string();
            Ok(["nginx", "-p", &folder, "-c", &path, "-e", "stderr"].map(str::to_owned).to_vec())
        })
    }

    /// One iperf3: connections of one test refer to each other, so all have to reach the same server.
    pub(crate) fn iperf3(workshop: &Workshop, cores: Cores, site: Site<'_>) -> io::Result<Self> {
        Self::start(workshop, cores, site, 1, |_, addresses| {
            let (ip, port) = (addresses[0].ip().to_string(), addresses[0].port().to_string());
            Ok(["iperf3", "--server", "--bind", &ip, "--port", &port].map(str::to_owned).to_vec())
        })
    }

    fn start(
        workshop: &Workshop,
        cores: Cores,
        site: Site<'_>,
        count: u16,
        command: impl Fn(&str, &[SocketAddr]) -> io::Result<Vec<String>>,
    ) -> io::Result<Self> {
        let addresses: Vec<SocketAddr> =
            (1..=count).map(|number| local(site.first_port() + number)).collect();
        for &address in &addresses {
            process::wait_until_free(address)?;
        }
        let name = format!("backends-{}", site.first_port());
        let place = Place { cores, namespace: site.namespace() };
        let process = workshop.start(&name, place, &command(&name, &addresses)?, Output::Log)?;
        for &address in &addresses {
            process.wait_until_listening(address)?;
        }
        Ok(Self { addresses, _process: process })
    }
}

/// The addresses of backends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Site<'a> {
    /// The usual addresses.
    Here,
    /// In a network namespace with its own loopback. The ports differ anyway, to avoid confusion.
    Inside(&'a str),
}

impl<'a> Site<'a> {
    // All below the range of ephemeral ports.
    fn first_port(self) -> u16 {
        match self {
            Self::Here => 21000,
            Self::Inside(_) => 21100,
        }
    }

    fn namespace(self) -> Option<&'a str> {
        match self {
            Self::Here => None,
            Self::Inside(name) => Some(name),
        }
    }
}

/// An address that only this machine reaches.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn write_pages(workshop: &Workshop) -> io::Result<()> {
    let folder = workshop.folder.join("www");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("16k"), vec![b'r'; 1 << 14])?;
    fs::write(folder.join("1m"), vec![b'r'; 1 << 20])?;
    // Its workers drop root privileges, and still have to read the files.
    for path in [workshop.folder.clone(), folder] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn nginx_config(workshop: &Workshop, name: &str, addresses: &[SocketAddr], workers: u32) -> String {
    let folder = workshop.folder.display();
    let listens: Vec<String> =
        addresses.iter().map(|address| format!("listen {address} backlog=4096;")).collect();
    let listens = listens.join(" ");
    format!(
        "\
daemon off;
worker_processes {workers};
pid {folder}/{name}.pid;
error_log stderr warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 10m;
    client_header_timeout 10m;
    open_file_cache max=16;
    client_body_temp_path {folder}/{name}-temp;
    proxy_temp_path {folder}/{name}-temp;
    fastcgi_temp_path {folder}/{name}-temp;
    uwsgi_temp_path {folder}/{name}-temp;
    scgi_temp_path {folder}/{name}-temp;
    server {{
        {listens}
        root {folder}/www;
        location = / {{ default_type text/plain; return 200 \"backend $server_port\\n\"; }}
    }}
}}
"
    )
}
