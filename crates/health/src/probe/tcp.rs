//! A probe that connects.
//!
//! MySQL and MariaDB count each client that disconnects before it has tried to log in. After `max_connect_errors`
//! of them, by default 100, they block the host. Therefore, if a server greets as they do, the probe attempts a
//! login, which is rejected and not counted.

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
    // A server that is busy, or resolves the name of this host, needs more time.
    let greeting = timeout(target.probe.rhythm.timeout / 2, session.greeting()).await.ok();
    match greeting {
        // It rejects every client.
        Some(Err(refusal @ Failure::Said { .. })) => {
            let answer = refusal.role().map(|_| Answer::default());
            Ok(Talk { answer, goodbye: Box::pin(session.leave()) })
        }
        greeting => Ok(Talk { answer: Ok(Answer::default()), goodbye: Box::pin(leave(session, greeting)) }),
    }
}

/// Ends a conversation that began with `greeting`, if there was one.
async fn leave(session: Session, greeting: Option<Result<mysql::Greeting, Failure>>) {
    match greeting {
        Some(Ok(greeting)) => session.be_refused(&greeting).await,
        _ => session.leave().await,
    }
}

/// How long a server has to greet, at a port other than [the default](mysql::PORT).
const GREETING_MAX: Duration = Duration::from_millis(10);
