//! Takes in the connections of the admin interface, and holds them to their bounds.
//!
//! One request a connection, read, answered and sent within [`CONNECTION_TIME_MAX`]: nobody can hold a place for long. Those that
//! watch are counted apart ([`VIEWERS_MAX`]), and stay for as long as they read.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{AdminSocket, ListenAddress};
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

use crate::AdminRequest;
use crate::feed::{Errand, Feed, VIEWERS_MAX};
use crate::routes::{self, Access, Peer};
use crate::socket::{self, Made};

/// The admin interface, listening. Dropping it ends it, and removes its socket.
#[derive(Debug)]
pub struct Admin {
    /// Where it listens over TCP, if it does.
    pub http: Option<SocketAddr>,
    /// Those that accept.
    _trequests: JoinSet<()>,
    _socket: Option<Made>,
}

/// The admin interface cannot listen.
#[derive(Debug)]
pub struct ListenError {
    /// The path of the socket, or the address.
    pub place: String,
    /// The error of the kernel.
    pub error: io::Error,
}

impl Admin {
    /// Listens as `settings` say; what is asked goes to `requests`.
    pub fn start(
        settings: &config::Admin,
        requests: &mpsc::Sender<AdminRequest>,
    ) -> Result<Self, ListenError> {
        let mut trequests = JoinSet::new();
        let socket = match &settings.socket {
            AdminSocket::Off => None,
            AdminSocket::Auto => match bind_usual() {
                Ok(bound) => Some(bound),
                Err(error) => {
                    log::warn!(
                        "admin: no socket at {}: {error}; `rondel status` and others cannot reach this process\n  \
                         name one that can be made with `admin: {{ socket: PATH }}`, or say `socket: off`",
                        config::ADMIN_SOCKET_DEFAULT
                    );
                    None
                }
            },
            AdminSocket::At(path) => {
                Some(bind(path).map_err(|error| ListenError { place: path.display().to_string(), error })?)
            }
        };
        let feed = Arc::new(Feed::default());
        trequests.spawn(Arc::clone(&feed).run(requests.clone()));
        let made = socket.map(|(listener, group, made)| {
            trequests.spawn(accept_unix(listener, group, requests.clone(), Arc::clone(&feed)));
            made
        });
        let mut http = None;
        if let Some(ListenAddress { address, .. }) = settings.http {
            let failed = |error| ListenError { place: address.to_string(), error };
            let listener = bind_http(address).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            log::info!("admin: dashboard, metrics and status at http://{address}/");
            trequests.spawn(accept_http(listener, requests.clone(), feed));
            http = Some(address);
        }
        Ok(Self { http, _trequests: trequests, _socket: made })
    }

    /// Descriptors that these settings may take: of the sockets that listen, and of their connections.
    pub fn descriptors(settings: &config::Admin) -> usize {
        let sockets = usize::from(settings.socket != AdminSocket::Off) + usize::from(settings.http.is_some());
        let viewers = if sockets > 0 { VIEWERS_MAX } else { 0 };
        sockets * (CONNECTIONS_MAX + 1) + viewers
    }
}

fn bind_usual() -> io::Result<(UnixListener, u32, Made)> {
    let path = Path::new(config::ADMIN_SOCKET_DEFAULT);
    socket::make_folder(path)?;
    bind(path)
}

/// The socket, and the group that may use it.
fn bind(path: &Path) -> io::Result<(UnixListener, u32, Made)> {
    let (listener, made) = socket::bind(path)?;
    let group = std::fs::metadata(path)?.gid();
    log::info!("admin: socket {}", path.display());
    Ok((UnixListener::from_std(listener)?, group, made))
}

fn bind_http(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    // Connections have it from their listener; without, the kernel keeps megabytes for one that does not read.
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
    let mut places = PlacesTaken::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let access = access(&stream, group);
                places.take(stream, access, &requests, &feed);
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn accept_http(listener: TcpListener, requests: mpsc::Sender<AdminRequest>, feed: Arc<Feed>) {
    let mut places = PlacesTaken::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => places.take(stream, Access::Read, &requests, &feed),
            Err(error) => pause(&error).await,
        }
    }
}

