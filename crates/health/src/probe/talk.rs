//! A conversation with a server, up to its answer and its end.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use crate::answer::{Answer, ProbeError};

/// A conversation that came to its answer.
pub(super) struct Talk {
    pub(super) answer: Result<Answer, ProbeError>,
    /// Takes leave, so that the server does not count a client that broke off.
    pub(super) goodbye: Goodbye,
}

pub(super) type Goodbye = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What moves the bytes of a library's connection, while something is asked over it and when it is left.
pub(super) struct BackgroundIo(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl BackgroundIo {
    pub(super) fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }

    /// Does `work`. If the connection ends first, the work still finds what came over it, or finds it closed.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Some(io) = &mut self.0 {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = io => {}
            }
            // It may not be asked again.
            self.0 = None;
        }
        work.await
    }

    /// Goes on until the connection has ended.
    pub(super) async fn end(self) {
        if let Some(io) = self.0 {
            io.await;
        }
    }
}

/// How long a server has to take leave.
pub(super) const GOODBYE_MAX: Duration = Duration::from_millis(100);

/// How much of an answer is looked at, in bytes.
pub(super) const ANSWER_MAX: usize = 64 * 1024;
