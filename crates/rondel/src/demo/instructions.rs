//! What a demo prints when it is ready: addresses, and commands that can be pasted.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use control::Ready;

use super::keys;

/// What the text depends on.
pub(super) struct Facts<'a> {
    pub(super) ready: &'a Ready,
    pub(super) backends: &'a [SocketAddr],
    pub(super) socket: &'a Path,
    pub(super) file: &'a Path,
    /// Default addresses that another process uses, each with the option that chooses another one.
    pub(super) taken: &'a [(SocketAddr, &'static str)],
    pub(super) has_keys: bool,
    /// The directory to add to `PATH` so that `rondel` is this program; none if it is already.
    pub(super) path: Option<PathBuf>,
}

impl Facts<'_> {
    pub(super) fn text(&self) -> String {
        let Self { ready, socket, file, .. } = self;
        let (socket, file) = (socket.display(), file.display());
        let listen = ready.listeners[0].addresses[0];
        let url = format!("http://{}/", reachable(listen));
        let dashboard =
            ready.http.map(|at| format!("\nDashboard:\n  http://{}/\n", reachable(at))).unwrap_or_default();
        let backends = self.backends.iter().enumerate();
        let backends: Vec<_> =
            backends.map(|(number, backend)| format!("backend-{} on {backend}", number + 1)).collect();
        let backends = backends.join("\n  ");
        let taken = self.taken.iter().map(|(address, option)| {
            format!("\n{address} is in use, so the demo uses another port; `{option}` chooses one.")
        });
        let taken: String = taken.collect();
        let path = self.path.as_ref().map_or_else(String::new, |directory| {
            format!("\n  export PATH=\"{}:$PATH\"", directory.display())
        });
        let actions = if self.has_keys { keys::HELP } else { WITHOUT_KEYS };
        format!(
            "\
rondel balances {listen} over three backends:
  {backends}{taken}
{dashboard}
Kill and slow down backends:
{actions}

Query and control rondel from another terminal, where these lines come first:
  export RONDEL_SOCKET=\"{socket}\"{path}
  rondel status
  rondel top
  rondel drain demo/backend-1

Change its file and apply it:
  sed --in-place 's/round_robin/random/' \"{file}\" && rondel reload

Each new connection goes to the next backend; the demo makes connections of its own too:
  for i in 1 2 3 4 5 6; do curl --silent {url}; done

A connection stays with its backend:
  curl --silent {url} {url} {url}

Put it under load:
  wrk --threads 2 --connections 64 --duration 5s {url}

Ctrl-C ends it."
        )
    }
}

/// The directory of this program, if a shell does not find it as `rondel`.
pub(super) fn path_to_add() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    let directories = env::var_os("PATH").unwrap_or_default();
    let found =
        env::split_paths(&directories).find_map(|directory| directory.join("rondel").canonicalize().ok());
    // Under another name it would not be found anyway.
    let is_named = own.file_name().is_some_and(|name| name == "rondel");
    (is_named && found.as_ref() != Some(&own)).then(|| own.parent().map(Path::to_owned)).flatten()
}

/// The address by which a client on this host reaches a listener on `address`.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // The IPv6 wildcard accepts IPv4 too.
        return SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    }
    address
}

/// Replaces the list of keys if there is no terminal.
const WITHOUT_KEYS: &str = "  rondel demo --script \"10s kill 2, 25s revive 2\"";

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};

    use control::{Ready, ReadyListener};

    use super::Facts;

    #[test]
    fn its_lines_can_be_pasted() {
        let backends = ["127.0.0.1:9001".parse().unwrap(), "127.0.0.1:9002".parse().unwrap()];
        let text = text("127.0.0.1:8080", &backends, &[], None);
        for line in [
            "  export RONDEL_SOCKET=\"/run/demo/admin.sock\"",
            "  sed --in-place 's/round_robin/random/' \"/run/demo/rondel.yaml\" && rondel reload",
            "  backend-2 on 127.0.0.1:9002",
            "  http://127.0.0.1:9907/",
            "  for i in 1 2 3 4 5 6; do curl --silent http://127.0.0.1:8080/; done",
            "  wrk --threads 2 --connections 64 --duration 5s http://127.0.0.1:8080/",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("in use") && !text.contains("PATH="), "{text}");
    }

    #[test]
    fn another_port_and_a_program_outside_of_the_path_are_said() {
        let taken = [("127.0.0.1:8080".parse().unwrap(), "--listen")];
        let text = text("127.0.0.1:4711", &[], &taken, Some("/build/release".into()));
        let says = "\n127.0.0.1:8080 is in use, so the demo uses another port; `--listen` chooses one.\n";
        assert!(text.contains(says), "{text}");
        assert!(text.contains("\n  export PATH=\"/build/release:$PATH\"\n"), "{text}");
    }

    #[test]
    fn a_wildcard_is_reached_through_loopback() {
        for wildcard in ["0.0.0.0:80", "[::]:80"] {
            let text = text(wildcard, &[], &[], None);
            assert!(text.contains("http://127.0.0.1:80/"), "{text}");
        }
        let text = text("[::1]:80", &[], &[], None);
        assert!(text.contains("http://[::1]:80/"), "{text}");
    }

    fn text(
        listen: &str,
        backends: &[SocketAddr],
        taken: &[(SocketAddr, &'static str)],
        path: Option<PathBuf>,
    ) -> String {
        let listener = ReadyListener { name: "demo".to_owned(), addresses: vec![listen.parse().unwrap()] };
        let ready = Ready {
            listeners: vec![listener],
            workers: 2,
            connections_max: 100,
            http: Some("127.0.0.1:9907".parse().unwrap()),
        };
        let (socket, file) = (Path::new("/run/demo/admin.sock"), Path::new("/run/demo/rondel.yaml"));
        Facts { ready: &ready, backends, socket, file, taken, has_keys: true, path }.text()
    }
}
