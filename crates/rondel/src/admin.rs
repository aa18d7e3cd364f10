//! The client of the admin interface: HTTP over the Unix socket of a running rondel.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use api::{Answer, Command, Status};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::demo;
use crate::outcome::{Failed, Outcome, print};

/// The admin socket, and the format of the output.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AdminClient {
    /// The admin socket of the running rondel
    #[arg(long, value_name = "PATH", env = "RONDEL_SOCKET", default_value = config::ADMIN_SOCKET_DEFAULT)]
    socket: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl AdminClient {
    /// The client of the admin socket at this path.
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket, json: false }
    }

    pub(crate) fn status(&self) -> Result<Status, Failed> {
        self.get("/status.json")
    }

    /// The status, if it comes within `time`.
    pub(crate) fn status_within(&self, time: Duration) -> Result<Status, Failed> {
        let page = self.request_within(time, Method::GET, "/status.json", String::new())?;
        serde_json::from_slice(&page.body).map_err(|error| unexpected(&page, &error))
    }

    pub(crate) fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, Failed> {
        let page = self.request(Method::GET, path, String::new())?;
        serde_json::from_slice(&page.body).map_err(|error| unexpected(&page, &error))
    }

    /// Sends a query, which changes nothing. It is refused if it has an unknown name.
    pub(crate) fn query<A: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<A, Failed> {
        self.query_within(ANSWER_TIME_MAX, path, query)
    }

    /// The same, if the answer comes within `time`.
    pub(crate) fn query_within<A: DeserializeOwned>(
        &self,
        time: Duration,
        path: &str,
        query: &impl Serialize,
    ) -> Result<A, Failed> {
        let body = serde_json::to_string(query).expect("maps have strings for keys");
        let page = self.request_within(time, Method::POST, path, body)?;
        if page.status == StatusCode::CONFLICT {
            let answer: Answer =
                serde_json::from_slice(&page.body).map_err(|error| unexpected(&page, &error))?;
            if let Answer::Refused(refused) = answer {
                return Err(Failed::Unknown(refused.text));
            }
        }
        serde_json::from_slice(&page.body).map_err(|error| unexpected(&page, &error))
    }

    /// Sends a command and prints its changes, or `unchanged` if there are none.
    pub(crate) fn command(&self, command: &Command, unchanged: &str) -> Outcome {
        let body = serde_json::to_string(command).expect("a command has only strings for keys");
        let page = self.request(Method::POST, "/command", body)?;
        let answer: Answer = serde_json::from_slice(&page.body).map_err(|error| unexpected(&page, &error))?;
        if self.json {
            print(&String::from_utf8_lossy(&page.body))?;
        }
        match answer {
            Answer::Done(_) if self.json => Ok(()),
            Answer::Done(lines) if lines.is_empty() => print(unchanged),
            Answer::Done(lines) => print(&lines.join("\n")),
            Answer::Refused(refused) => Err(Failed::Refused(refused.text)),
        }
    }

    /// Whether the process accepts connections, and its answer in words.
    pub(crate) fn is_ready(&self) -> Result<(bool, String), Failed> {
        let page = self.request(Method::GET, "/readyz", String::new())?;
        Ok((page.status == StatusCode::OK, String::from_utf8_lossy(&page.body).trim_end().to_owned()))
    }

    fn request(&self, method: Method, path: &str, body: String) -> Result<Page, Failed> {
        self.request_within(ANSWER_TIME_MAX, method, path, body)
    }

    fn request_within(
        &self,
        time: Duration,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Page, Failed> {
        let unreachable = |error: io::Error| Failed::Runtime(self.unreachable(&error));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
        let page = runtime.block_on(async {
            timeout(time, self.exchange(method, path, body))
                .await
                .unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, no_answer(time))))
        });
        let page = page.map_err(unreachable)?;
        match page.status {
            StatusCode::OK | StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => Ok(page),
            _ => Err(unexpected(&page, &page.status)),
        }
    }

    /// Reads the stream `/events`, and passes on the name and the data of each event. It ends with an error only:
    /// that of `on_event`, or that the connection was lost.
    pub(crate) fn follow(&self, on_event: impl FnMut(&str, &str) -> Outcome) -> Outcome {
        let unreachable = |error: io::Error| Failed::Runtime(self.unreachable(&error));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
        runtime.block_on(self.read_stream(on_event))
    }

    async fn read_stream(&self, on_event: impl FnMut(&str, &str) -> Outcome) -> Outcome {
        let unreachable = |error: io::Error| Failed::Runtime(self.unreachable(&error));
        let stream = UnixStream::connect(&self.socket).await.map_err(unreachable)?;
        let refused = |error: hyper::Error| unreachable(io::Error::other(error));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(refused)?;
        // The connection must be polled too. It ends with the runtime.
        tokio::spawn(connection);
        let request = request(Method::GET, "/events", String::new());
        let silent = |_| unreachable(io::Error::new(ErrorKind::TimedOut, no_answer(ANSWER_TIME_MAX)));
        let answer = timeout(ANSWER_TIME_MAX, sender.send_request(request)).await;
        let response = answer.map_err(silent)?.map_err(refused)?;
        let status = response.status();
        if status != StatusCode::OK {
            let body = response.into_body().collect().await.map_err(refused)?.to_bytes();
            return Err(unexpected(&Page { status, body }, &status));
        }
        read_events(response.into_body(), on_event).await
    }

    async fn exchange(&self, method: Method, path: &str, body: String) -> io::Result<Page> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let request = request(method, path, body);
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok(Page { status, body: response.into_body().collect().await?.to_bytes() })
        };
        // The connection must be polled too. It ends after the response.
        let (answer, _) = tokio::join!(answer, connection);
        answer.map_err(|error: hyper::Error| io::Error::other(error))
    }

    fn unreachable(&self, error: &io::Error) -> String {
        let cure = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                let demo = demo::sockets()
                    .into_iter()
                    .next()
                    .map(|socket| format!("a demo runs: `export RONDEL_SOCKET=\"{}\"`", socket.display()));
                let elsewhere =
                    "use `--socket` with the path in `admin.socket` of its configuration".to_owned();
                format!("no rondel listens on this socket; {}", demo.unwrap_or(elsewhere))
            }
            ErrorKind::PermissionDenied => {
                "only root, and the user and the group of the socket have access".to_owned()
            }
            _ => "check that this is the socket of a rondel".to_owned(),
        };
        format!("{}: {error}\n  {cure}", self.socket.display())
    }
}

