//! `rondel demo`: three built-in HTTP backends behind rondel, with examples to try.
//!
//! The balancer is that of `rondel run`. The demo adds only the backends, and clients that make traffic.

mod controller; // The backends, and actions on them. Start here.

mod action;
mod backend;
mod directory;
mod instructions;
mod keys;
mod output;
mod script;
mod traffic;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use config::ListenAddress;
use control::{Failure, Source};

use self::directory::Directory;
pub(crate) use self::directory::sockets;
use self::instructions::{Facts, path_to_add, reachable};
use self::output::print_line;
use self::script::Script;
use crate::logging;
use crate::outcome::{Failed, Outcome};
use crate::run::log_ready;
use crate::signals::is_hangup_ignored;
use crate::text::number;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel demo
  rondel demo --listen 127.0.0.1:9000
  rondel demo --script \"10s kill 2, 25s revive 2\"

It prints the path of its admin socket, which all commands find in RONDEL_SOCKET, and that of its \
file, which `rondel reload` reads again. It needs no root, and removes both when it ends.

The demo ends when its terminal or the reader of its output is closed; `nohup rondel demo &` does \
not end with the terminal. Without a terminal there are no keys; `--script` replaces them.")]
pub(crate) struct Arguments {
    /// The address of the balancer; by default 127.0.0.1:8080, or another port if that is in use
    #[arg(long, value_name = "[HOST]:PORT", value_parser = config::listen_address)]
    pub(crate) listen: Option<ListenAddress>,
    /// The address of the dashboard; by default 127.0.0.1:9907, or another port if that is in use
    #[arg(long, value_name = "[HOST]:PORT", value_parser = config::listen_address)]
    pub(crate) dashboard: Option<ListenAddress>,
    /// Connections per second that the demo makes itself, 0 to 1000
    #[arg(long, value_name = "RATE", default_value_t = 20, value_parser = number(0..=1000_u32))]
    pub(crate) traffic: u32,
    /// Actions with their time since the start: "10s kill 2, 25s revive 2, 40s slow 1, 50s fast 1"
    #[arg(long, value_name = "SCRIPT", default_value = "")]
    pub(crate) script: Script,
}

