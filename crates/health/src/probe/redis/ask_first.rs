//! A connection that returns nothing before a request was sent.
//!
//! A Redis server at its connection limit sends an error and closes, without a request. The library would drop an
//! error that precedes its first request.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) struct AskFirst<W> {
    wire: W,
    asked: bool,
    /// The task that waits to read.
    listener: Option<Waker>,
}

impl<W> AskFirst<W> {
    pub(super) fn new(wire: W) -> Self {
        Self { wire, asked: false, listener: None }
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for AskFirst<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            self.listener = Some(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.wire).poll_read(context, buffer)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for AskFirst<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(listener) = self.listener.take() {
            listener.wake();
        }
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}
