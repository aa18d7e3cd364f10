//! A backend of the demo: HTTP/1.1, answering every request with its own name; it can be slowed, killed and revived.

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

/// A backend, dead or alive.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// Bound before it runs for the first time.
    listener: Option<TcpListener>,
    life: Option<JoinHandle<()>>,
    slow: Arc<AtomicBool>,
}

impl Backend {
    /// The backend of this number, from 1 on, at a port of its own; dead, but nobody else gets the port.
    pub(super) fn new(number: usize) -> io::Result<Self> {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            name: format!("backend-{number}"),
            address: listener.local_addr()?,
            listener: Some(listener),
            life: None,
            slow: Arc::default(),
        })
    }

    pub(super) fn lives(&self) -> bool {
        self.life.is_some()
    }

    /// It listens, and answers.
    pub(super) fn revive(&mut self) -> io::Result<()> {
        if self.lives() {
            return Ok(());
        }
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => bind(self.address)?,
        };
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let name = Bytes::from(format!("{}\n", self.name));
        self.life = Some(tokio::spawn(serve(listener, name, Arc::clone(&self.slow))));
        Ok(())
    }

    /// Its connections break off, and whoever connects is refused.
    pub(super) fn kill(&mut self) {
        if let Some(life) = self.life.take() {
            life.abort();
        }
    }

    /// From now on each answer takes [`SLOWNESS`], or no time.
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
    // They end with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Small answers are not held back for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (name, slow) = (name.clone(), Arc::clone(&slow));
        let answer = service_fn(move |_| {
            let (name, slow) = (name.clone(), Arc::clone(&slow));
            async move {
                if slow.load(Ordering::Relaxed) {
                    tokio::time::sleep(SLOWNESS).await;
                }
                Ok::<_, Infallible>(answer(name))
            }
        });
        // A client that breaks off is its own affair.
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

/// How long a backend waits after it could not accept, most often for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a slow one takes for an answer; a probe still passes.
const SLOWNESS: Duration = Duration::from_millis(300);
