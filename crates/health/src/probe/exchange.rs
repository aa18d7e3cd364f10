//! A probe that sends bytes and expects others.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::files::Files;
use super::stream::{Wire, farewell, is_end, wire};
use super::talk::{ANSWER_MAX, Talk};
use crate::answer::Text;
use crate::answer::{Answer, ProbeError};
use crate::target::Target;
use config::probe::Exchange;

pub(super) async fn ask(target: &Target, exchange: &Exchange, files: &Files) -> Result<Talk, ProbeError> {
    let mut wire = wire(target, exchange.tls.as_ref(), files).await?;
    wire.write_all(&exchange.send).await?;
    wire.flush().await?;
    let answer = expect(&mut wire, &exchange.expect).await;
    let last_words = exchange.goodbye.clone();
    let goodbye = Box::pin(async move {
        if wire.write_all(&last_words).await.is_ok() {
            farewell(wire).await;
        }
    });
    Ok(Talk { answer, goodbye })
}

/// Reads until `expected` has arrived; a part of it is neither a success nor a failure.
async fn expect(wire: &mut impl Wire, expected: &[u8]) -> Result<Answer, ProbeError> {
    let mut received = Vec::new();
    loop {
        // It may begin in what arrived before, but not end there.
        let from = received.len().saturating_sub(expected.len().saturating_sub(1));
        match wire.read_buf(&mut received).await {
            Ok(1..) if contains(&received[from..], expected) => return Ok(Answer::default()),
            Ok(1..) if received.len() <= ANSWER_MAX => {}
            Ok(0) if received.is_empty() => return Err(ProbeError::Closed),
            Err(error) if received.is_empty() || !is_end(&error) => return Err(error.into()),
            // Another answer, possibly at the end of the connection: its text is the better error.
            Ok(_) | Err(_) => return Err(unexpected(&received)),
        }
    }
}

/// Whether `bytes` contain `part`.
pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

fn unexpected(received: &[u8]) -> ProbeError {
    ProbeError::UnexpectedAnswer(Text::new(format_args!("\"{}\"", received.escape_ascii())))
}
