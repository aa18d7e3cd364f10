//! One probe, from its begin to its answer: a conversation with a deadline, ended the way its protocol wants it.

mod deadline;
mod exchange;
mod http;
mod mysql;
mod postgres;
mod redis;
mod secret;
mod stream;
mod tcp;
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::answer::{Answer, ProbeError};
use crate::settings::{Kind, Target};

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
    let begun = Instant::now();
    let asked = deadline::patient(target.probe.rhythm.timeout, ask(target)).await;
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

async fn ask(target: &Target) -> Result<Talk, ProbeError> {
    match &target.probe.kind {
        Kind::Tcp => tcp::ask(target).await,
        Kind::Http(http) => http::ask(target, http).await,
        Kind::Exchange(exchange) => exchange::ask(target, exchange).await,
        Kind::Postgres(postgres) => postgres::ask(target, postgres).await,
        Kind::Mysql(mysql) => mysql::ask(target, mysql).await,
        Kind::Redis(redis) => redis::ask(target, redis).await,
    }
}

/// A conversation that came to its answer.
struct Talk {
    answer: Result<Answer, ProbeError>,
    /// Takes leave, so that the server does not count a client that broke off.
    goodbye: Goodbye,
}

type Goodbye = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What drives a connection of a library while something is asked over it.
type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Does `work` while `driver` moves its bytes; none if the connection ended first.
async fn beside<T>(driver: &mut Driver, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // The work first: an answer counts even if the server has closed right after it.
        biased;
        done = work => Some(done),
        () = driver => None,
    }
}

/// How long a server has to take leave.
const GOODBYE_MAX: Duration = Duration::from_millis(100);

/// How much of an answer is looked at, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
