//! A connection of a probe, which reads a bounded number of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use driver::{ConnectOptions, Errno, is_its_own_peer};
use preface::{Ends, Written};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::files::Files;
use super::talk::ANSWER_MAX;
use super::tls;
use crate::answer::{ProbeError, Text};
use crate::target::Target;
use config::HeaderVersion;
use config::probe::Tls;

/// Any connection, with or without TLS.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Connects, with TLS if it is configured.
pub(super) async fn wire(
    target: &Target,
    tls: Option<&Tls>,
    files: &Files,
) -> Result<Box<dyn Wire>, ProbeError> {
    let stream = connect(target).await?;
    match tls {
        None => Ok(Box::new(stream)),
        Some(tls) => Ok(Box::new(tls::connect(stream, tls, files).await?)),
    }
}

/// Connects.
pub(super) async fn connect(target: &Target) -> Result<Stream, ProbeError> {
    let to = target.probed_address();
    let options = ConnectOptions { to, source: target.probe.source, hold_ack: false };
    let socket = driver::open(&options).map_err(|errno| match options.source {
        Some(source) if errno == Errno::ADDRNOTAVAIL => {
            ProbeError::Local(Text::new(format_args!("this host does not hold the source {source}")))
        }
        _ => io::Error::from(errno).into(),
    })?;
    let socket = TcpSocket::from_std_stream(socket.into());
    let tcp = socket.connect(to).await?;
    // A connection that has ended has no peer.
    if is_its_own_peer(&tcp, tcp.peer_addr().unwrap_or(to))? {
        // A reset leaves no TIME_WAIT at the port that the server will use.
        tcp.set_zero_linger()?;
        return Err(ProbeError::Refused);
    }
    let mut stream = Stream { tcp, left: RECEIVED_MAX };
    if let Some(version) = target.probe.send_proxy {
        let header = header(&stream.tcp, version)?;
        stream.write_all(header.as_bytes()).await?;
    }
    Ok(stream)
}

/// The header of a probe, which is for no client.
fn header(tcp: &TcpStream, version: HeaderVersion) -> io::Result<Written> {
    Ok(match version {
        // Some servers refuse `UNKNOWN`.
        HeaderVersion::V1 => Written::v1(&Ends::new(tcp.local_addr()?, tcp.peer_addr()?)),
        HeaderVersion::V2 => Written::local(),
    })
}

/// Sends FIN and waits for the server's, so that outstanding data does not reset the connection.
pub(super) async fn farewell(mut wire: impl Wire) {
    let mut rest = [0; 4096];
    if wire.shutdown().await.is_ok() {
        while matches!(wire.read(&mut rest).await, Ok(1..)) {}
    }
}

/// A TCP connection that fails when the server has sent more than [`RECEIVED_MAX`].
///
/// A server that closes the connection may have sent a reason. Therefore writes after that are ignored and are not
/// an error: the reason is read, and then the end.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    left: usize,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other(format!("more than {RECEIVED_MAX} bytes"))));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(context, buffer);
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write(context, bytes));
        Poll::Ready(written.or_else(|error| if is_end(&error) { Ok(bytes.len()) } else { Err(error) }))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// Whether an error means that the server has ended the connection.
pub(super) fn is_end(error: &io::Error) -> bool {
    matches!(ProbeError::from(error), ProbeError::Closed)
}

/// How many bytes one probe receives at most; a hostile server could send without end. It is enough for the status
/// of a replica that follows 256 servers, the limit of MySQL.
const RECEIVED_MAX: usize = 8 * ANSWER_MAX;
