//! What is found at which path, and who may go there.

use std::convert::Infallible;
use std::sync::Arc;

use api::{Answer, Phase};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use crate::feed::{Errand, Feed, Frames, VIEWERS_MAX};
use crate::pages::{ASSETS, Asset, DASHBOARD, POLICY};
use crate::{AdminRequest, metrics};

/// What a connection may do.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Read and give commands; with who it is, for the log.
    Steer(String),
}

/// Who asks, and all that it may need for its answer.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) access: Access,
    pub(crate) requests: mpsc::Sender<AdminRequest>,
    pub(crate) feed: Arc<Feed>,
    /// What its connection is about.
    pub(crate) errand: watch::Sender<Errand>,
}

type Page = Response<Full<Bytes>>;

/// Answers one request.
pub(crate) async fn answer(
    request: Request<Incoming>,
    peer: Peer,
) -> Result<Response<Either<Full<Bytes>, Frames>>, Infallible> {
    if matches!(peer.access, Access::None) {
        let page = text(StatusCode::FORBIDDEN, "only the user and the group of the socket may ask");
        return Ok(page.map(Either::Left));
    }
    if request.uri().path() == "/events" {
        return Ok(match events(&request, peer).await {
            Ok(frames) => response("text/event-stream", Either::Right(frames)),
            Err(page) => page.map(Either::Left),
        });
    }
    let page = route(request, peer.access, peer.requests).await.unwrap_or_else(|page| page);
    Ok(page.map(Either::Left))
}

/// What one who watches is told, or why it is told nothing.
async fn events(request: &Request<Incoming>, peer: Peer) -> Result<Frames, Page> {
    if !reads(request) {
        return Err(only("GET, HEAD"));
    }
    let status = ask(&peer.requests, AdminRequest::Status).await?;
    let full = format!("{VIEWERS_MAX} watch already: close one of them, or ask for /status.json");
    peer.feed.watch(*status, peer.errand).map_err(|_| text(StatusCode::SERVICE_UNAVAILABLE, &full))
}

