//! Accepts connections of the admin interface, and enforces their limits.
//!
//! A connection has one request, and at most [`CONNECTION_TIME_MAX`] in total, so it cannot occupy a slot for
//! long. Viewers of `/events` have a limit of their own, [`VIEWERS_MAX`], and stay as long as they read.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{AdminSocket, AdminToken, ListenAddress};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::geteuid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::UCred;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::feed::{Feed, Purpose, VIEWERS_MAX};
use crate::gate::{Gate, Refusals};
use crate::request::AdminRequest;
use crate::routes::{self, Access, Peer};
use crate::socket::{self, SocketFile};

/// The listening admin interface. Dropping it closes its sockets and connections, and removes the socket file.
#[derive(Debug)]
pub struct Admin {
    /// The TCP address, if there is one.
    pub http: Option<SocketAddr>,
    /// The token that clients of that address must send; none if they need none.
    token: watch::Sender<Option<AdminToken>>,
    refusals: Arc<Refusals>,
    _tasks: JoinSet<()>,
    _socket: Option<SocketFile>,
}

/// The admin interface cannot listen.
#[derive(Debug)]
pub struct ListenError {
    /// The path of the socket, or the TCP address.
    pub endpoint: String,
    /// The error of the kernel.
    pub error: io::Error,
}

impl Admin {
    /// Starts the interface with these settings and this token. Its requests go to `requests`.
    ///
    /// # Errors
    ///
    /// A configured socket or address cannot be listened on. For the default socket this is only a warning.
    pub fn start(
        settings: &config::Admin,
        token: Option<AdminToken>,
        requests: &mpsc::Sender<AdminRequest>,
    ) -> Result<Self, ListenError> {
        let mut tasks = JoinSet::new();
        let socket = match &settings.socket {
            AdminSocket::Off => None,
            AdminSocket::Auto => match bind_default() {
                Ok(bound) => Some(bound),
                Err(error) => {
                    log::warn!(
                        "admin: cannot create the socket {}: {error}; \
                         `rondel status` and other commands cannot reach this process\n  \
                         set another path with `admin: {{ socket: PATH }}`, or `socket: off`",
                        config::ADMIN_SOCKET_DEFAULT
                    );
                    None
                }
            },
            AdminSocket::At(path) => Some(
                bind(path).map_err(|error| ListenError { endpoint: path.display().to_string(), error })?,
            ),
        };
        let feed = Arc::new(Feed::default());
        tasks.spawn(Arc::clone(&feed).run(requests.clone()));
        let socket = socket.map(|(listener, group, file)| {
            tasks.spawn(accept_unix(listener, group, requests.clone(), Arc::clone(&feed)));
            file
        });
        let (token, token_in_force) = watch::channel(token);
        let refusals = Arc::new(Refusals::default());
        let mut http = None;
        if let Some(ListenAddress { address, .. }) = settings.http {
            let failed = |error| ListenError { endpoint: address.to_string(), error };
            let listener = bind_http(address).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            log::info!("admin: dashboard, metrics and status at http://{address}/");
            tasks.spawn(accept_http(listener, token_in_force, Arc::clone(&refusals), requests.clone(), feed));
            http = Some(address);
        }
        Ok(Self { http, token, refusals, _tasks: tasks, _socket: socket })
    }

    /// Puts another token in force, or none. Viewers of `/events` over TCP are disconnected: they were admitted by the
    /// one before. Returns whether it is another one.
    pub fn set_token(&self, token: Option<AdminToken>) -> bool {
        self.token.send_if_modified(|current| {
            let is_other = *current != token;
            *current = token;
            is_other
        })
    }

    /// How many requests over TCP were refused, because they had no valid token.
    pub fn refused(&self) -> u64 {
        self.refusals.total()
    }

    /// The maximum number of descriptors with these settings: of listening sockets, and of connections.
    pub fn descriptors(settings: &config::Admin) -> usize {
        let sockets = usize::from(settings.socket != AdminSocket::Off) + usize::from(settings.http.is_some());
        let viewers = if sockets > 0 { VIEWERS_MAX } else { 0 };
        sockets * (CONNECTIONS_MAX + 1) + viewers
    }
}

fn bind_default() -> io::Result<(UnixListener, u32, SocketFile)> {
    let path = Path::new(config::ADMIN_SOCKET_DEFAULT);
    socket::create_directory(path)?;
    bind(path)
}

/// The socket, and its group, which has access.
fn bind(path: &Path) -> io::Result<(UnixListener, u32, SocketFile)> {
    let (listener, file) = socket::bind(path)?;
    let group = std::fs::metadata(path)?.gid();
    log::info!("admin: socket {}", path.display());
    Ok((UnixListener::from_std(listener)?, group, file))
}

