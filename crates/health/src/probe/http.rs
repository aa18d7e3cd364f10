//! A probe by HTTP/1.1, of the health of a server or of its role.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;

use super::exchange::contains;
use super::stream::wire;
use super::{ANSWER_MAX, Answer, Driver, Goodbye, ProbeError, Talk, Target};
use crate::answer::{Claim, Progress, Role, Text};
use config::probe::{Http, Method, Question};

pub(super) async fn ask(target: &Target, http: &Http) -> Result<Talk, ProbeError> {
    match &http.question {
        Question::Health { path, statuses, body } => {
            let (page, goodbye) = fetch(target, http, path).await?;
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
            let (page, goodbye) = fetch(target, http, primary).await?;
            if page.says_yes() {
                return Ok(role(Role::Primary(Claim::default()), goodbye));
            }
            // Over another connection: Patroni closes each after one answer.
            let (page, last_goodbye) = fetch(target, http, replica).await?;
            let said = if page.says_yes() { Role::Replica(Progress::default()) } else { Role::Neither };
            let both = Box::pin(async {
                tokio::join!(goodbye, last_goodbye);
            });
            Ok(role(said, both))
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

async fn fetch(target: &Target, http: &Http, path: &str) -> Result<(Page, Goodbye), ProbeError> {
    let wire = wire(target, http.tls.as_ref()).await?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(ANSWER_MAX).handshake(TokioIo::new(wire)).await?;
    let mut driver = Driver::new(async { drop(connection.await) });
    let request = request(http, path)?;
    let page = driver.beside(async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        Ok::<_, ProbeError>(Page { status, body: beginning(response.into_body()).await? })
    });
    let page = page.await?;
    // Without its sender the connection closes.
    drop(sender);
    Ok((page, Box::pin(driver.end())))
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
            _ if error.is_incomplete_message() || error.is_canceled() => Self::Closed,
            Some(io) => io.into(),
            None => Self::Protocol(Text::new(error)),
        }
    }
}
