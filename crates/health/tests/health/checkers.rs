//! Small HTTP responders for another server: scripts behind inetd, and others with half of the protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use config::probe::{Http, Kind, Question};
use health::{Answer, Claim, ProbeError, Progress, Role, probe};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::asking::{SHORT, ask, exchange, page, page_with, role, target, why, with_rhythm};
use crate::certificate::Certificate;
use crate::misbehaving::server;

/// What a checker does after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It closes with the request unread, which resets the connection.
    Resets,
    /// It has read the request, and closes.
    Closes,
    /// It answers before there is a request, and closes.
    ClosesEarly,
    StaysOpen,
    /// It sends more without end.
    NeverEnds,
}

const ENDINGS: [Ending; 5] =
    [Ending::Resets, Ending::Closes, Ending::ClosesEarly, Ending::StaysOpen, Ending::NeverEnds];

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Connection for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Connection for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Ending {
    /// Sends `answer` on a connection, and ends in this way, without a TLS close notification.
    async fn say(self, answer: &str, mut connection: impl Connection) {
        // Otherwise the kernel delays the answer after the last bytes of the handshake, and a reset loses it.
        connection.tcp().set_nodelay(true).unwrap();
        match self {
            // The rest of the request stays unread.
            Self::Resets => drop(connection.read(&mut [0]).await),
            Self::ClosesEarly => {}
            Self::Closes | Self::StaysOpen | Self::NeverEnds => {
                let _ = connection.read(&mut [0; 4096]).await;
            }
        }
        let _ = connection.write_all(answer.as_bytes()).await;
        let _ = connection.flush().await;
        match self {
            // Over TLS all of it was read from the socket.
            Self::Resets => connection.tcp().set_zero_linger().unwrap(),
            Self::Closes | Self::ClosesEarly => {}
            Self::StaysOpen => drop(connection.read(&mut [0; 4096]).await),
            Self::NeverEnds => while connection.write_all(b"and so on\n").await.is_ok() {},
        }
    }
}

/// A checker that sends `answer` to every client.
async fn checker(answer: &'static str, ending: Ending) -> SocketAddr {
    server(move |stream| ending.say(answer, stream)).await
}

/// The same over TLS.
async fn secure_checker(answer: &'static str, ending: Ending, certificate: &Certificate) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(certificate.shown()).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate.key()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    server(move |stream| {
        let acceptor = acceptor.clone();
        async move { ending.say(answer, acceptor.accept(stream).await.unwrap()).await }
    })
    .await
}

/// The same probe over TLS.
fn secure(kind: Kind, certificate: &Certificate) -> Kind {
    let tls = Some(certificate.tls());
    match kind {
        Kind::Http(http) => Kind::Http(Http { tls, ..http }),
        Kind::Exchange(exchange) => Kind::Exchange(config::probe::Exchange { tls, ..exchange }),
        other => other,
    }
}

/// Runs probes of `kind` against `answer` with every ending, with and without TLS.
async fn heard(answer: &'static str, kind: Kind, mut check: impl FnMut(Result<Answer, ProbeError>, &str)) {
    let certificate = Certificate::new();
    for ending in ENDINGS {
        let what = format!("{answer:?} to {kind:?}, {ending:?}");
        let plain = checker(answer, ending).await;
        check(ask(plain, kind.clone()).await, &what);
        let over_tls = secure_checker(answer, ending, &certificate).await;
        check(ask(over_tls, secure(kind.clone(), &certificate)).await, &format!("{what}, over TLS"));
    }
}

#[tokio::test]
async fn the_status_line_is_the_answer_with_any_ending() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nGalera Cluster Node is synced.\r\n",
        "HTTP/1.0 200 OK\nContent-Type: text/plain\n\nwell\n",
        "HTTP/1.1 200\r\n",
        "HTTP/1.0  200  OK\n",
        "HTTP/1.1 200 OK\r\nno header",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nwell",
        "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\n",
    ] {
        heard(answer, Kind::Http(page("/")), |heard, what| {
            assert_eq!(heard, Ok(Answer::default()), "{what}");
        })
        .await;
    }
    // Without a line end, the status line ends with the connection.
    for ending in [Ending::Resets, Ending::Closes, Ending::ClosesEarly] {
        let cut = checker("HTTP/1.1 200 OK", ending).await;
        assert_eq!(ask(cut, Kind::Http(page("/"))).await, Ok(Answer::default()), "{ending:?}");
        let cut = checker("HTTP/1.1 20", ending).await;
        assert_eq!(why(ask(cut, Kind::Http(page("/"))).await), "closed", "{ending:?}");
    }
}

