//! Programs that are common in front of and behind a balancer, without roles: nginx, iperf3, wrk, curl.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use rustix::process::Signal;

use crate::place::{Folder, PATIENCE, address};
use crate::servers::{Program, run};
use crate::setup::{Target, target};

/// An nginx with one address, whose pages are files of its folder; it accepts files with PUT.
pub(crate) struct Nginx {
    program: Program,
    target: Target,
}

impl Nginx {
    /// It answers `/` with its name.
    pub(crate) fn start(name: &str, port: u16) -> Self {
        let folder = Folder::new();
        let target = target(name, port);
        let (at, status, root) = (target.address, status_of(port), folder.path().display());
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
            events {{ worker_connections 16384; }}
            http {{
                access_log off; keepalive_requests 100000000; client_max_body_size 0;
                client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
                uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
                server {{
                    listen {at} backlog=4096;
                    location = / {{ return 200 {name}; }}
                    location /files/ {{ root {root}; dav_methods PUT; }}
                }}
                server {{ listen {status}; location / {{ stub_status; }} }}
            }}"
        );
        fs::create_dir(folder.file("files")).unwrap();
        fs::write(folder.file("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(folder.file("nginx.conf"));
        Self { program: Program::start(folder, command, at), target }
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Kills it, and waits until its port is closed.
    pub(crate) fn kill(&mut self) {
        self.program.end(Signal::KILL);
    }

    pub(crate) fn start_again(&mut self) {
        self.program.start_again();
    }

    /// The file of the page `/files/<name>`.
    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.program.folder().file("files").join(name)
    }

    /// The number of accepted connections, without those of the query.
    pub(crate) fn accepted(&self) -> u64 {
        let status = get(status_of(self.target.address.port()));
        let mut numbers = status.lines().nth(2).unwrap().split_whitespace();
        numbers.next().unwrap().parse().unwrap()
    }
}

/// The status address of an nginx at `port`.
fn status_of(port: u16) -> SocketAddr {
    address(port + 1000)
}

/// The page `/` of the server at `address`.
#[track_caller]
pub(crate) fn get(address: SocketAddr) -> String {
    try_get(address).unwrap_or_else(|error| panic!("the page of {address}: {error}"))
}

/// The same for a server that may not answer.
pub(crate) fn try_get(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, page)) if head.starts_with("HTTP/1.1 200 ") => Ok(page.to_owned()),
        _ => Err(io::Error::other(format!("no page in {answer:?}"))),
    }
}

/// The server side of iperf3.
pub(crate) struct Iperf {
    _program: Program,
    target: Target,
}

impl Iperf {
    pub(crate) fn start(name: &str, port: u16) -> Self {
        let target = target(name, port);
        let mut command = Command::new("iperf3");
        command.args(["--server", "--bind", &target.address.ip().to_string(), "--port", &port.to_string()]);
        Self { _program: Program::start(Folder::new(), command, target.address), target }
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }
}

/// The results of wrk.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    report: String,
}

impl Load {
    /// Asserts that every request was answered.
    #[track_caller]
    pub(crate) fn flawless(&self) -> &Self {
        assert!(!self.report.contains("Socket errors"), "{}", self.report);
        assert!(!self.report.contains("Non-2xx"), "{}", self.report);
        assert!(self.requests > 0, "{}", self.report);
        self
    }
}

/// How wrk uses its connections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reuse {
    /// All requests of a client over one connection.
    KeepAlive,
    /// A new connection for each request.
    ConnectionPerRequest,
}

/// Runs wrk against `to` for some seconds.
#[track_caller]
pub(crate) fn wrk(to: SocketAddr, connections: u32, seconds: u32, reuse: Reuse) -> Load {
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--connections", &connections.to_string()]).args([
        "--duration",
        &format!("{seconds}s"),
        "--timeout",
        "10s",
    ]);
    if let Reuse::ConnectionPerRequest = reuse {
        command.args(["--header", "Connection: close"]);
    }
    let report = run(command.arg(format!("http://{to}/")));
    let requests = report
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .unwrap_or_else(|| panic!("no count in {report}"))
        .0
        .parse()
        .unwrap();
    Load { requests, report }
}

/// A shell pipeline that succeeds.
#[track_caller]
pub(crate) fn shell(line: impl AsRef<OsStr>) -> String {
    run(Command::new("bash").args(["-o", "pipefail", "-e", "-c"]).arg(line))
}
