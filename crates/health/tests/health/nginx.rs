//! Pages and roles, as nginx serves them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use config::probe::{Http, Kind, Method, Question, Tls};
use health::{Answer, Claim, ProbeError, Progress, Role, probe};

use crate::asking::{ask, page, role, target, why};
use crate::certificate::Certificate;
use crate::place::{Folder, address};
use crate::servers::Program;

const PORT: u16 = 2080;
const TLS_PORT: u16 = 2443;
const CLEAR_PORT: u16 = 2081;

struct Nginx {
    _program: Program,
}

/// Serves plain text at `port`, and TLS at the next port if there is a certificate.
fn nginx(port: u16, certificate: Option<(u16, &Certificate)>) -> Nginx {
    let folder = Folder::new();
    let (at, root) = (address(port), folder.path().display());
    let secure = certificate.map_or_else(String::new, |(port, certificate)| {
        let (shown, key) = (certificate.shown(), certificate.key());
        let at = address(port);
        format!(
            "listen {at} ssl; ssl_certificate {}; ssl_certificate_key {};",
            shown.display(),
            key.display()
        )
    });
    let config = format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log info;
        events {{ }}
        http {{
            access_log {root}/access.log; client_body_temp_path {root}/1; proxy_temp_path {root}/2;
            fastcgi_temp_path {root}/3; uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;
            server {{
                listen {at};
                {secure}
                location = / {{ return 200 well; }}
                location = /empty {{ return 204; }}
                location = /host {{ return 200 $host; }}
                location = /method {{ return 200 $request_method; }}
                location = /ill {{ return 503; }}
                location = /yes {{ return 200; }}
                location = /closes {{ keepalive_timeout 0; return 503; }}
                location = /big {{ root {root}; }}
            }}
        }}"
    );
    fs::write(folder.file("nginx.conf"), config).unwrap();
    fs::write(folder.file("big"), "x".repeat(1_000_000) + "the end").unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.file("nginx.conf"));
    Nginx { _program: Program::start(folder, command, at) }
}

fn health(path: &str, statuses: &[u16], body: &str) -> Kind {
    Kind::Http(Http {
        question: Question::Health {
            path: path.into(),
            statuses: statuses.iter().map(|status| *status..=*status).collect(),
            body: body.into(),
        },
        ..page("/")
    })
}

#[tokio::test]
async fn pages() {
    let _nginx = nginx(PORT, None);
    let at = address(PORT);
    let well = Ok(Answer::default());
    assert_eq!(ask(at, Kind::Http(page("/"))).await, well);
    assert_eq!(ask(at, health("/", &[200], "well")).await, well);
    assert_eq!(ask(at, health("/empty", &[200, 204], "")).await, well);
    assert_eq!(ask(at, health("/ill", &[503], "")).await, well);
    assert_eq!(ask(at, health("/host", &[200], "test")).await, well);
    // More than is read.
    assert_eq!(ask(at, health("/big", &[200], "xxx")).await, well);

    assert_eq!(why(ask(at, health("/", &[200], "ill")).await), "unexpected_answer");
    assert_eq!(why(ask(at, health("/big", &[200], "the end")).await), "unexpected_answer");
    let error = ask(at, health("/ill", &[200], "")).await.unwrap_err();
    assert_eq!(error.to_string(), "unexpected answer: status 503");

    for method in [Method::Head, Method::Options] {
        let http = Http { method, ..page("/yes") };
        assert_eq!(ask(at, Kind::Http(http)).await, well, "{method:?}");
    }

    // A backend that is no web server, with a health checker beside it.
    let backend = address(1);
    let mut spoken_for = target(backend, Kind::Http(page("/")));
    Arc::make_mut(&mut spoken_for.probe).port = Some(PORT);
    assert_eq!(probe(&spoken_for).await.answer, well);
}

#[tokio::test]
async fn roles() {
    let _nginx = nginx(CLEAR_PORT, None);
    let asks = |primary: &str, replica: &str| {
        let question = Question::Role { primary: primary.into(), replica: replica.into() };
        Kind::Http(Http { question, ..page("/") })
    };
    let at = address(CLEAR_PORT);
    assert_eq!(role(at, asks("/yes", "/ill")).await, Role::Primary(Claim::default()));
    assert_eq!(role(at, asks("/yes", "/yes")).await, Role::Primary(Claim::default()));
    assert_eq!(role(at, asks("/ill", "/yes")).await, Role::Replica(Progress::default()));
    assert_eq!(role(at, asks("/closes", "/yes")).await, Role::Replica(Progress::default()));
    assert_eq!(role(at, asks("/ill", "/closes")).await, Role::Neither);
}

#[tokio::test]
async fn certificates_are_verified() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let _nginx = nginx(TLS_PORT + 1, Some((TLS_PORT, &certificate)));
    let asks = async |at: SocketAddr, tls: Option<Tls>| ask(at, Kind::Http(Http { tls, ..page("/") })).await;

    let right = certificate.tls();
    let at = address(TLS_PORT);
    assert_eq!(asks(at, Some(right.clone())).await, Ok(Answer::default()));
    let is_tls = |answer: Result<Answer, ProbeError>| assert_eq!(why(answer), "tls");
    is_tls(asks(at, Some(Tls { name: "other.test".into(), ..right.clone() })).await);
    is_tls(asks(at, Some(other.tls())).await);
    is_tls(asks(address(TLS_PORT + 1), Some(right)).await);
    // nginx answers a plain request there with a status of 400.
    assert_eq!(why(asks(at, None).await), "unexpected_answer");
}
