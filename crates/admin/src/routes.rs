//! The paths of the admin interface, and the access that each needs.

use std::convert::Infallible;
use std::sync::Arc;

use api::{Answer, Phase};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use crate::feed::{Feed, Frames, Purpose, VIEWERS_MAX};
use crate::gate::Gate;
use crate::metrics;
use crate::pages::{ASSETS, Asset, DASHBOARD, LOCKED_DASHBOARD, POLICY};
use crate::request::AdminRequest;

/// The access of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// None.
    None,
    /// It may read.
    Read,
    /// It may read, and give commands. The name of the peer is for the log.
    Full(String),
}

/// A connection's access, and the channels to answer its request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) access: Access,
    /// What its request needs; none over the socket.
    pub(crate) gate: Option<Gate>,
    pub(crate) requests: mpsc::Sender<AdminRequest>,
    pub(crate) feed: Arc<Feed>,
    /// The purpose of the connection.
    pub(crate) purpose: watch::Sender<Purpose>,
}

type Page = Response<Full<Bytes>>;

/// Answers one request.
pub(crate) async fn answer(
    request: Request<Incoming>,
    peer: Peer,
) -> Result<Response<Either<Full<Bytes>, Frames>>, Infallible> {
    if matches!(peer.access, Access::None) {
        let page = text(StatusCode::FORBIDDEN, "only the user and the group of the socket have access");
        return Ok(page.map(Either::Left));
    }
    if let Some(gate) = &peer.gate
        && !is_open(request.uri().path())
        && !gate.admits(request.headers())
    {
        return Ok(unauthorized().map(Either::Left));
    }
    if request.uri().path() == "/events" {
        return Ok(match events(&request, peer).await {
            Ok(frames) => response("text/event-stream", Either::Right(frames)),
            Err(page) => page.map(Either::Left),
        });
    }
    let is_locked = peer.gate.is_some_and(|gate| gate.is_locked());
    let page = route(request, peer.access, is_locked, peer.requests).await.unwrap_or_else(|page| page);
    Ok(page.map(Either::Left))
}

/// Whether a path needs no token: it says nothing about listeners, backends and clients.
fn is_open(path: &str) -> bool {
    matches!(path, "/" | "/healthz" | "/readyz") || ASSETS.iter().any(|asset| asset.path == path)
}

/// The stream of events, or an error page.
async fn events(request: &Request<Incoming>, peer: Peer) -> Result<Frames, Page> {
    if !is_read(request) {
        return Err(only("GET, HEAD"));
    }
    let status = call(&peer.requests, AdminRequest::Status).await?;
    let full = format!("{VIEWERS_MAX} viewers are connected: close one of them, or use /status.json");
    peer.feed.subscribe(*status, peer.purpose).map_err(|_| text(StatusCode::SERVICE_UNAVAILABLE, &full))
}

