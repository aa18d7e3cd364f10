//! A deadline that takes delays of this process into account.
//!
//! If the thread gets no CPU, both the answer and the deadline are noticed late. In that case the answer is read
//! first, and if another step of the conversation is missing, the lost time is added to the deadline.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// The time was sufficient, and no answer came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elapsed;

/// Runs `work` within `limit` of running time.
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

/// If a timer fires this late, the thread had no CPU.
const STARVED_FROM: Duration = Duration::from_millis(50);

/// How often lost time is added. After that there is another problem, and a probe has to end.
const EXTENSIONS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::task::{JoinHandle, yield_now};
    use tokio::time::{advance, resume};

    use super::{Elapsed, patient};

    const LIMIT: Duration = Duration::from_secs(1);

    /// A probe that waits for an answer; the clock advances only by `advance`, or when all tasks sleep.
    async fn waiting() -> (oneshot::Sender<&'static str>, JoinHandle<Result<&'static str, Elapsed>>) {
        let (answer, answered) = oneshot::channel();
        let probe = tokio::spawn(patient(LIMIT, async { answered.await.unwrap() }));
        yield_now().await;
        (answer, probe)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_noticed_after_the_deadline_counts() {
        let (answer, probe) = waiting().await;
        // Both before the probe is polled again.
        answer.send("well").unwrap();
        advance(10 * LIMIT).await;
        assert_eq!(probe.await.unwrap(), Ok("well"));
    }

    #[tokio::test(start_paused = true)]
    async fn time_without_cpu_does_not_count() {
        let (answer, probe) = waiting().await;
        advance(10 * LIMIT).await;
        yield_now().await;
        assert!(!probe.is_finished());
        advance(LIMIT / 2).await;
        answer.send("well").unwrap();
        assert_eq!(probe.await.unwrap(), Ok("well"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_fails_the_probe() {
        let (_silent, probe) = waiting().await;
        assert_eq!(probe.await.unwrap(), Err(Elapsed));

        // A process without CPU does not wait indefinitely either.
        let (_silent, probe) = waiting().await;
        for _ in 0..10 {
            advance(10 * LIMIT).await;
            yield_now().await;
        }
        assert!(probe.is_finished());
        resume();
    }
}
