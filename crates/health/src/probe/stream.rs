//! A connection to what is probed, which reads no more than is sensible.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use driver::{ConnectOptions, Errno, is_its_own_peer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::files::Files;
use super::talk::ANSWER_MAX;
use super::tls;
use crate::answer::{ProbeError, Text};
use crate::target::Target;
use config::probe::Tls;

/// Any connection, plain or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Connects, and goes over to TLS if it is asked for.
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
    // One that has ended already has no peer any more.
    if is_its_own_peer(&tcp, tcp.peer_addr().unwrap_or(to))? {
        // Reset, it leaves nothing behind at the port that the server will want.
        tcp.set_zero_linger()?;
        return Err(ProbeError::Refused);
    }
    Ok(Stream { tcp, left: RECEIVED_MAX })
}

/// Says FIN and waits for the server's, so that the connection is not reset by what is still on its way.
pub(super) async fn farewell(mut wire: impl Wire) {
    let mut rest = [0; 4096];
    if wire.shutdown().await.is_ok() {
        while matches!(wire.read(&mut rest).await, Ok(1..)) {}
    }
}

/// A TCP connection that ends with an error when the server has sent more than [`RECEIVED_MAX`].
///
/// A server that has closed the connection may have said why. So what is written to it then goes nowhere, and is no error: what
/// it said is read, and then the end.
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

/// Whether an error says that the server has ended the connection.
pub(super) fn is_end(error: &io::Error) -> bool {
    matches!(ProbeError::from(error), ProbeError::Closed)
}

/// How many bytes one probe receives at most; a hostile server could send for ever. It is enough for the status of a replica
/// that follows 256 servers, which is as many as MySQL allows.
const RECEIVED_MAX: usize = 8 * ANSWER_MAX;
