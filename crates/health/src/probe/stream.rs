//! A connection to what is probed, which reads no more than is sensible.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use uring::ConnectOptions;

use super::tls;
use crate::answer::ProbeError;
use crate::target::Target;
use config::probe::Tls;

/// Any connection, plain or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Connects, and goes over to TLS if it is asked for.
pub(super) async fn wire(target: &Target, tls: Option<&Tls>) -> Result<Box<dyn Wire>, ProbeError> {
    let stream = connect(target).await?;
    match tls {
        None => Ok(Box::new(stream)),
        Some(tls) => Ok(Box::new(tls::connect(stream, tls).await?)),
    }
}

/// Connects.
pub(super) async fn connect(target: &Target) -> Result<Stream, ProbeError> {
    let to = target.probed_address();
    let options = ConnectOptions { to, source: target.probe.source, hold_ack: false };
    let socket = uring::open(&options).map_err(io::Error::from)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    let tcp = socket.connect(to).await?;
    refuse_itself(&tcp)?;
    Ok(Stream { tcp, left: RECEIVED_MAX })
}

/// Where nothing listens on an address of this host, the kernel may connect a socket to itself. That is no server's
/// answer.
fn refuse_itself(tcp: &TcpStream) -> io::Result<()> {
    let local = tcp.local_addr().ok();
    if local.is_some() && local == tcp.peer_addr().ok() {
        tcp.set_zero_linger()?; // Or the port of the server would be in TIME_WAIT.
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}

/// Says FIN and waits for the server's, so that the connection is not reset by what is still on its way.
pub(super) async fn farewell(mut wire: impl Wire) {
    let mut rest = [0; 4096];
    if wire.shutdown().await.is_ok() {
        while matches!(wire.read(&mut rest).await, Ok(1..)) {}
    }
}

/// A TCP connection that ends with an error when the server has sent more than [`RECEIVED_MAX`].
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
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// How many bytes one probe receives at most; a hostile server could send for ever. Twice
/// [`ANSWER_MAX`](super::ANSWER_MAX), so that there is room for what is around the answer.
const RECEIVED_MAX: usize = 2 * super::ANSWER_MAX;

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use tokio::net::TcpSocket;

    use super::refuse_itself;

    #[tokio::test]
    async fn a_socket_that_is_connected_to_itself_is_refused() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
            socket.bind(address).unwrap();
            let own = socket.local_addr().unwrap();
            let tcp = socket.connect(own).await.unwrap();
            let refused = refuse_itself(&tcp).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{address}");
        }
    }
}
