//! A probe that connects.
//!
//! MySQL and MariaDB count each client that goes away before it has tried to log in. After `max_connect_errors` of them, which is
//! 100 unless told otherwise, they let no client of its host in any more. So where a server greets as they do, the probe tries to
//! log in, and is refused: that is not counted.

use std::time::Duration;

use tokio::time::timeout;

use super::mysql::{self, Failure, Session};
use super::stream::connect;
use super::talk::Talk;
use crate::answer::{Answer, ProbeError};
use crate::target::Target;

pub(super) async fn ask(target: &Target) -> Result<Talk, ProbeError> {
    let mut session = Session::new(connect(target).await?);
    if target.probed_address().port() != mysql::PORT {
        let leave = async {
            // A server that speaks first does so at once.
            let greeting = timeout(GREETING_MAX, session.greeting()).await.ok();
            leave(session, greeting).await;
        };
        return Ok(Talk { answer: Ok(Answer::default()), goodbye: Box::pin(leave) });
    }
    // One that is busy, or looks up the name of this host, takes its time.
    let greeting = timeout(target.probe.rhythm.timeout / 2, session.greeting()).await.ok();
    match greeting {
        // It refuses whoever comes.
        Some(Err(refusal @ Failure::Said { .. })) => {
            let answer = refusal.role().map(|_| Answer::default());
            Ok(Talk { answer, goodbye: Box::pin(session.leave()) })
        }
        greeting => Ok(Talk { answer: Ok(Answer::default()), goodbye: Box::pin(leave(session, greeting)) }),
    }
}

/// Ends a conversation that began with `greeting`, if anything was said.
async fn leave(session: Session, greeting: Option<Result<mysql::Greeting, Failure>>) {
    match greeting {
        Some(Ok(greeting)) => session.be_refused(&greeting).await,
        _ => session.leave().await,
    }
}

/// How long a server is given to greet, at a port that is not [the usual one](mysql::PORT).
const GREETING_MAX: Duration = Duration::from_millis(10);
