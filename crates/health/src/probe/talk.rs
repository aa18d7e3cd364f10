//! A conversation with a server, up to its answer and its end.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use crate::answer::{Answer, ProbeError};

/// A conversation after its answer.
pub(super) struct Talk {
    pub(super) answer: Result<Answer, ProbeError>,
    /// Ends the conversation, so that the server does not count an aborted client.
    pub(super) goodbye: Goodbye,
}

pub(super) type Goodbye = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The background I/O of a library's connection, driven during requests and when the connection is closed.
pub(super) struct BackgroundIo(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl BackgroundIo {
    pub(super) fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }

    /// Runs `work`. If the connection ends first, the work still gets what was received, or finds the connection
    /// closed.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Some(io) = &mut self.0 {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = io => {}
            }
            // It must not be polled again.
            self.0 = None;
        }
        work.await
    }

    /// Runs until the connection has ended.
    pub(super) async fn end(self) {
        if let Some(io) = self.0 {
            io.await;
        }
    }
}

/// How long a server has to close.
pub(super) const GOODBYE_MAX: Duration = Duration::from_millis(100);

/// How much of an answer is read, in bytes.
pub(super) const ANSWER_MAX: usize = 64 * 1024;
