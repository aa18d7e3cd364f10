//! `rondel demo`: three HTTP backends built in, rondel before them, and what to try.
//!
//! The balancer is the one of `rondel run`; only the backends and some of their clients are of the demo.

mod show; // The backends, and what is done to them. Start here.

mod backend;
mod keys;
mod script;
mod traffic;

use std::env;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process;

use config::{Config, ListenAddress};
use control::{Failure, Ready, Source};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

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

It ends with its terminal, or when nothing reads what it prints; `nohup rondel demo &` lives on.")]
pub(crate) struct Arguments {
    /// Where the balancer listens; 127.0.0.1:8080 if it is free, or else another port
    #[arg(long, value_name = "[HOST]:PORT", value_parser = config::listen_address)]
    pub(crate) listen: Option<ListenAddress>,
    /// Where the dashboard is; 127.0.0.1:9907 if it is free, or else another port
    #[arg(long, value_name = "[HOST]:PORT", value_parser = config::listen_address)]
    pub(crate) dashboard: Option<ListenAddress>,
    /// Connections a second that the demo makes itself, 0 to 1000
    #[arg(long, value_name = "RATE", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) traffic: u32,
    /// What to do when, with the time since the start: "10s kill 2, 25s revive 2, 40s slow 1, 50s fast 1"
    #[arg(long, value_name = "SCRIPT", default_value = "")]
    pub(crate) script: Script,
}

pub(crate) fn demo(arguments: &Arguments) -> Outcome {
    logging::start();
    // It needs no end of its own: its thread ends with the process.
    let (show, backends) =
        show::start().map_err(|error| Failed::Runtime(format!("backends of the demo: {error}")))?;
    let (listen, dashboard) =
        addresses(arguments).map_err(|error| Failed::Runtime(format!("ports for the demo: {error}")))?;
    // It goes with the demo, after the socket in it.
    let folder =
        Folder::make().map_err(|error| Failed::Runtime(format!("a folder for the admin socket: {error}")))?;
    let socket = folder.0.join("admin.sock");
    let text = configuration(listen, dashboard, &socket, &backends);
    let config = Config::parse("demo", text.as_bytes()).map_err(Failure::Config)?;
    let source = if is_hangup_ignored() { Source::Fixed(config) } else { Source::Attached(config) };
    // Restored when the demo ends, so that a shell shows again what is typed.
    let keys = keys::start(show.clone());
    let ended = control::run(source, |ready| {
        log_ready(ready);
        tell(&invitation(ready, &socket, &backends, keys.is_some()));
        show.play(arguments.script.clone());
        show.make_traffic(reachable(ready.listeners[0].address), arguments.traffic);
    });
    match ended {
        // Who ends a demo does not wait for its connections.
        Ok(()) | Err(Failure::DrainTimedOut { .. }) => Ok(()),
        Err(failure @ Failure::Bind { .. }) => Err(Failed::Hinted(
            failure,
            "choose another address, such as `rondel demo --listen 127.0.0.1:8081`".to_owned(),
        )),
        Err(failure) => Err(failure.into()),
    }
}

/// Prints it. Where the terminal is gone, or the reader of a pipe, the demo ends.
fn tell(text: &str) {
    let mut stdout = io::stdout();
    let told = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    let is_gone = |error: io::Error| {
        error.kind() == ErrorKind::BrokenPipe || Errno::from_io_error(&error) == Some(Errno::IO)
    };
    if told.is_err_and(is_gone) {
        end();
    }
}

/// Ends the demo as an operator does.
fn end() {
    // It is allowed to: the process is our own.
    let _ = kill_process(getpid(), Signal::TERM);
}

