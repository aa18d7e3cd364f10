//! An HTTP/1.1 probe of the health or the role of a server.
//!
//! The status line decides, and nothing else is awaited: the body is read only if a part of it is expected. Many
//! health checkers are scripts behind inetd. They answer without reading the request and without a length, and then
//! close, which resets the connection, or never close.

mod body;

use httparse::{EMPTY_HEADER, ParserConfig, Response, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use self::body::Body;
use super::exchange::contains;
use super::files::Files;
use super::stream::{Wire, farewell, wire};
use super::talk::{ANSWER_MAX, GOODBYE_MAX, Goodbye, Talk};
use crate::answer::{Answer, ProbeError};
use crate::answer::{Claim, Progress, Role, Text};
use crate::target::Target;
use config::probe::{Http, Method, Question};

pub(super) async fn ask(target: &Target, http: &Http, files: &Files) -> Result<Talk, ProbeError> {
    match &http.question {
        Question::Health { path, statuses, body } => {
            let mut visit = Visit::begin(target, http, path, files).await?;
            let status = visit.status().await?;
            let answer = if !statuses.iter().any(|range| range.contains(&status)) {
                Err(ProbeError::UnexpectedAnswer(Text::new(format_args!("status {status}"))))
            } else if body.is_empty() || visit.body_contains(body.as_bytes()).await {
                Ok(Answer::default())
            } else {
                Err(ProbeError::UnexpectedAnswer(Text::new("the body does not contain the expected text")))
            };
            Ok(Talk { answer, goodbye: visit.end() })
        }
        Question::Role { primary, replica } => {
            let (said, goodbye) = says_yes(target, http, primary, files).await?;
            let answer = |role| Ok(Answer { role: Some(role) });
            match said {
                Ok(true) => Ok(Talk { answer: answer(Role::Primary(Claim::default())), goodbye }),
                Ok(false) => {
                    // One connection for each question: Patroni closes it after one answer.
                    let _ = timeout(GOODBYE_MAX.min(target.probe.rhythm.timeout / 4), goodbye).await;
                    let (said, goodbye) = says_yes(target, http, replica, files).await?;
                    let role = |is_replica| {
                        if is_replica { Role::Replica(Progress::default()) } else { Role::Neither }
                    };
                    Ok(Talk { answer: said.map(role).and_then(answer), goodbye })
                }
                Err(error) => Ok(Talk { answer: Err(error), goodbye }),
            }
        }
    }
}

/// Whether a path says yes: any status of success. 503 says no. Any other status says nothing about the role: a
/// server that is broken or overloaded must not lose the role because of one answer.
async fn says_yes(
    target: &Target,
    http: &Http,
    path: &str,
    files: &Files,
) -> Result<(Result<bool, ProbeError>, Goodbye), ProbeError> {
    let mut visit = Visit::begin(target, http, path, files).await?;
    let said = match visit.status().await? {
        200..=299 => Ok(true),
        503 => Ok(false),
        status => Err(ProbeError::UnexpectedAnswer(Text::new(format_args!(
            "status {status} of {path}, not 2xx or 503"
        )))),
    };
    Ok((said, visit.end()))
}

/// A connection with one request.
struct Visit {
    wire: Box<dyn Wire>,
    /// What has arrived and is not parsed yet.
    received: Vec<u8>,
    method: Method,
    /// The status of the response; 0 before it has arrived.
    status: u16,
    /// Whether the headers were read.
    has_headers: bool,
    body: Body,
}

impl Visit {
    async fn begin(target: &Target, http: &Http, path: &str, files: &Files) -> Result<Self, ProbeError> {
        let mut wire = wire(target, http.tls.as_ref(), files).await?;
        wire.write_all(request(http, path).as_bytes()).await?;
        wire.flush().await?;
        let (received, body) = (Vec::new(), Body::without_length());
        Ok(Self { wire, received, method: http.method, status: 0, has_headers: false, body })
    }

    /// Reads the status line.
    async fn status(&mut self) -> Result<u16, ProbeError> {
        loop {
            if let Some((status, length)) = first_line(&self.received)? {
                if !INTERIM.contains(&status) {
                    self.received.drain(..length);
                    self.status = status;
                    return Ok(status);
                }
                // Informational: the response follows.
                if let Some(length) = head_length(&self.received) {
                    self.received.drain(..length);
                    continue;
                }
            }
            if self.received.len() >= ANSWER_MAX {
                return Err(ProbeError::Protocol(Text::new("no end of the first line")));
            }
            match self.more().await {
                Ok(true) => {}
                Ok(false) => return self.last_words(),
                Err(error) => return self.last_words().map_err(|_| error),
            }
        }
    }

    /// Reads a status line that ended with the connection.
    fn last_words(&mut self) -> Result<u16, ProbeError> {
        self.received.push(b'\n');
        let line = first_line(&self.received).ok().flatten();
        line.map(|(status, _)| status).filter(|status| !INTERIM.contains(status)).ok_or(ProbeError::Closed)
    }

    /// Whether the body contains `expected`, of a response whose status line was read. It is read no further than
    /// to that.
    async fn body_contains(&mut self, expected: &[u8]) -> bool {
        self.read_headers().await;
        loop {
            let before = self.body.text().len();
            let has_ended = self.body.take(&mut self.received);
            // It may begin in what arrived before, but not end there.
            let from = before.saturating_sub(expected.len() - 1);
            if contains(&self.body.text()[from..], expected) {
                return true;
            }
            let is_enough = has_ended || self.body.text().len() >= ANSWER_MAX;
            if is_enough || !matches!(self.more().await, Ok(true)) {
                return false;
            }
        }
    }

    /// Reads how the body ends.
    async fn read_headers(&mut self) {
        self.has_headers = true;
        loop {
            let mut headers = [EMPTY_HEADER; HEADERS_MAX];
            match httparse::parse_headers(&self.received, &mut headers) {
                Ok(Status::Complete((length, headers))) => {
                    self.body = Body::new(self.method, self.status, headers);
                    self.received.drain(..length);
                    return;
                }
                Ok(Status::Partial) if self.received.len() < ANSWER_MAX => {
                    if !matches!(self.more().await, Ok(true)) {
                        return;
                    }
                }
                // What replaces the headers is treated as the body.
                Ok(Status::Partial) | Err(_) => return,
            }
        }
    }

    /// Waits for more of the response; false if there is none.
    async fn more(&mut self) -> Result<bool, ProbeError> {
        Ok(self.wire.read_buf(&mut self.received).await? > 0)
    }

    /// Reads to the end, so that the server does not count an aborted client, and closes.
    fn end(mut self) -> Goodbye {
        Box::pin(async move {
            if !self.has_headers {
                self.read_headers().await;
            }
            while !self.body.take(&mut self.received) && matches!(self.more().await, Ok(true)) {}
            farewell(self.wire).await;
        })
    }
}

/// The request. In a config, neither path nor host contains a space or a line end.
fn request(http: &Http, path: &str) -> String {
    let (host, method) = (
        &http.host,
        match http.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
        },
    );
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: rondel\r\nConnection: close\r\n\r\n")
}

/// The status in the status line, and the length of the line with its end; none if it is incomplete.
fn first_line(received: &[u8]) -> Result<Option<(u16, usize)>, ProbeError> {
    let begin = received.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let line = &received[begin..];
    let end = line.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
    let mut response = Response::new(&mut []);
    ParserConfig::default()
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .parse_response(&mut response, &line[..end.unwrap_or(line.len())])
        .map_err(|error| ProbeError::Protocol(Text::new(error)))?;
    Ok(response.code.zip(end).map(|(status, end)| (status, begin + end)))
}

/// The length of the status line, the headers and the empty line after them; none if they are incomplete.
fn head_length(received: &[u8]) -> Option<usize> {
    let after = |end: &[u8]| Some(received.windows(end.len()).position(|bytes| bytes == end)? + end.len());
    [after(b"\n\r\n"), after(b"\n\n")].into_iter().flatten().min()
}

/// Informational statuses, after which a response follows on the same connection.
const INTERIM: std::ops::RangeInclusive<u16> = 100..=199;

/// How many headers are parsed; if there are more, they are searched like the body.
const HEADERS_MAX: usize = 100;