/// Whether the method of the request changes nothing.
fn is_read(request: &Request<Incoming>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// The page of a request, or an error page.
async fn route(
    request: Request<Incoming>,
    access: Access,
    is_locked: bool,
    requests: mpsc::Sender<AdminRequest>,
) -> Result<Page, Page> {
    let is_read = is_read(&request);
    let found = ASSETS.iter().find(|asset| asset.path == request.uri().path());
    match (request.uri().path(), access) {
        ("/healthz" | "/readyz" | "/metrics" | "/status.json" | "/history.json" | "/ended.json" | "/", _)
            if !is_read =>
        {
            Err(only("GET, HEAD"))
        }
        ("/", _) => {
            let dashboard = if is_locked { &*LOCKED_DASHBOARD } else { &DASHBOARD };
            let mut page = if is_browser(&request) { asset(dashboard) } else { text(StatusCode::OK, INDEX) };
            page.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
            Ok(page)
        }
        ("/healthz", _) => call(&requests, AdminRequest::Phase).await.map(|_| text(StatusCode::OK, "alive")),
        ("/readyz", _) => Ok(match call(&requests, AdminRequest::Phase).await? {
            Phase::Serving => text(StatusCode::OK, "ready"),
            Phase::Draining | Phase::Ending => text(StatusCode::SERVICE_UNAVAILABLE, "draining"),
        }),
        ("/metrics", _) => {
            let format = metrics::Format::negotiate(&accept(&request));
            let status = call(&requests, AdminRequest::Status).await?;
            let mut page = page(StatusCode::OK, format.media_type(), metrics::encode(*status, format));
            page.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
            Ok(page)
        }
        ("/status.json", _) => Ok(json(&call(&requests, AdminRequest::Status).await?)),
        ("/history.json", _) => Ok(json(&call(&requests, AdminRequest::History).await?)),
        ("/ended.json", Access::Full(_)) => Ok(json(&call(&requests, AdminRequest::Ended).await?)),

        ("/command" | "/connections" | "/route" | "/access" | "/sources", Access::Full(_))
            if request.method() != Method::POST =>
        {
            Err(only("POST"))
        }
        ("/command", Access::Full(peer)) => {
            let command = body(request, "a command").await?;
            let answer: Answer =
                call(&requests, |answer| AdminRequest::Command(command, peer, answer)).await?;
            let status = match answer {
                Answer::Done(_) => StatusCode::OK,
                Answer::Refused(_) => StatusCode::CONFLICT,
            };
            let mut page = json(&answer);
            *page.status_mut() = status;
            Ok(page)
        }
        ("/connections", Access::Full(_)) => {
            let query = body(request, "a query").await?;
            Ok(result_page(call(&requests, |answer| AdminRequest::Connections(query, answer)).await?))
        }
        ("/route", Access::Full(_)) => {
            let query = body(request, "a client and a listener").await?;
            Ok(result_page(call(&requests, |answer| AdminRequest::Route(query, answer)).await?))
        }
        ("/access", Access::Full(_)) => {
            let query = body(request, "a query").await?;
            Ok(result_page(call(&requests, |answer| AdminRequest::Access(query, answer)).await?))
        }
        ("/sources", Access::Full(_)) => {
            let query = body(request, "a query").await?;
            Ok(result_page(call(&requests, |answer| AdminRequest::Sources(query, answer)).await?))
        }
        ("/command", _) => Err(text(StatusCode::FORBIDDEN, "commands are accepted on the Unix socket only")),
        ("/ended.json" | "/connections" | "/route" | "/access" | "/sources", _) => {
            Err(text(StatusCode::FORBIDDEN, "data about clients is available on the Unix socket only"))
        }
        _ => match found {
            Some(_) if !is_read => Err(only("GET, HEAD")),
            Some(found) => Ok(asset(found)),
            None => Err(text(StatusCode::NOT_FOUND, INDEX)),
        },
    }
}

/// The page of a result; a refusal has the status 409.
fn result_page<T: Serialize>(answer: Result<T, Answer>) -> Page {
    answer.map_or_else(
        |refused| {
            let mut page = json(&refused);
            *page.status_mut() = StatusCode::CONFLICT;
            page
        },
        |answer| json(&answer),
    )
}

/// Sends a request to control, and awaits its answer.
async fn call<T>(
    requests: &mpsc::Sender<AdminRequest>,
    request: impl FnOnce(oneshot::Sender<T>) -> AdminRequest,
) -> Result<T, Page> {
    let ending = || text(StatusCode::SERVICE_UNAVAILABLE, "ending");
    let (sender, answer) = oneshot::channel();
    requests.send(request(sender)).await.map_err(|_| ending())?;
    answer.await.map_err(|_| ending())
}

/// Parses the body of a request. `what` is for the error.
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

fn unauthorized() -> Page {
    let mut page = text(StatusCode::UNAUTHORIZED, "send the token: `Authorization: Bearer TOKEN`");
    page.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"rondel\""));
    page
}

fn only(methods: &'static str) -> Page {
    let mut page = text(StatusCode::METHOD_NOT_ALLOWED, &format!("only {methods}"));
    page.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    page
}

fn page(status: StatusCode, media_type: &'static str, body: String) -> Page {
    let mut page = response(media_type, Full::new(Bytes::from(body)));
    *page.status_mut() = status;
    page
}

fn asset(asset: &Asset) -> Page {
    let mut page = response(asset.media_type, Full::new(Bytes::from_static(asset.text.as_bytes())));
    let headers = page.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    page
}

fn response<B>(media_type: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether the client prefers HTML.
fn is_browser(request: &Request<Incoming>) -> bool {
    accept(request).contains("text/html")
}

/// The header `Accept`. Several lines of it are one list.
fn accept(request: &Request<Incoming>) -> String {
    let lines = request.headers().get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.collect::<Vec<_>>().join(",")
}

const INDEX: &str = "\
/             in a browser, the dashboard
/events       the status once a second, and new events, as server-sent events
/metrics      metrics for Prometheus
/status.json  the status
/history.json connections and bytes of the last five minutes
/ended.json   the connections that ended last; on the Unix socket only
/healthz      200 while the process runs
/readyz       200 while it accepts connections, 503 during a drain
/command      POST a command; on the Unix socket only
/connections  POST a query for connections; on the Unix socket only
/route        POST a client and a listener; on the Unix socket only
/access       POST a query for access lists and what operators say; on the Unix socket only
/sources      POST a query for sources with most connections; on the Unix socket only
";

/// The maximum size of a request's body. A file for `plan` has at most 1 MiB, and is a little larger as JSON.
const BODY_BYTES_MAX: usize = 4 << 20;
