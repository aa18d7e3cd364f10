//! `rondel demo`: three HTTP backends built in, rondel before them, and what to try.
//!
//! The balancer is the one of `rondel run`; only the backends are of the demo.

mod backends;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use config::{AdminSocket, Config};
use control::{Failure, Source};

use crate::logging;
use crate::outcome::{Failed, Outcome, print};
use crate::run::log_ready;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel demo
  rondel demo --listen 127.0.0.1:9000")]
pub(crate) struct Arguments {
    /// Where the balancer listens
    #[arg(long, value_name = "[HOST]:PORT", default_value = "127.0.0.1:8080", value_parser = config::listen_address)]
    pub(crate) listen: SocketAddr,
}

/// How long Ctrl-C waits for connections of the demo; `wrk` keeps its own open until it ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) fn demo(arguments: &Arguments) -> Outcome {
    logging::start();
    // They need no end of their own: their thread ends with the process.
    let backends =
        backends::start().map_err(|error| Failed::Runtime(format!("backends of the demo: {error}")))?;
    let mut config = Config::forward(arguments.listen, &backends);
    config.runtime.drain_timeout = DRAIN_TIMEOUT;
    // It leaves the usual socket to those that are no demo.
    config.admin.socket = AdminSocket::Off;
    let ended = control::run(Source::Fixed(config), |ready| {
        log_ready(ready);
        // Without a reader of the invitation there is still a demo.
        let _ = print(&invitation(ready.listeners[0].address, &backends));
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

/// What to try, in lines that work when pasted.
fn invitation(listen: SocketAddr, backends: &[SocketAddr]) -> String {
    let url = format!("http://{}/", reachable(listen));
    let backends = backends.iter().enumerate();
    let backends: Vec<_> =
        backends.map(|(number, backend)| format!("backend-{} on {backend}", number + 1)).collect();
    let backends = backends.join("\n  ");
    format!(
        "\
rondel balances {listen} over three backends:
  {backends}

Each new connection goes to the next one:
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

#[cfg(test)]
mod tests {
    use super::invitation;

    #[test]
    fn the_invitation_can_be_pasted() {
        let backends = ["127.0.0.1:9001".parse().unwrap(), "127.0.0.1:9002".parse().unwrap()];
        let text = invitation("127.0.0.1:8080".parse().unwrap(), &backends);
        assert!(text.contains("\n  backend-2 on 127.0.0.1:9002\n"), "{text}");
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
            let text = invitation(wildcard.parse().unwrap(), &[]);
            assert!(text.contains("http://127.0.0.1:80/"), "{text}");
        }
        let text = invitation("[::1]:80".parse().unwrap(), &[]);
        assert!(text.contains("http://[::1]:80/"), "{text}");
    }
}
