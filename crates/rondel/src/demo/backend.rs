//! A backend of the demo: an HTTP/1.1 server that answers with its name. It can be slowed, killed and revived.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::{JoinHandle, JoinSet};

/// A backend, which may be killed.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// The socket until the first start.
    listener: Option<TcpListener>,
    /// The server; `None` if it is killed.
    server: Option<JoinHandle<()>>,
    slow: Arc<AtomicBool>,
}

impl Backend {
    /// The backend with this number, from 1 on. It is bound to a free port, and not started.
    pub(super) fn new(number: usize) -> io::Result<Self> {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            name: format!("backend-{number}"),
            address: listener.local_addr()?,
            listener: Some(listener),
            server: None,
            slow: Arc::default(),
        })
    }

    pub(super) fn is_running(&self) -> bool {
        self.server.is_some()
    }

    /// Starts the server, on the same port as before.
    pub(super) fn revive(&mut self) -> io::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => bind(self.address)?,
        };
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let name = Bytes::from(format!("{}\n", self.name));
        self.server = Some(tokio::spawn(serve(listener, name, Arc::clone(&self.slow))));
        Ok(())
    }

    /// Closes the listener and all connections.
    pub(super) fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }

    /// Adds a delay of [`DELAY`] to each answer, or removes it.
    pub(super) fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(listener: tokio::net::TcpListener, name: Bytes, slow: Arc<AtomicBool>) {
    // Dropping the set aborts the connections.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Without Nagle's algorithm, which would delay small answers.
        let _ = stream.set_nodelay(true);
        let (name, slow) = (name.clone(), Arc::clone(&slow));
        let answer = service_fn(move |_| {
            let (name, slow) = (name.clone(), Arc::clone(&slow));
            async move {
                if slow.load(Ordering::Relaxed) {
                    tokio::time::sleep(DELAY).await;
                }
                Ok::<_, Infallible>(answer(name))
            }
        });
        // Errors of a connection are ignored.
        connections.spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer(name: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(name));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The delay of an answer of a slow backend. It is below the probe's timeout.
const DELAY: Duration = Duration::from_millis(300);
