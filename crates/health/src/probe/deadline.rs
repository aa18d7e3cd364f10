//! A deadline that knows when it was this process, rather than the server, that was late.
//!
//! If the thread gets no CPU, the answer and the deadline are both noticed late. Then the answer is looked at first, and if
//! the next step of the conversation is still to come, it gets the time that was lost.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// There was enough time, and nothing came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elapsed;

/// Does `work` within `limit` of running time.
pub(super) async fn patient<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut work = pin!(work);
    let mut deadline = Instant::now() + limit;
    for _ in 0..=EXTENSIONS_MAX {
        // It polls the work before the clock, however late.
        if let Ok(done) = timeout_at(deadline, &mut work).await {
            return Ok(done);
        }
        let late = deadline.elapsed();
        if late < STARVED_FROM {
            return Err(Elapsed);
        }
        deadline = Instant::now() + late.min(limit);
    }
    Err(Elapsed)
}

/// A timer that fires this late was not looked at in time.
const STARVED_FROM: Duration = Duration::from_millis(50);

/// How often the lost time is given back. After that something else is wrong, and a probe has to end.
const EXTENSIONS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::task::{JoinHandle, yield_now};
    use tokio::time::{advance, resume};

    use super::{Elapsed, patient};

    const LIMIT: Duration = Duration::from_secs(1);

    /// A probe that waits for an answer; the clock stands still but for `advance`, or when all sleep.
    async fn waiting() -> (oneshot::Sender<&'static str>, JoinHandle<Result<&'static str, Elapsed>>) {
        let (answer, answered) = oneshot::channel();
        let probe = tokio::spawn(patient(LIMIT, async { answered.await.unwrap() }));
        yield_now().await;
        (answer, probe)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_noticed_after_the_deadline_counts() {
        let (answer, probe) = waiting().await;
        // Both before the probe runs again.
        answer.send("well").unwrap();
        advance(10 * LIMIT).await;
        assert_eq!(probe.await.unwrap(), Ok("well"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_in_which_the_process_stood_still_does_not_count() {
        let (answer, probe) = waiting().await;
        advance(10 * LIMIT).await;
        yield_now().await;
        assert!(!probe.is_finished());
        advance(LIMIT / 2).await;
        answer.send("well").unwrap();
        assert_eq!(probe.await.unwrap(), Ok("well"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_in_time_has_failed() {
        let (_silent, probe) = waiting().await;
        assert_eq!(probe.await.unwrap(), Err(Elapsed));

        // Nor does a process that always stands still wait for ever.
        let (_silent, probe) = waiting().await;
        for _ in 0..10 {
            advance(10 * LIMIT).await;
            yield_now().await;
        }
        assert!(probe.is_finished());
        resume();
    }
}