fn request(method: Method, path: &str, body: String) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "rondel")
        .body(Full::new(Bytes::from(body)))
        .expect("the method, the path and the header are valid")
}

/// Reads server-sent events: an `event:` and a `data:` line each, and an empty line.
async fn read_events(mut body: Incoming, mut on_event: impl FnMut(&str, &str) -> Outcome) -> Outcome {
    let mut unread: Vec<u8> = Vec::new();
    loop {
        let frame = timeout(UPDATE_TIME_MAX, body.frame()).await;
        let silent = |_| lost(&format!("no update within {}", config::show_duration(UPDATE_TIME_MAX)));
        let Some(frame) = frame.map_err(silent)? else { return Err(lost("it ended, or was restarted")) };
        let frame = frame.map_err(|error| lost(&error.to_string()))?;
        let Some(data) = frame.data_ref() else { continue };
        // What was searched before has no end of an event, except for the first of its two newlines.
        let mut searched = unread.len().saturating_sub(1);
        unread.extend_from_slice(data);
        while let Some(at) = unread[searched..].windows(2).position(|bytes| bytes == b"\n\n") {
            let event: Vec<u8> = unread.drain(..searched + at + 2).collect();
            searched = 0;
            let event = String::from_utf8_lossy(&event);
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                on_event(name, data)?;
            }
        }
    }
}

fn lost(why: &str) -> Failed {
    Failed::Runtime(format!("the connection to rondel was lost: {why}"))
}

/// A response.
struct Page {
    status: StatusCode,
    body: Bytes,
}

fn no_answer(time: Duration) -> String {
    format!("no answer within {}", config::show_duration(time))
}

fn unexpected(page: &Page, why: &dyn std::fmt::Display) -> Failed {
    let body = String::from_utf8_lossy(&page.body);
    Failed::Runtime(format!("unexpected answer of rondel: {} ({why})", body.trim_end()))
}

/// The time limit between two updates of the stream, of which there is one each second.
const UPDATE_TIME_MAX: Duration = Duration::from_secs(15);

/// The time limit of a request. A reload reads a file and binds listeners before it answers.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
