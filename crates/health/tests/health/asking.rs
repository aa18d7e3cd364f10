//! Probes with settings that most tests share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::Probe;
use config::probe::{
    Damping, Exchange, Http, Kind, Method, Mysql, Postgres, Question, Redis, Rhythm, Thresholds,
};
use config::probe::{Login, Secret};
use health::Target;
use health::{Answer, ProbeError, Role, probe};

use crate::place::PATIENCE;

/// Long enough for a busy machine: only a server that never answers exceeds it.
pub(crate) const RHYTHM: Rhythm = Rhythm {
    interval: Duration::from_millis(20),
    interval_in_transition: Duration::from_millis(10),
    timeout: PATIENCE,
    jitter_percent: 10,
};

/// For a server that does not answer in time.
pub(crate) const SHORT: Rhythm = Rhythm { timeout: Duration::from_millis(200), ..RHYTHM };

pub(crate) fn target(address: SocketAddr, kind: Kind) -> Target {
    with_rhythm(address, kind, RHYTHM)
}

pub(crate) fn with_rhythm(address: SocketAddr, kind: Kind, rhythm: Rhythm) -> Target {
    let probe = Probe {
        kind,
        port: None,
        source: None,
        send_proxy: None,
        rhythm,
        thresholds: Thresholds { rise: 2, fall: 3 },
        damping: Damping { downs_free: 0, window: Duration::ZERO },
    };
    Target { address, probe: Arc::new(probe) }
}

pub(crate) async fn ask(address: SocketAddr, kind: Kind) -> Result<Answer, ProbeError> {
    probe(&target(address, kind)).await.answer
}

/// Probes without success, and returns the short name of the error.
#[track_caller]
pub(crate) fn why(answer: Result<Answer, ProbeError>) -> &'static str {
    answer.expect_err("the probe should fail").name()
}

pub(crate) async fn role(address: SocketAddr, kind: Kind) -> Role {
    ask(address, kind).await.unwrap().role.expect("it asks for the role")
}

pub(crate) fn page(path: &str) -> Http {
    Http {
        method: Method::Get,
        host: "test".into(),
        question: Question::Health { path: path.into(), statuses: vec![200..=299], body: String::new() },
        tls: None,
    }
}

/// A page with `body`.
pub(crate) fn page_with(body: &str) -> Kind {
    let question = Question::Health { path: "/".into(), statuses: vec![200..=299], body: body.into() };
    Kind::Http(Http { question, ..page("/") })
}

pub(crate) fn login(user: &str, password: Secret) -> Login {
    Login { user: user.into(), password }
}

pub(crate) fn postgres(login: Login) -> Kind {
    Kind::Postgres(Postgres { login, database: "postgres".into(), tls: None })
}

pub(crate) fn mysql(login: Login) -> Kind {
    Kind::Mysql(Mysql { login, tls: None })
}

pub(crate) fn redis(login: Option<Login>) -> Kind {
    Kind::Redis(Redis { login, tls: None })
}

pub(crate) fn exchange(send: &str, expect: &str) -> Kind {
    Kind::Exchange(Exchange { send: send.into(), expect: expect.into(), goodbye: Vec::new(), tls: None })
}

/// Every kind that waits for an answer.
pub(crate) fn kinds_that_listen() -> Vec<Kind> {
    vec![
        Kind::Http(page("/")),
        exchange("PING\r\n", "+PONG"),
        postgres(login("probe", Secret::None)),
        mysql(login("probe", Secret::None)),
        redis(None),
    ]
}
