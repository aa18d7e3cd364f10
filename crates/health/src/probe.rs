//! One probe, from its start to its answer: a conversation with a deadline that ends as its protocol requires.

mod deadline;
mod error_class;
mod exchange;
mod files;
mod http;
mod local;
mod mysql;
mod postgres;
mod redis;
mod stream;
mod talk;
mod tcp;
mod tls;

pub use self::local::{Local, Place, local};

use std::time::Duration;

use tokio::time::{Instant, timeout};

use self::files::Files;
use self::talk::{GOODBYE_MAX, Talk};
use crate::answer::{Answer, ProbeError};
use crate::target::Target;
use config::probe::Kind;

/// The result of a probe.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer, or why there is none.
    pub answer: Result<Answer, ProbeError>,
    /// From the start to the answer, without the goodbye.
    pub latency: Duration,
}

/// Runs one probe.
///
/// It needs a tokio runtime with I/O and time, and keeps at most one descriptor open.
pub async fn probe(target: &Target) -> Outcome {
    probe_with_certificate(target).await.0
}

/// Runs one probe, and returns the certificate of the server too, DER; none without TLS, or if TLS did not accept it.
pub async fn probe_with_certificate(target: &Target) -> (Outcome, Option<Vec<u8>>) {
    let files = match Files::read(&target.probe.kind).await {
        Ok(files) => files,
        Err(error) => return (Outcome { answer: Err(error), latency: Duration::ZERO }, None),
    };
    let begun = Instant::now();
    let asked = deadline::patient(target.probe.rhythm.timeout, ask(target, &files)).await;
    let latency = begun.elapsed();
    let answer = match asked {
        Err(deadline::Elapsed) => Err(ProbeError::Timeout),
        Ok(Err(error)) => Err(error),
        Ok(Ok(talk)) => {
            // If the server does not close in time, the connection is dropped. The answer still counts.
            let _ = timeout(GOODBYE_MAX, talk.goodbye).await;
            talk.answer
        }
    };
    (Outcome { answer, latency }, files.shown.get().cloned())
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
