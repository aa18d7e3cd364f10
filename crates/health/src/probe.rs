//! One probe, from its begin to its answer: a conversation with a deadline, ended the way its protocol wants it.

mod deadline;
mod exchange;
mod files;
mod http;
mod local;
mod meaning;
mod mysql;
mod postgres;
mod redis;
mod stream;
mod tcp;
mod tls;

pub use self::local::{Local, Place, local};

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use self::files::Files;
use crate::answer::{Answer, ProbeError};
use crate::target::Target;
use config::probe::Kind;

/// What a probe brought home, and how long it took.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer, or why there is none.
    pub answer: Result<Answer, ProbeError>,
    /// From the begin to the answer, without the goodbye.
    pub latency: Duration,
}

/// Probes once.
///
/// It needs a tokio runtime with I/O and time, and keeps at most one descriptor open.
pub async fn probe(target: &Target) -> Outcome {
    let files = match Files::read(&target.probe.kind).await {
        Ok(files) => files,
        Err(error) => return Outcome { answer: Err(error), latency: Duration::ZERO },
    };
    let begun = Instant::now();
    let asked = deadline::patient(target.probe.rhythm.timeout, ask(target, &files)).await;
    let latency = begun.elapsed();
    let answer = match asked {
        Err(deadline::Elapsed) => Err(ProbeError::Timeout),
        Ok(Err(error)) => Err(error),
        Ok(Ok(talk)) => {
            // If the server does not take leave in time, the connection is cut. The answer counts all the same.
            let _ = timeout(GOODBYE_MAX, talk.goodbye).await;
            talk.answer
        }
    };
    Outcome { answer, latency }
}

async fn ask(target: &Target, files: &Files) -> Result<Talk, ProbeError> {
    match &target.probe.kind {
        Kind::Tcp => tcp::ask(target).await,
        Kind::Http(http) => http::ask(target, http, files).await,
        Kind::Exchange(exchange) => exchange::ask(target, exchange, files).await,
        Kind::Postgres(postgres) => postgres::ask(target, postgres, files).await,
        Kind::Mysql(mysql) => mysql::ask(target, mysql, files).await,
        Kind::Redis(redis) => redis::ask(target, redis, files).await,
    }
}

/// A conversation that came to its answer.
struct Talk {
    answer: Result<Answer, ProbeError>,
    /// Takes leave, so that the server does not count a client that broke off.
    goodbye: Goodbye,
}

type Goodbye = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What moves the bytes of a library's connection, while something is asked over it and when it is left.
struct Driver(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Driver {
    fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }

    /// Does `work`. If the connection ends first, the work still finds what came over it, or finds it closed.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Some(driver) = &mut self.0 {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = driver => {}
            }
            // It may not be asked again.
            self.0 = None;
        }
        work.await
    }

    /// Goes on until the connection has ended.
    async fn end(self) {
        if let Some(driver) = self.0 {
            driver.await;
        }
    }
}

/// How long a server has to take leave.
const GOODBYE_MAX: Duration = Duration::from_millis(100);

/// How much of an answer is looked at, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
