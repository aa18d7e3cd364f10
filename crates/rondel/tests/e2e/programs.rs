//! The programs that people put behind and before a balancer: nginx, redis, iperf3, wrk, curl.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Folder, PATIENCE, address, eventually};
use crate::setup::{Target, target};

/// A program that runs until the test is over.
struct Program {
    child: Child,
    folder: Folder,
}

impl Program {
    /// Starts `command`, its output in files of `folder`, and waits until it accepts connections at `listening`.
    #[track_caller]
    fn start(folder: Folder, command: &mut Command, listening: SocketAddr) -> Self {
        let output = |name| File::create(folder.file(name)).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let mut program = Self { child, folder };
        eventually(&format!("{command:?} listens at {listening}"), || {
            let ended = program.child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {}", program.output());
            TcpStream::connect_timeout(&listening, PATIENCE).is_ok()
        });
        program
    }

    fn output(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.file(name)).unwrap_or_default();
        read("stdout") + &read("stderr") + &read("error.log")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{}", self.output());
        }
    }
}

/// One nginx with one address, whose pages are files of its folder and which takes files with PUT.
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
        Self { program: Program::start(folder, &mut command, at), target }
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }

    /// Its process is one that we started and have not waited for, so the number is still its own.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.program.child), signal).unwrap();
    }

    /// Where it keeps the page `/files/<name>`.
    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.program.folder.file("files").join(name)
    }

    /// How many connections it has accepted, besides those that asked this.
    pub(crate) fn accepted(&self) -> u64 {
        let status = get(status_of(self.target.address.port()));
        let mut numbers = status.lines().nth(2).unwrap().split_whitespace();
        numbers.next().unwrap().parse().unwrap()
    }
}

/// Where an nginx at `port` says how it does.
fn status_of(port: u16) -> SocketAddr {
    address(port + 1000)
}

/// The page `/` of who is at `address`.
#[track_caller]
pub(crate) fn get(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// A redis that keeps nothing.
pub(crate) struct Redis {
    _program: Program,
    target: Target,
}

impl Redis {
    pub(crate) fn start(name: &str, port: u16) -> Self {
        let target = target(name, port);
        let mut command = Command::new("redis-server");
        let folder = Folder::new();
        command
            .args(["--bind", &target.address.ip().to_string(), "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--protected-mode", "no"])
            .arg("--dir")
            .arg(folder.path());
        Self { _program: Program::start(folder, &mut command, target.address), target }
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }
}

/// The listening side of iperf3.
pub(crate) struct Iperf {
    _program: Program,
    target: Target,
}

impl Iperf {
    pub(crate) fn start(name: &str, port: u16) -> Self {
        let target = target(name, port);
        let mut command = Command::new("iperf3");
        command.args(["--server", "--bind", &target.address.ip().to_string(), "--port", &port.to_string()]);
        Self { _program: Program::start(Folder::new(), &mut command, target.address), target }
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }
}

/// What wrk saw.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    report: String,
}

impl Load {
    /// Asserts that every request got its answer.
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

/// Runs a program that ends well; what it wrote to standard output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    String::from_utf8_lossy(&run_for_bytes(command).stdout).into_owned()
}

/// The same for output that is no text.
#[track_caller]
pub(crate) fn run_for_bytes(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).into_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}\n{complained}", output.status);
    output
}

/// A shell command line, its parts joined by pipes, that ends well.
#[track_caller]
pub(crate) fn shell(line: impl AsRef<OsStr>) -> String {
    run(Command::new("bash").args(["-o", "pipefail", "-e", "-c"]).arg(line))
}
