//! The client of the admin interface: HTTP over the Unix socket of a running rondel.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use api::{Answer, Command, Status};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

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
        let body = serde_json::to_string(query).expect("maps have strings for keys");
        let page = self.request(Method::POST, path, body)?;
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

    async fn exchange(&self, method: Method, path: &str, body: String) -> io::Result<Page> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "rondel")
            .body(Full::new(Bytes::from(body)))
            .expect("the method, the path and the header are valid");
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
                "no rondel listens on this socket; use `--socket` with the path in `admin.socket` of its configuration"
            }
            ErrorKind::PermissionDenied => "only root, and the user and the group of the socket have access",
            _ => "check that this is the socket of a rondel",
        };
        format!("{}: {error}\n  {cure}", self.socket.display())
    }
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

/// The time limit of a request. A reload reads a file and binds listeners before it answers.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
