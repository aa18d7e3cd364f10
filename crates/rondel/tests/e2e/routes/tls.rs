//! Servers and clients that speak TLS: OpenSSL, nginx, curl; and hellos written by hand.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

use crate::peers::{Peer, accept, listen};
use crate::place::{Folder, address};
use crate::servers::{Program, run, run_for_bytes};
use crate::setup::{Target, target};

/// A server with a certificate of its own, whose common name is the server's.
pub(super) struct Server {
    _program: Program,
    target: Target,
}

impl Server {
    /// `openssl s_server`, which answers a request with a page about the connection.
    pub(super) fn openssl(name: &str, port: u16) -> Self {
        let (folder, target) = (certified(name), target(name, port));
        let mut command = Command::new("openssl");
        command.current_dir(folder.path());
        command.args(["s_server", "-cert", "cert.pem", "-key", "key.pem", "-www", "-accept"]);
        command.arg(target.address.to_string());
        Self { _program: Program::start(folder, command, target.address), target }
    }

    /// nginx, which answers a request with its name.
    pub(super) fn nginx(name: &str, port: u16) -> Self {
        let (folder, target) = (certified(name), target(name, port));
        let (at, root) = (target.address, folder.path().display());
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; events {{}}
            http {{ access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
            fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
            server {{ listen {at} ssl; ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;
            location / {{ return 200 {name}; }} }} }}"
        );
        fs::write(folder.file("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(folder.file("nginx.conf"));
        Self { _program: Program::start(folder, command, at), target }
    }

    pub(super) fn target(&self) -> Target {
        self.target.clone()
    }
}

/// A folder with a certificate and its key.
fn certified(name: &str) -> Folder {
    let folder = Folder::new();
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout key.pem -out cert.pem";
    let subject = format!("/CN={name}");
    let mut command = Command::new("openssl");
    run(command.current_dir(folder.path()).args(request.split(' ')).args(["-subj", &subject]));
    folder
}

/// What `openssl s_client` says of a handshake with this name and these protocols, none if they are empty.
pub(super) fn handshake(at: SocketAddr, name: &str, alpn: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &at.to_string()]).stdin(Stdio::null());
    match name {
        "" => command.arg("-noservername"),
        name => command.args(["-servername", name]),
    };
    if !alpn.is_empty() {
        command.args(["-alpn", alpn]);
    }
    // It ends with an error if the certificate is not trusted, after its output.
    String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
}

/// The page that curl gets by HTTPS from this name at that address.
pub(super) fn page(at: SocketAddr, name: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--insecure", "--http1.1", "--max-time", "20"]);
    command.args(["--connect-to", &format!("{name}:443:{at}"), &format!("https://{name}/")]);
    String::from_utf8_lossy(&run_for_bytes(&mut command).stdout).into_owned()
}

/// A forwarder to `to` at this port for one connection, which sends the first record in records of one byte, one
/// byte a segment.
pub(super) fn fragmenting(port: u16, to: SocketAddr) -> SocketAddr {
    let at = address(port);
    let listener: TcpListener = listen(at);
    thread::spawn(move || {
        let (mut client, mut server) = (accept(&listener), Peer::connect(to));
        let header = client.receive(5);
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        for byte in client.receive(length) {
            for byte in [22, 3, 1, 0, 1, byte] {
                server.send(&[byte]);
            }
        }
        let (mut back, mut forth) = (server.0.try_clone().unwrap(), client.0.try_clone().unwrap());
        thread::spawn(move || {
            let _ = io::copy(&mut back, &mut forth);
            let _ = forth.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut client.0, &mut server.0);
        let _ = server.0.shutdown(Shutdown::Write);
        // Until the other direction is over as well.
        let _ = client.0.flush().and_then(|()| client.0.read(&mut [0]));
    });
    at
}

/// A hello with this name, if it is not empty, these protocols, and so many bytes of padding, in records of so many
/// bytes.
pub(super) fn hello(name: &str, protocols: &[&str], padding: usize, record_bytes: usize) -> Vec<u8> {
    let list = |digits: usize, bytes: &[u8]| [&bytes.len().to_be_bytes()[8 - digits..], bytes].concat();
    let extension = |kind: u8, data: &[u8]| [&[0, kind][..], &list(2, data)].concat();
    let mut extensions = Vec::new();
    if !name.is_empty() {
        extensions.extend(extension(0, &list(2, &[&[0][..], &list(2, name.as_bytes())].concat())));
    }
    if !protocols.is_empty() {
        let each: Vec<_> = protocols.iter().map(|protocol| list(1, protocol.as_bytes())).collect();
        extensions.extend(extension(16, &list(2, &each.concat())));
    }
    if padding > 0 {
        extensions.extend(extension(21, &vec![0; padding]));
    }
    let before = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0]].concat();
    let message = [&[1][..], &list(3, &[before, list(2, &extensions)].concat())].concat();
    message.chunks(record_bytes).flat_map(|payload| [&[22, 3, 1][..], &list(2, payload)].concat()).collect()
}