#[tokio::test]
async fn a_failed_status_is_reported_with_any_ending() {
    for kind in [Kind::Http(page("/")), page_with("synced")] {
        let answer =
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\nNode is not synced.\r\n";
        heard(answer, kind, |heard, what| {
            assert_eq!(heard.unwrap_err().to_string(), "unexpected answer: status 503", "{what}");
        })
        .await;
    }
}

#[tokio::test]
async fn the_expected_body_is_found_with_any_ending() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nNode is synced.\r\n",
        "HTTP/1.0 200 OK\n\nsynced",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nNode is synced.",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsyn\r\n3\r\nced\r\n",
        "HTTP/1.1 200 OK\r\nNode is synced.\r\n",
    ] {
        // What replaces the headers ends with the connection.
        let headless = answer == "HTTP/1.1 200 OK\r\nNode is synced.\r\n";
        heard(answer, page_with("synced"), |heard, what| {
            if !headless || !what.contains("StaysOpen") {
                assert_eq!(heard, Ok(Answer::default()), "{what}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_body_without_the_expected_text_fails_as_soon_as_that_is_known() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nill",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nill\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        heard(answer, page_with("well"), |heard, what| assert_eq!(why(heard), "unexpected_answer", "{what}"))
            .await;
    }
    // Its length is unknown.
    for (ending, name) in [
        (Ending::Resets, "unexpected_answer"),
        (Ending::Closes, "unexpected_answer"),
        (Ending::StaysOpen, "timeout"),
        (Ending::NeverEnds, "unexpected_answer"),
    ] {
        let ill = checker("HTTP/1.1 200 OK\r\n\r\nill", ending).await;
        let rhythm = if name == "timeout" { SHORT } else { target(ill, page_with("well")).probe.rhythm };
        assert_eq!(why(probe(&with_rhythm(ill, page_with("well"), rhythm)).await.answer), name, "{ending:?}");
    }
}

#[tokio::test]
async fn bytes_are_found_with_any_ending() {
    let well = exchange("PING\r\n", "+PONG");
    heard("+PONG\r\n", well.clone(), |heard, what| assert_eq!(heard, Ok(Answer::default()), "{what}")).await;
    for ending in [Ending::Resets, Ending::Closes, Ending::ClosesEarly] {
        let ill = checker("-ERR go away\r\n", ending).await;
        assert_eq!(why(ask(ill, well.clone()).await), "unexpected_answer", "{ending:?}");
    }
}

fn roles() -> Kind {
    let question = Question::Role { primary: "/primary".into(), replica: "/replica".into() };
    Kind::Http(Http { question, ..page("/") })
}

/// A checker with a status line for each of the two roles.
async fn patroni(primary: &'static str, replica: &'static str) -> SocketAddr {
    server(move |mut stream| async move {
        let mut request = [0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        let is_primary = request[..length].starts_with(b"GET /primary ");
        let status = if is_primary { primary } else { replica };
        let _ = stream.write_all(format!("HTTP/1.0 {status}\r\nServer: BaseHTTP\r\n\r\n").as_bytes()).await;
    })
    .await
}

#[tokio::test]
async fn a_role_is_shown_by_a_success_or_by_503() {
    let (primary, replica) = (Role::Primary(Claim::default()), Role::Replica(Progress::default()));
    for (said, expected) in [
        (["200 OK", "503 Service Unavailable"], primary.clone()),
        (["204 No Content", "500 Internal Server Error"], primary),
        (["503 Service Unavailable", "200 OK"], replica),
        (["503 Service Unavailable", "503 Service Unavailable"], Role::Neither),
    ] {
        assert_eq!(role(patroni(said[0], said[1]).await, roles()).await, expected, "{said:?}");
    }
}

#[tokio::test]
async fn any_other_status_shows_no_role() {
    for status in [
        "500 Internal Server Error",
        "404 Not Found",
        "429 Too Many Requests",
        "301 Moved",
        "400 Bad",
        "502 Bad",
    ] {
        for [primary, replica] in [[status, "503 Service Unavailable"], ["503 Service Unavailable", status]] {
            let error = ask(patroni(primary, replica).await, roles()).await.unwrap_err();
            assert_eq!((error.name(), error.blames_server()), ("unexpected_answer", true), "{error}");
            assert!(error.to_string().contains(&status[..3]), "{error}");
        }
    }
}