/// Whether the request changes nothing.
fn reads(request: &Request<Incoming>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// The page, or the one that says why there is none.
async fn route(
    request: Request<Incoming>,
    access: Access,
    requests: mpsc::Sender<AdminRequest>,
) -> Result<Page, Page> {
    let reads = reads(&request);
    let found = ASSETS.iter().find(|asset| asset.path == request.uri().path());
    match (request.uri().path(), access) {
        ("/healthz" | "/readyz" | "/metrics" | "/status.json" | "/ended.json" | "/", _) if !reads => {
            Err(only("GET, HEAD"))
        }
        ("/", _) => {
            let mut page = if is_browser(&request) { asset(&DASHBOARD) } else { text(StatusCode::OK, INDEX) };
            page.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
            Ok(page)
        }
        ("/healthz", _) => ask(&requests, AdminRequest::Phase).await.map(|_| text(StatusCode::OK, "alive")),
        ("/readyz", _) => Ok(match ask(&requests, AdminRequest::Phase).await? {
            Phase::Serving => text(StatusCode::OK, "ready"),
            Phase::Draining | Phase::Ending => text(StatusCode::SERVICE_UNAVAILABLE, "draining"),
        }),
        ("/metrics", _) => {
            let status = ask(&requests, AdminRequest::Status).await?;
            Ok(page(StatusCode::OK, metrics::CONTENT_TYPE, metrics::encode(*status)))
        }
        ("/status.json", _) => Ok(json(&ask(&requests, AdminRequest::Status).await?)),
        ("/ended.json", Access::Steer(_)) => Ok(json(&ask(&requests, AdminRequest::Ended).await?)),
        ("/ended.json", _) => {
            Err(text(StatusCode::FORBIDDEN, "clients are told of at the Unix socket alone"))
        }
        ("/command" | "/connections" | "/route", Access::Steer(_)) if request.method() != Method::POST => {
            Err(only("POST"))
        }
        ("/command", Access::Steer(peer)) => {
            let command = body(request, "a command").await?;
            let answer: Answer =
                ask(&requests, |answer| AdminRequest::Command(command, peer, answer)).await?;
            let status = match answer {
                Answer::Done(_) => StatusCode::OK,
                Answer::Refused(_) => StatusCode::CONFLICT,
            };
            let mut page = json(&answer);
            *page.status_mut() = status;
            Ok(page)
        }
        ("/connections", Access::Steer(_)) => {
            let query = body(request, "a query").await?;
            Ok(told(ask(&requests, |answer| AdminRequest::Connections(query, answer)).await?))
        }
        ("/route", Access::Steer(_)) => {
            let query = body(request, "a client and a listener").await?;
            Ok(told(ask(&requests, |answer| AdminRequest::Route(query, answer)).await?))
        }
        ("/command", _) => Err(text(StatusCode::FORBIDDEN, "commands are taken at the Unix socket alone")),
        ("/connections" | "/route", _) => {
            Err(text(StatusCode::FORBIDDEN, "what is about clients is told at the Unix socket alone"))
        }
        _ => match found {
            Some(_) if !reads => Err(only("GET, HEAD")),
            Some(found) => Ok(asset(found)),
            None => Err(text(StatusCode::NOT_FOUND, INDEX)),
        },
    }
}

/// The page of an answer, or of why there is none.
fn told<T: Serialize>(answer: Result<T, Answer>) -> Page {
    answer.map_or_else(
        |refused| {
            let mut page = json(&refused);
            *page.status_mut() = StatusCode::CONFLICT;
            page
        },
        |answer| json(&answer),
    )
}

/// Asks the one writer, and waits for what it says.
async fn ask<T>(
    requests: &mpsc::Sender<AdminRequest>,
    question: impl FnOnce(oneshot::Sender<T>) -> AdminRequest,
) -> Result<T, Page> {
    let ends = || text(StatusCode::SERVICE_UNAVAILABLE, "ending");
    let (sender, answer) = oneshot::channel();
    requests.send(question(sender)).await.map_err(|_| ends())?;
    answer.await.map_err(|_| ends())
}

/// The body of a request, which is to be `what`.
async fn body<T: DeserializeOwned>(request: Request<Incoming>, what: &str) -> Result<T, Page> {
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| text(StatusCode::BAD_REQUEST, &format!("the body: {error}")))?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| text(StatusCode::BAD_REQUEST, &format!("not {what}: {error}")))
}

fn json(value: &impl Serialize) -> Page {
    let body = serde_json::to_string(value).expect("maps have strings for keys");
    page(StatusCode::OK, "application/json", body)
}

fn text(status: StatusCode, text: &str) -> Page {
    page(status, "text/plain; charset=utf-8", format!("{}\n", text.trim_end()))
}

fn only(methods: &'static str) -> Page {
    let mut page = text(StatusCode::METHOD_NOT_ALLOWED, &format!("only {methods}"));
    page.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    page
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Page {
    let mut page = response(kind, Full::new(Bytes::from(body)));
    *page.status_mut() = status;
    page
}

fn asset(asset: &Asset) -> Page {
    let mut page = response(asset.kind, Full::new(Bytes::from_static(asset.text.as_bytes())));
    let headers = page.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    page
}

fn response<B>(kind: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a page is wanted rather than text.
fn is_browser(request: &Request<Incoming>) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

const INDEX: &str = "\
/             in a browser, the dashboard
/events       how everything is, once a second, and what happened: server-sent events
/metrics      for Prometheus
/status.json  how everything is
/ended.json   the connections that ended last, at the Unix socket alone
/healthz      whether the process lives
/readyz       whether it serves: not while it starts or drains
/command      POST, at the Unix socket alone
/connections  POST, at the Unix socket alone
/route        POST, at the Unix socket alone
";

/// The body of a request. A file to plan with is at most a megabyte, of which JSON makes a little more.
const BODY_BYTES_MAX: usize = 4 << 20;
