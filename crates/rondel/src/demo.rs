//! `rondel demo`: three built-in HTTP backends behind rondel, with examples to try.
//!
//! The balancer is that of `rondel run`. The demo adds only the backends, and clients that make traffic.

mod controller; // The backends, and actions on them. Start here.

mod action;
mod backend;
mod keys;
mod output;
mod script;
mod traffic;

use std::env;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process;

use config::{Config, ListenAddress};
use control::{Failure, Ready, Source};

use self::output::print_line;
use self::script::Script;
use crate::logging;
use crate::outcome::{Failed, Outcome};
use crate::run::log_ready;
use crate::signals::is_hangup_ignored;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel demo
  rondel demo --listen 127.0.0.1:9000
  rondel demo --script \"10s kill 2, 25s revive 2\"

The demo ends when its terminal or the reader of its output is closed; `nohup rondel demo &` does \
not end with the terminal.")]
pub(crate) struct Arguments {
    /// The address of the balancer; by default 127.0.0.1:8080, or another port if that is in use
    #[arg(long, value_name = "[HOST]:PORT", value_parser = config::listen_address)]
    pub(crate) listen: Option<ListenAddress>,
    /// The address of the dashboard; by default 127.0.0.1:9907, or another port if that is in use
    #[arg(long, value_name = "[HOST]:PORT", value_parser = config::listen_address)]
    pub(crate) dashboard: Option<ListenAddress>,
    /// Connections per second that the demo makes itself, 0 to 1000
    #[arg(long, value_name = "RATE", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
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
    let (listen, dashboard) =
        addresses(arguments).map_err(|error| Failed::Runtime(format!("ports for the demo: {error}")))?;
    // It is removed at the end of the demo, after the socket in it.
    let directory = TempDirectory::create()
        .map_err(|error| Failed::Runtime(format!("a directory for the admin socket: {error}")))?;
    let socket = directory.0.join("admin.sock");
    let text = configuration(listen, dashboard, &socket, &backends);
    let config = Config::parse("demo", text.as_bytes()).map_err(Failure::Config)?;
    let source = if is_hangup_ignored() { Source::Fixed(config) } else { Source::Attached(config) };
    // Dropping it restores the terminal, so that the shell echoes again.
    let keys = keys::start(controller.clone());
    let ended = control::run(source, |ready| {
        log_ready(ready);
        print_line(&instructions(ready, &socket, &backends, keys.is_some()));
        controller.run_script(arguments.script.clone());
        controller.start_traffic(reachable(ready.listeners[0].address), arguments.traffic);
    });
    match ended {
        // A drain timeout is a normal end of a demo.
        Ok(()) | Err(Failure::DrainTimedOut { .. }) => Ok(()),
        Err(failure @ Failure::Bind { .. }) => Err(Failed::ControlWithCure(
            failure,
            "choose another address, such as `rondel demo --listen 127.0.0.1:8081`".to_owned(),
        )),
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
runtime: {{ drain_timeout: 1s }}
admin: {{ socket: {socket}, http: \"{dashboard}\" }}
listeners:
  - {{ name: demo, address: \"{listen}\", pool: demo }}
pools:
  - name: demo
    probe: {{ http: {{}}, interval: 500ms, timeout: 500ms, fast_interval: 200ms }}
    backends:
{backends}"
    )
}

/// A directory with mode 0700. Dropping it removes it.
struct TempDirectory(PathBuf);

impl TempDirectory {
    /// Creates it in `$XDG_RUNTIME_DIR`, or in the directory for temporary files.
    fn create() -> io::Result<Self> {
        let parent = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
        let parent = parent.unwrap_or_else(env::temp_dir);
        // An existing path is never used, because another user may have created it.
        let mut created = Err(ErrorKind::AlreadyExists.into());
        for number in 0..DIRECTORY_NAMES_MAX {
            let path = parent.join(format!("rondel-demo-{}-{number}", process::id()));
            created = DirBuilder::new().mode(0o700).create(&path).map(|()| Self(path));
            if !created.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
                break;
            }
        }
        created
    }
}

impl Drop for TempDirectory {
    fn drop(&mut self) {
        // It is kept if it has other files.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The addresses of the balancer and of the dashboard.
fn addresses(arguments: &Arguments) -> io::Result<(ListenAddress, ListenAddress)> {
    // The first port is held until the second is chosen, so that they differ.
    let (listen, _held) = choose(arguments.listen, LISTEN_PORT)?;
    let (dashboard, _held_too) = choose(arguments.dashboard, DASHBOARD_PORT)?;
    Ok((listen, dashboard))
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

/// The instructions, with commands that can be pasted.
fn instructions(ready: &Ready, socket: &Path, backends: &[SocketAddr], has_keys: bool) -> String {
    let socket = socket.display();
    let listen = ready.listeners[0].address;
    let url = format!("http://{}/", reachable(listen));
    let dashboard =
        ready.http.map(|at| format!("\nDashboard:\n  http://{}/\n", reachable(at))).unwrap_or_default();
    let backends = backends.iter().enumerate();
    let backends: Vec<_> =
        backends.map(|(number, backend)| format!("backend-{} on {backend}", number + 1)).collect();
    let backends = backends.join("\n  ");
    let actions = if has_keys { keys::HELP } else { WITHOUT_KEYS };
    format!(
        "\
rondel balances {listen} over three backends:
  {backends}
{dashboard}
Kill and slow down backends:
{actions}

Query and control rondel from another terminal:
  export RONDEL_SOCKET=\"{socket}\"
  rondel top
  rondel drain demo/backend-1

Each new connection goes to the next backend; the demo makes connections of its own too:
  for i in 1 2 3 4 5 6; do curl --silent {url}; done

A connection stays with its backend:
  curl --silent {url} {url} {url}

Put it under load:
  wrk --threads 2 --connections 64 --duration 5s {url}

Ctrl-C ends it."
    )
}

/// The address by which a client on this host reaches a listener on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // The IPv6 wildcard accepts IPv4 too.
        return SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    }
    address
}

/// How many directory names are tried. They contain the process ID, so a name exists only if it was created on
/// purpose.
const DIRECTORY_NAMES_MAX: u32 = 16;

/// The default port of the balancer.
const LISTEN_PORT: u16 = 8080;

/// The default port of the dashboard.
const DASHBOARD_PORT: u16 = 9907;

/// Replaces the list of keys if there is no terminal.
const WITHOUT_KEYS: &str = "  rondel demo --script \"10s kill 2, 25s revive 2\"";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use config::{AdminSocket, Config, listen_address};
    use control::{Ready, ReadyListener};

    use super::{DASHBOARD_PORT, TempDirectory, choose, configuration, instructions};

    #[test]
    fn the_instructions_can_be_pasted() {
        let backends = ["127.0.0.1:9001".parse().unwrap(), "127.0.0.1:9002".parse().unwrap()];
        let text = instructions(&ready("127.0.0.1:8080"), Path::new("/run/demo/admin.sock"), &backends, true);
        assert!(text.contains("\n  export RONDEL_SOCKET=\"/run/demo/admin.sock\"\n"), "{text}");
        assert!(text.contains("\n  backend-2 on 127.0.0.1:9002\n"), "{text}");
        assert!(text.contains("\nDashboard:\n  http://127.0.0.1:9907/\n"), "{text}");
        assert!(
            text.contains("\n  for i in 1 2 3 4 5 6; do curl --silent http://127.0.0.1:8080/; done\n"),
            "{text}"
        );
        assert!(
            text.contains("\n  wrk --threads 2 --connections 64 --duration 5s http://127.0.0.1:8080/\n"),
            "{text}"
        );
    }

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
    fn a_wildcard_is_reached_through_loopback() {
        for wildcard in ["0.0.0.0:80", "[::]:80"] {
            let text = instructions(&ready(wildcard), socket(), &[], false);
            assert!(text.contains("http://127.0.0.1:80/"), "{text}");
        }
        let text = instructions(&ready("[::1]:80"), socket(), &[], false);
        assert!(text.contains("http://[::1]:80/"), "{text}");
    }

    #[test]
    fn the_configuration_is_valid() {
        let addresses = ["127.0.0.1:9001", "127.0.0.1:9002"].map(|address| address.parse().unwrap());
        let [listen, dashboard] = [":8080", "127.0.0.1:9907"].map(|address| listen_address(address).unwrap());
        let text = configuration(listen, dashboard, socket(), &addresses);
        let config = Config::parse("demo", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.listeners[0].every_address);
        assert_eq!(config.pools[0].backends[1].name, "backend-2");
        assert!(config.pools[0].probe.is_some());
        assert_eq!(config.admin.socket, AdminSocket::At(socket().to_owned()));
    }

    #[test]
    fn the_directory_is_private_and_is_removed() {
        let directory = TempDirectory::create().unwrap();
        let mode = fs::metadata(&directory.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let other = TempDirectory::create().unwrap();
        assert_ne!(other.0, directory.0);
        let path = directory.0.clone();
        drop(directory);
        assert!(!path.exists());
    }

    /// A path with characters that are special in YAML.
    fn socket() -> &'static Path {
        Path::new("/run/user/0/a \"demo\": #1/admin.sock")
    }

    fn ready(listen: &str) -> Ready {
        let listener = ReadyListener { name: "demo".to_owned(), address: listen.parse().unwrap() };
        Ready {
            listeners: vec![listener],
            workers: 2,
            connections_max: 100,
            http: Some("127.0.0.1:9907".parse().unwrap()),
        }
    }
}