fn bind_http(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    // Connections inherit it. Without it the kernel buffers megabytes for a client that does not read.
    set_socket_send_buffer_size(&listener, SEND_BUFFER_BYTES)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept_unix(
    listener: UnixListener,
    group: u32,
    requests: mpsc::Sender<AdminRequest>,
    feed: Arc<Feed>,
) {
    let mut slots = Slots::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let access = access(&stream, group);
                slots.serve(stream, access, None, &requests, &feed);
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn accept_http(
    listener: TcpListener,
    token: watch::Receiver<Option<AdminToken>>,
    refusals: Arc<Refusals>,
    requests: mpsc::Sender<AdminRequest>,
    feed: Arc<Feed>,
) {
    let mut slots = Slots::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let gate = Gate::new(&token, &refusals, peer.ip());
                slots.serve(stream, Access::Read, Some(gate), &requests, &feed);
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// The connections of one listener. When [`CONNECTIONS_MAX`] have a request, a new one replaces the oldest of
/// them, whose client does not send or does not read.
#[derive(Default)]
struct Slots(Vec<Slot>);

struct Slot {
    connection: JoinHandle<()>,
    purpose: watch::Receiver<Purpose>,
}

impl Slots {
    fn serve<S>(
        &mut self,
        stream: S,
        access: Access,
        gate: Option<Gate>,
        requests: &mpsc::Sender<AdminRequest>,
        feed: &Arc<Feed>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.make_room();
        let (sender, purpose) = watch::channel(Purpose::Request);
        let peer = Peer { access, gate, requests: requests.clone(), feed: Arc::clone(feed), purpose: sender };
        let connection = tokio::spawn(serve(stream, peer, purpose.clone()));
        self.0.push(Slot { connection, purpose });
    }

    fn make_room(&mut self) {
        self.0.retain(|slot| !slot.connection.is_finished());
        let is_request = |slot: &Slot| *slot.purpose.borrow() == Purpose::Request;
        if self.0.iter().filter(|slot| is_request(slot)).count() == CONNECTIONS_MAX
            && let Some(oldest) = self.0.iter().position(is_request)
        {
            self.0.remove(oldest).connection.abort();
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.0.iter().for_each(|slot| slot.connection.abort());
    }
}

/// Waits after a failed accept. It fails mostly for lack of descriptors, and an immediate retry would spin.
async fn pause(error: &io::Error) {
    log::debug!("admin: accept: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn serve<S>(stream: S, peer: Peer, purpose: watch::Receiver<Purpose>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let gate = peer.gate.clone();
    let answer = service_fn(move |request| routes::answer(request, peer.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // Errors of a connection affect only its client.
    tokio::select! {
        _ = connection => {}
        () = expired(purpose, gate) => {}
    }
}

/// Waits until the time of a request is over, or until a viewer lags or needs another token.
async fn expired(mut purpose: watch::Receiver<Purpose>, gate: Option<Gate>) {
    let is_stream = purpose.wait_for(|purpose| *purpose != Purpose::Request);
    if timeout(CONNECTION_TIME_MAX, is_stream).await.is_ok_and(|purpose| purpose.is_ok()) {
        let relocked = async {
            match gate {
                Some(mut gate) => gate.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // An error means that the feed has dropped the viewer.
            _ = purpose.wait_for(|purpose| *purpose == Purpose::Lagged) => {}
            () = relocked => {}
        }
    }
}

/// The access of the peer of a Unix socket.
///
/// The mode of the socket file excludes other users already. This check also holds if that mode is changed.
fn access(stream: &UnixStream, group: u32) -> Access {
    match stream.peer_cred() {
        Ok(peer) if is_permitted(&peer, group) => Access::Full(name(&peer)),
        Ok(peer) => {
            log::warn!("admin: {} is neither the user nor in the group of the socket", name(&peer));
            Access::None
        }
        Err(error) => {
            log::warn!("admin: cannot determine the peer of a connection: {error}");
            Access::None
        }
    }
}

fn is_permitted(peer: &UCred, group: u32) -> bool {
    peer.uid() == 0
        || peer.uid() == geteuid().as_raw()
        || peer.gid() == group
        || peer.pid().is_some_and(|pid| groups(pid).contains(&group))
}

/// The supplementary groups of a process, which the peer credentials do not include: proc(5).
fn groups(pid: i32) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"));
    groups.unwrap_or_default().split_whitespace().filter_map(|group| group.parse().ok()).collect()
}

fn name(peer: &UCred) -> String {
    let pid = peer.pid().map_or("?".to_owned(), |pid| pid.to_string());
    format!("uid={} pid={pid}", peer.uid())
}

/// The maximum number of connections with a request, for each of the two sockets.
pub(crate) const CONNECTIONS_MAX: usize = 16;

/// The time limit for the headers of a request.
const HEADER_TIME_MAX: Duration = Duration::from_secs(3);

/// The size limit of the headers of a request, the minimum of hyper.
const HEADER_BYTES_MAX: usize = 8192;

/// The time limit of a connection with a request. A status of ten thousand backends takes a tenth of a second.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// The send buffer of a TCP connection. The kernel doubles it for its bookkeeping.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::UnixStream;
    use tokio::sync::{mpsc, watch};
    use tokio::time::timeout;

    use super::{CONNECTION_TIME_MAX, serve};
    use crate::feed::{Feed, Purpose};
    use crate::request::AdminRequest;
    use crate::routes::{Access, Peer};
    use crate::samples::status;

    #[tokio::test]
    async fn a_viewer_that_closes_its_connection_has_left_at_once() {
        let (client, stream) = UnixStream::pair().unwrap();
        let (requests, mut received) = mpsc::channel(1);
        let (sender, purpose) = watch::channel(Purpose::Request);
        // The feed does not run, so no frame is sent that could fail.
        let feed = Arc::new(Feed::default());
        let peer = Peer { access: Access::Read, gate: None, requests, feed, purpose: sender };
        let mut watched = purpose.clone();
        let connection = tokio::spawn(serve(stream, peer, purpose));
        client.writable().await.unwrap();
        client.try_write(b"GET /events HTTP/1.0\r\n\r\n").unwrap();
        let Some(AdminRequest::Status(answer)) = received.recv().await else { panic!("a status") };
        answer.send(Box::new(status())).unwrap();
        watched.wait_for(|purpose| *purpose == Purpose::Stream).await.unwrap();
        drop(client);
        timeout(CONNECTION_TIME_MAX, connection).await.expect("the connection has ended").unwrap();
    }
}
