//! `rondel demo`: three HTTP backends built in, rondel before them, and what to try.
//!
//! The balancer is the one of `rondel run`; only the backends and some of their clients are of the demo.

mod show; // The backends, and what is done to them. Start here.

mod backend;
mod keys;
mod script;
mod traffic;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use config::{Config, ListenAddress};
use control::{Failure, Ready, Source};

use self::script::Script;
use crate::logging;
use crate::outcome::{Failed, Outcome, print};
use crate::run::log_ready;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel demo
  rondel demo --listen 127.0.0.1:9000
  rondel demo --script \"10s kill 2, 25s revive 2\"")]
pub(crate) struct Arguments {
    /// Where the balancer listens
    #[arg(long, value_name = "[HOST]:PORT", default_value = "127.0.0.1:8080", value_parser = config::listen_address)]
    pub(crate) listen: ListenAddress,
    /// Where the dashboard is; 127.0.0.1:9907 if it is free, or else another port
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) dashboard: Option<SocketAddr>,
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
    let dashboard = arguments.dashboard.unwrap_or_else(dashboard);
    let text = configuration(arguments.listen, dashboard, &backends);
    let config = Config::parse("demo", text.as_bytes()).map_err(Failure::Config)?;
    // Restored when the demo ends, so that a shell shows again what is typed.
    let keys = keys::start(show.clone());
    let ended = control::run(Source::Fixed(config), |ready| {
        log_ready(ready);
        // Without a reader of the invitation there is still a demo.
        let _ = print(&invitation(ready, &backends, keys.is_some()));
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

/// What a user would write. The usual socket is left to those that are no demo.
fn configuration(listen: ListenAddress, dashboard: SocketAddr, backends: &[SocketAddr]) -> String {
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
admin: {{ socket: off, http: \"{dashboard}\" }}
listeners:
  - {{ name: demo, address: \"{listen}\", pool: demo }}
pools:
  - name: demo
    probe: {{ http: {{}}, interval: 500ms, timeout: 500ms, fast_interval: 200ms }}
    backends:
{backends}"
    )
}

/// The usual address, or any port if another process has that.
fn dashboard() -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, DASHBOARD_PORT));
    match TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

/// What to try, in lines that work when pasted.
fn invitation(ready: &Ready, backends: &[SocketAddr], has_keys: bool) -> String {
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

/// Where metrics and status of rondel usually are.
const DASHBOARD_PORT: u16 = 9907;

/// In place of keys, where there is no terminal to press them at.
const WITHOUT_KEYS: &str = "  rondel demo --script \"10s kill 2, 25s revive 2\"";

#[cfg(test)]
mod tests {
    use config::{Config, listen_address};
    use control::{Ready, ReadyListener};

    use super::{configuration, invitation};

    #[test]
    fn the_invitation_can_be_pasted() {
        let backends = ["127.0.0.1:9001".parse().unwrap(), "127.0.0.1:9002".parse().unwrap()];
        let text = invitation(&ready("127.0.0.1:8080"), &backends, true);
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

    #[test]
    fn a_wildcard_is_reached_by_loopback() {
        for wildcard in ["0.0.0.0:80", "[::]:80"] {
            let text = invitation(&ready(wildcard), &[], false);
            assert!(text.contains("http://127.0.0.1:80/"), "{text}");
        }
        let text = invitation(&ready("[::1]:80"), &[], false);
        assert!(text.contains("http://[::1]:80/"), "{text}");
    }

    #[test]
    fn its_configuration_is_one_that_a_user_may_write() {
        let addresses = ["127.0.0.1:9001", "127.0.0.1:9002"].map(|address| address.parse().unwrap());
        let listen = listen_address(":8080").unwrap();
        let text = configuration(listen, "127.0.0.1:9907".parse().unwrap(), &addresses);
        let config = Config::parse("demo", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.listeners[0].every_address);
        assert_eq!(config.pools[0].backends[1].name, "backend-2");
        assert!(config.pools[0].probe.is_some());
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
