//! A probe that connects.

use super::stream::{connect, farewell};
use super::{Answer, ProbeError, Talk, Target};

pub(super) async fn ask(target: &Target) -> Result<Talk, ProbeError> {
    let stream = connect(target).await?;
    Ok(Talk { answer: Ok(Answer::default()), goodbye: Box::pin(farewell(stream)) })
}