/// The connections of one listener. Of those that are to ask, the oldest makes room at the bound: it is one that says nothing, or
/// takes nothing.
#[derive(Default)]
struct PlacesTaken(Vec<Place>);

struct Place {
    connection: JoinHandle<()>,
    errand: watch::Receiver<Errand>,
}

impl PlacesTaken {
    fn take<S>(&mut self, stream: S, access: Access, requests: &mpsc::Sender<AdminRequest>, feed: &Arc<Feed>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.make_room();
        let (sender, errand) = watch::channel(Errand::Request);
        let peer = Peer { access, requests: requests.clone(), feed: Arc::clone(feed), errand: sender };
        let connection = tokio::spawn(serve(stream, peer, errand.clone()));
        self.0.push(Place { connection, errand });
    }

    fn make_room(&mut self) {
        self.0.retain(|place| !place.connection.is_finished());
        let requests = |place: &Place| *place.errand.borrow() == Errand::Request;
        if self.0.iter().filter(|place| requests(place)).count() == CONNECTIONS_MAX
            && let Some(oldest) = self.0.iter().position(requests)
        {
            self.0.remove(oldest).connection.abort();
        }
    }
}

impl Drop for PlacesTaken {
    fn drop(&mut self) {
        self.0.iter().for_each(|place| place.connection.abort());
    }
}

/// For want of a descriptor, most often: trying again at once would only take the CPU.
async fn pause(error: &io::Error) {
    log::debug!("admin: accept: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn serve<S>(stream: S, peer: Peer, errand: watch::Receiver<Errand>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |request| routes::answer(request, peer.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // What a client does to its own request is its own affair.
    tokio::select! {
        _ = connection => {}
        () = over(errand) => {}
    }
}

/// Waits until a connection has had its time, or, if it watches, until it is sent away.
async fn over(mut errand: watch::Receiver<Errand>) {
    let watches = errand.wait_for(|errand| *errand != Errand::Request);
    if timeout(CONNECTION_TIME_MAX, watches).await.is_ok_and(|errand| errand.is_ok()) {
        // An error: whoever might have sent it away has gone.
        let _ = errand.wait_for(|errand| *errand == Errand::SentAway).await;
    }
}

/// What the process at the other end may do.
///
/// The mode of the socket keeps others out already; this holds as well where somebody has changed that.
fn access(stream: &UnixStream, group: u32) -> Access {
    match stream.peer_cred() {
        Ok(peer) if may_steer(&peer, group) => Access::Steer(name(&peer)),
        Ok(peer) => {
            log::warn!("admin: {} is neither the user nor of the group of the socket", name(&peer));
            Access::None
        }
        Err(error) => {
            log::warn!("admin: nobody knows who requests: {error}");
            Access::None
        }
    }
}

fn may_steer(peer: &UCred, group: u32) -> bool {
    peer.uid() == 0
        || peer.uid() == geteuid().as_raw()
        || peer.gid() == group
        || peer.pid().is_some_and(|pid| groups(pid).contains(&group))
}

/// The supplementary groups of a process, which the socket does not tell: proc(5).
fn groups(pid: i32) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"));
    groups.unwrap_or_default().split_whitespace().filter_map(|group| group.parse().ok()).collect()
}

fn name(peer: &UCred) -> String {
    let pid = peer.pid().map_or("?".to_owned(), |pid| pid.to_string());
    format!("uid={} pid={pid}", peer.uid())
}

/// Connections of each of the two sockets.
pub(crate) const CONNECTIONS_MAX: usize = 16;

/// From the first byte of a request to the last of its headers.
const HEADER_TIME_MAX: Duration = Duration::from_secs(3);

/// The headers of a request. hyper takes no less than this.
const HEADER_BYTES_MAX: usize = 8192;

/// All of a connection. A status of ten thousand backends takes a tenth of a second.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// What the kernel keeps of what was sent over TCP and not yet read. It takes twice that for itself.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// How long nobody is accepted after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