pub(crate) fn demo(arguments: &Arguments) -> Outcome {
    logging::start();
    // The thread of the controller ends with the process.
    let (controller, backends) =
        controller::start().map_err(|error| Failed::Runtime(format!("backends of the demo: {error}")))?;
    let places =
        Places::choose(arguments).map_err(|error| Failed::Runtime(format!("ports for the demo: {error}")))?;
    // It is removed at the end of the demo, after the socket in it.
    let directory = Directory::create().map_err(|error| {
        Failed::Runtime(format!(
            "a directory for the admin socket: {error}\n  set TMPDIR to one that you may write"
        ))
    })?;
    let (file, socket) = (directory.file(), directory.socket());
    fs::write(&file, configuration(places.listen, places.dashboard, &socket, &backends))
        .map_err(|error| Failed::Runtime(format!("{}: {error}", file.display())))?;
    let source =
        if is_hangup_ignored() { Source::File(file.clone()) } else { Source::Attached(file.clone()) };
    // Dropping it restores the terminal, so that the shell echoes again.
    let keys = keys::start(controller.clone());
    let Places { held, taken, .. } = places;
    drop(held);
    let ended = control::run(source, |ready| {
        log_ready(ready);
        let (path, has_keys) = (path_to_add(), keys.is_some());
        let facts =
            Facts { ready, backends: &backends, socket: &socket, file: &file, taken: &taken, has_keys, path };
        print_line(&facts.text());
        controller.run_script(arguments.script.clone());
        controller.start_traffic(reachable(ready.listeners[0].addresses[0]), arguments.traffic);
    });
    let cure = |option: &str, port: u16| {
        format!("choose another address, such as `rondel demo {option} 127.0.0.1:{port}`")
    };
    match ended {
        // A drain timeout is a normal end of a demo.
        Ok(()) | Err(Failure::DrainTimedOut { .. }) => Ok(()),
        Err(failure @ Failure::Bind { .. }) => {
            Err(Failed::ControlWithCure(failure, cure("--listen", LISTEN_PORT + 1)))
        }
        Err(failure @ Failure::Admin { .. }) => {
            Err(Failed::ControlWithCure(failure, cure("--dashboard", DASHBOARD_PORT + 1)))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// The configuration of the demo. It does not use the default socket, which may belong to another rondel.
fn configuration(
    listen: ListenAddress,
    dashboard: ListenAddress,
    socket: &Path,
    backends: &[SocketAddr],
) -> String {
    // A JSON string is a valid YAML string.
    let socket = serde_json::Value::from(socket.to_string_lossy());
    let backends = backends.iter().enumerate();
    let backends: Vec<_> = backends
        .map(|(number, address)| {
            format!("      - {{ name: backend-{}, address: \"{address}\" }}\n", number + 1)
        })
        .collect();
    let backends = backends.concat();
    format!(
        "\
# The file of `rondel demo`, which removes it at its end. `rondel reload` applies what is changed here.
runtime: {{ drain_timeout: 1s }}
admin: {{ socket: {socket}, http: \"{dashboard}\" }}
# `rondel connections --ended` and `rondel reopen` need an access log. Of this one no line is kept.
access_log: {{ to: /dev/null }}
listeners:
  - {{ name: demo, address: \"{listen}\", pool: demo }}
pools:
  - name: demo
    balance: round_robin
    probe: {{ http: {{}}, interval: 500ms, timeout: 500ms, fast_interval: 200ms }}
    backends:
{backends}"
    )
}

/// The addresses of the balancer and of the dashboard.
struct Places {
    listen: ListenAddress,
    dashboard: ListenAddress,
    /// Default addresses that are in use, each with its option.
    taken: Vec<(SocketAddr, &'static str)>,
    /// Sockets that hold the chosen ports until the demo listens, so that the two differ.
    held: Vec<TcpListener>,
}

impl Places {
    fn choose(arguments: &Arguments) -> io::Result<Self> {
        let (mut taken, mut held) = (Vec::new(), Vec::new());
        let mut choose = |given, default, option| {
            let (address, socket) = choose(given, default)?;
            if socket.is_some() && address.address.port() != default {
                taken.push((SocketAddr::from((Ipv4Addr::LOCALHOST, default)), option));
            }
            held.extend(socket);
            io::Result::Ok(address)
        };
        let listen = choose(arguments.listen, LISTEN_PORT, "--listen")?;
        let dashboard = choose(arguments.dashboard, DASHBOARD_PORT, "--dashboard")?;
        Ok(Self { listen, dashboard, taken, held })
    }
}

/// The given address; otherwise the default port on loopback, or any free port if that is in use, with a socket
/// that holds it. If another process takes the port before the demo listens, the demo fails.
fn choose(given: Option<ListenAddress>, default: u16) -> io::Result<(ListenAddress, Option<TcpListener>)> {
    if let Some(address) = given {
        return Ok((address, None));
    }
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let socket = bind(default).or_else(|_| bind(0))?;
    Ok((socket.local_addr()?.into(), Some(socket)))
}

/// The default port of the balancer.
const LISTEN_PORT: u16 = 8080;

/// The default port of the dashboard.
const DASHBOARD_PORT: u16 = 9907;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::path::Path;

    use config::{AdminSocket, Config, listen_address};

    use super::{DASHBOARD_PORT, choose, configuration};

    /// The configuration accepts no port 0, so the port is chosen before.
    #[test]
    fn another_port_is_chosen_if_the_default_one_is_in_use() {
        // If it fails, another process has the port, which does as well.
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, DASHBOARD_PORT));
        let (address, _held) = choose(None, DASHBOARD_PORT).unwrap();
        assert!(![0, DASHBOARD_PORT].contains(&address.address.port()));
        assert!(config::listen_address(&address.to_string()).is_ok());
    }

    #[test]
    fn the_configuration_is_valid() {
        let addresses = ["127.0.0.1:9001", "127.0.0.1:9002"].map(|address| address.parse().unwrap());
        let [listen, dashboard] = [":8080", "127.0.0.1:9907"].map(|address| listen_address(address).unwrap());
        let text = configuration(listen, dashboard, socket(), &addresses);
        let config = Config::parse("demo", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.listeners[0].addresses[0].every_address);
        assert_eq!(config.pools[0].backends[1].name, "backend-2");
        assert!(config.pools[0].probe.is_some());
        assert_eq!(config.admin.socket, AdminSocket::At(socket().to_owned()));
    }

    /// A path with characters that are special in YAML.
    fn socket() -> &'static Path {
        Path::new("/run/user/0/a \"demo\": #1/admin.sock")
    }
}
