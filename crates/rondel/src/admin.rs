//! How commands reach a rondel that runs: over its Unix socket, by HTTP.

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

/// Which rondel, and how its answer is printed.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Reach {
    /// The admin socket of the rondel that is meant
    #[arg(long, value_name = "PATH", env = "RONDEL_SOCKET", default_value = config::ADMIN_SOCKET_DEFAULT)]
    socket: PathBuf,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Reach {
    /// How everything is.
    pub(crate) fn status(&self) -> Result<Status, Failed> {
        self.read("/status.json")
    }

    /// What is found at this path.
    pub(crate) fn read<A: DeserializeOwned>(&self, path: &str) -> Result<A, Failed> {
        let page = self.ask(Method::GET, path, String::new())?;
        serde_json::from_slice(&page.body).map_err(|error| unexpected(&page, &error))
    }

    /// Asks something that changes nothing; what is refused then names what there is not.
    pub(crate) fn question<A: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<A, Failed> {
        let body = serde_json::to_string(question).expect("maps have strings for keys");
        let page = self.ask(Method::POST, path, body)?;
        if page.status == StatusCode::CONFLICT {
            let answer: Answer =
                serde_json::from_slice(&page.body).map_err(|error| unexpected(&page, &error))?;
            if let Answer::Refused(refused) = answer {
                return Err(Failed::Unknown(refused.text));
            }
        }
        serde_json::from_slice(&page.body).map_err(|error| unexpected(&page, &error))
    }

    /// Gives a command and prints what came of it, or `nothing` where no line tells of a change.
    pub(crate) fn command(&self, command: &Command, nothing: &str) -> Outcome {
        let body = serde_json::to_string(command).expect("a command has only strings for keys");
        let page = self.ask(Method::POST, "/command", body)?;
        let answer: Answer = serde_json::from_slice(&page.body).map_err(|error| unexpected(&page, &error))?;
        if self.json {
            print(&String::from_utf8_lossy(&page.body))?;
        }
        match answer {
            Answer::Done(_) if self.json => Ok(()),
            Answer::Done(lines) if lines.is_empty() => print(nothing),
            Answer::Done(lines) => print(&lines.join("\n")),
            Answer::Refused(refused) => Err(Failed::Refused(refused.text)),
        }
    }

    /// Whether it serves, and what it says of that.
    pub(crate) fn is_ready(&self) -> Result<(bool, String), Failed> {
        let page = self.ask(Method::GET, "/readyz", String::new())?;
        Ok((page.status == StatusCode::OK, String::from_utf8_lossy(&page.body).trim_end().to_owned()))
    }

    fn ask(&self, method: Method, path: &str, body: String) -> Result<Page, Failed> {
        let unreachable = |error: io::Error| Failed::Runtime(self.unreachable(&error));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
        let page = runtime.block_on(async {
            timeout(ANSWER_TIME_MAX, self.exchange(method, path, body))
                .await
                .unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, "no answer in time")))
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
            .expect("all of it is ours");
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok(Page { status, body: response.into_body().collect().await?.to_bytes() })
        };
        // The connection has to be driven, and ends after the one answer.
        let (answer, _) = tokio::join!(answer, connection);
        answer.map_err(|error: hyper::Error| io::Error::other(error))
    }

    fn unreachable(&self, error: &io::Error) -> String {
        let cure = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                "no rondel runs that has this socket; `--socket` names another, as `admin.socket` in the file does"
            }
            ErrorKind::PermissionDenied => "only the user that it runs as, its group and root may ask",
            _ => "is it rondel that has this socket?",
        };
        format!("{}: {error}\n  {cure}", self.socket.display())
    }
}

/// What was answered.
struct Page {
    status: StatusCode,
    body: Bytes,
}

fn unexpected(page: &Page, why: &dyn std::fmt::Display) -> Failed {
    let body = String::from_utf8_lossy(&page.body);
    Failed::Runtime(format!("rondel answered: {} ({why})", body.trim_end()))
}

/// Reading a file and binding its listeners are part of an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
