//! A probe by HTTP/1.1, of the health of a server or of its role.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;

use super::exchange::contains;
use super::files::Files;
use super::stream::wire;
use super::{ANSWER_MAX, Answer, Driver, Goodbye, ProbeError, Talk, Target};
use crate::answer::{Claim, Progress, Role, Text};
use config::probe::{Http, Method, Question};

pub(super) async fn ask(target: &Target, http: &Http, files: &Files) -> Result<Talk, ProbeError> {
    match &http.question {
        Question::Health { path, statuses, body } => {
            let mut visit = Visit::begin(target, http, files).await?;
            let page = visit.fetch(http, path).await?;
            let goodbye = visit.end();
            let answer = if !statuses.iter().any(|range| range.contains(&page.status)) {
                Err(ProbeError::UnexpectedAnswer(Text::new(format_args!("status {}", page.status))))
            } else if contains(&page.body, body.as_bytes()) {
                Ok(Answer::default())
            } else {
                Err(ProbeError::UnexpectedAnswer(Text::new("a body without what it should contain")))
            };
            Ok(Talk { answer, goodbye })
        }
        Question::Role { primary, replica } => {
            let mut visit = Visit::begin(target, http, files).await?;
            let page = visit.fetch(http, primary).await?;
            if page.says_yes() {
                return Ok(role(Role::Primary(Claim::default()), visit.end()));
            }
            let page = match visit.fetch(http, replica).await {
                // Patroni closes each connection after one answer.
                Err(ProbeError::Closed) => {
                    drop(visit);
                    visit = Visit::begin(target, http, files).await?;
                    visit.fetch(http, replica).await?
                }
                answered => answered?,
            };
            let said = if page.says_yes() { Role::Replica(Progress::default()) } else { Role::Neither };
            Ok(role(said, visit.end()))
        }
    }
}

fn role(role: Role, goodbye: Goodbye) -> Talk {
    Talk { answer: Ok(Answer { role: Some(role) }), goodbye }
}

struct Page {
    status: u16,
    /// The first [`ANSWER_MAX`] bytes, or a little more.
    body: Vec<u8>,
}

impl Page {
    fn says_yes(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A connection over which pages are fetched, one after the other.
struct Visit {
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: Driver,
}

impl Visit {
    async fn begin(target: &Target, http: &Http, files: &Files) -> Result<Self, ProbeError> {
        let wire = wire(target, http.tls.as_ref(), files).await?;
        let (sender, connection) =
            http1::Builder::new().max_buf_size(ANSWER_MAX).handshake(TokioIo::new(wire)).await?;
        Ok(Self { sender, driver: Driver::new(async { drop(connection.await) }) })
    }

    async fn fetch(&mut self, http: &Http, path: &str) -> Result<Page, ProbeError> {
        let request = request(http, path)?;
        let page = self.driver.beside(async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status().as_u16();
            Ok(Page { status, body: beginning(response.into_body()).await? })
        });
        page.await
    }

    /// Without its sender the connection closes.
    fn end(self) -> Goodbye {
        Box::pin(self.driver.end())
    }
}

fn request(http: &Http, path: &str) -> Result<Request<Empty<Bytes>>, ProbeError> {
    let method = match http.method {
        Method::Get => hyper::Method::GET,
        Method::Head => hyper::Method::HEAD,
        Method::Options => hyper::Method::OPTIONS,
    };
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, &http.host)
        .header(header::USER_AGENT, "rondel")
        .body(Empty::new())
        .map_err(|error| ProbeError::Local(Text::new(error)))
}

async fn beginning(mut body: Incoming) -> Result<Vec<u8>, ProbeError> {
    let mut beginning = Vec::new();
    while beginning.len() < ANSWER_MAX
        && let Some(frame) = body.frame().await
    {
        if let Some(data) = frame?.data_ref() {
            beginning.extend_from_slice(data);
        }
    }
    Ok(beginning)
}

impl From<hyper::Error> for ProbeError {
    fn from(error: hyper::Error) -> Self {
        let io = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
        match io {
            _ if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => Self::Closed,
            Some(io) => io.into(),
            None => Self::Protocol(Text::new(error)),
        }
    }
}