/// What a user would write. The usual socket is left to those that are no demo.
fn configuration(
    listen: ListenAddress,
    dashboard: ListenAddress,
    socket: &Path,
    backends: &[SocketAddr],
) -> String {
    // In quotes that YAML has from JSON.
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

/// A folder that this user alone may look into; it goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    /// Where this user's programs have their sockets, or else where everybody's have their files.
    fn make() -> io::Result<Self> {
        let around = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
        let around = around.unwrap_or_else(env::temp_dir);
        // One that another made is not used, whatever it is.
        let mut made = Err(ErrorKind::AlreadyExists.into());
        for number in 0..FOLDERS_MAX {
            let path = around.join(format!("rondel-demo-{}-{number}", process::id()));
            made = DirBuilder::new().mode(0o700).create(&path).map(|()| Self(path));
            if !made.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
                break;
            }
        }
        made
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder with files of others in it stays.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Where the balancer listens, and where the dashboard is.
fn addresses(arguments: &Arguments) -> io::Result<(ListenAddress, ListenAddress)> {
    // Both ports are held until both are known, so that they are two.
    let (listen, _held) = choose(arguments.listen, LISTEN_PORT)?;
    let (dashboard, _held_too) = choose(arguments.dashboard, DASHBOARD_PORT)?;
    Ok((listen, dashboard))
}

/// The address that is asked for; or else this port, or any if another process has that, with a socket that holds it. If another
/// process takes it before the demo listens, the demo says so and ends.
fn choose(asked_for: Option<ListenAddress>, usual: u16) -> io::Result<(ListenAddress, Option<TcpListener>)> {
    if let Some(address) = asked_for {
        return Ok((address, None));
    }
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let socket = free(usual).or_else(|_| free(0))?;
    Ok((socket.local_addr()?.into(), Some(socket)))
}

/// What to try, in lines that work when pasted.
fn invitation(ready: &Ready, socket: &Path, backends: &[SocketAddr], has_keys: bool) -> String {
    let socket = socket.display();
    let listen = ready.listeners[0].address;
    let url = format!("http://{}/", reachable(listen));
    let dashboard =
        ready.http.map(|at| format!("\nWatch it:\n  http://{}/\n", reachable(at))).unwrap_or_default();
    let backends = backends.iter().enumerate();
    let backends: Vec<_> =
        backends.map(|(number, backend)| format!("backend-{} on {backend}", number + 1)).collect();
    let backends = backends.join("\n  ");
    let break_it = if has_keys { keys::HELP } else { WITHOUT_KEYS };
    format!(
        "\
rondel balances {listen} over three backends:
  {backends}
{dashboard}
Break it:
{break_it}

Ask it and steer it, in another terminal:
  export RONDEL_SOCKET=\"{socket}\"
  rondel top
  rondel drain demo/backend-1

Each new connection goes to the next one, those of the demo's own clients too:
  for i in 1 2 3 4 5 6; do curl --silent {url}; done

One connection stays with its backend:
  curl --silent {url} {url} {url}

Under load:
  wrk --threads 2 --connections 64 --duration 5s {url}

Ctrl-C ends it."
    )
}

/// Where a client of this host finds what listens at `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // The IPv6 wildcard takes IPv4 too.
        return SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    }
    address
}

/// Names of folders that are tried; the process id is in each, so one is taken only on purpose.
const FOLDERS_MAX: u32 = 16;

/// Where the demo listens, if it can.
const LISTEN_PORT: u16 = 8080;

/// Where metrics and status of rondel usually are.
const DASHBOARD_PORT: u16 = 9907;

/// In place of keys, where there is no terminal to press them at.
const WITHOUT_KEYS: &str = "  rondel demo --script \"10s kill 2, 25s revive 2\"";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use config::{AdminSocket, Config, listen_address};
    use control::{Ready, ReadyListener};

    use super::{DASHBOARD_PORT, Folder, choose, configuration, invitation};

    #[test]
    fn the_invitation_can_be_pasted() {
        let backends = ["127.0.0.1:9001".parse().unwrap(), "127.0.0.1:9002".parse().unwrap()];
        let text = invitation(&ready("127.0.0.1:8080"), Path::new("/run/demo/admin.sock"), &backends, true);
        assert!(text.contains("\n  export RONDEL_SOCKET=\"/run/demo/admin.sock\"\n"), "{text}");
        assert!(text.contains("\n  backend-2 on 127.0.0.1:9002\n"), "{text}");
        assert!(text.contains("\nWatch it:\n  http://127.0.0.1:9907/\n"), "{text}");
        assert!(
            text.contains("\n  for i in 1 2 3 4 5 6; do curl --silent http://127.0.0.1:8080/; done\n"),
            "{text}"
        );
        assert!(
            text.contains("\n  wrk --threads 2 --connections 64 --duration 5s http://127.0.0.1:8080/\n"),
            "{text}"
        );
    }

    /// It goes into the file, which takes no port 0.
    #[test]
    fn another_port_is_chosen_where_the_usual_one_is_taken() {
        // Whether it is this socket or another process that has it.
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, DASHBOARD_PORT));
        let (address, _held) = choose(None, DASHBOARD_PORT).unwrap();
        assert!(![0, DASHBOARD_PORT].contains(&address.address.port()));
        assert!(config::listen_address(&address.to_string()).is_ok());
    }

    #[test]
    fn a_wildcard_is_reached_by_loopback() {
        for wildcard in ["0.0.0.0:80", "[::]:80"] {
            let text = invitation(&ready(wildcard), socket(), &[], false);
            assert!(text.contains("http://127.0.0.1:80/"), "{text}");
        }
        let text = invitation(&ready("[::1]:80"), socket(), &[], false);
        assert!(text.contains("http://[::1]:80/"), "{text}");
    }

    #[test]
    fn its_configuration_is_one_that_a_user_may_write() {
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
    fn its_folder_is_its_users_and_goes_with_it() {
        let folder = Folder::make().unwrap();
        let mode = fs::metadata(&folder.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let other = Folder::make().unwrap();
        assert_ne!(other.0, folder.0);
        let path = folder.0.clone();
        drop(folder);
        assert!(!path.exists());
    }

    /// With what a path may have.
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
