//! The results of requests: how many were answered, after how long, and why others were not.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::schedule::Pace;

/// The results of one share of the load.
pub(crate) struct Record {
    window: Window,
    pace: Pace,
    /// In nanoseconds.
    latencies: Histogram<u64>,
    bytes: u64,
    failed: Failed,
    /// When the last counted request was answered.
    last_answer: Option<Instant>,
}

/// The counted time, after the warm-up.
///
/// By [`Pace::Answers`], a response counts if it arrived within it: requests in progress at the end make up for
/// those in progress at the beginning. At a rate, a request counts if it was due within it, whenever its response
/// arrived: slow ones must not be left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// When it was due.
    pub(crate) due: Instant,
    /// The bytes of its response, or why there was none.
    pub(crate) result: Result<u64, Failure>,
}

/// Why a request has no valid response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection could be established.
    Connect,
    /// The connection ended before the response did.
    Reset,
    /// No response arrived in time.
    Timeout,
    /// The status was not one of success.
    Status,
    /// The response could not be parsed.
    Protocol,
}

/// The printed report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Answered with success.
    pub(crate) requests: u64,
    /// The duration: the requested time; at a rate, up to the last response if that came later, so that requests
    /// per second are those the balancer could do.
    pub(crate) seconds: f64,
    /// Bytes of those responses, including heads.
    pub(crate) bytes: u64,
    pub(crate) failed: Failed,
    /// From when a request was due until its response was complete.
    pub(crate) latency_us: Latency,
}

/// Requests without a valid response, by [`Failure`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Failed {
    pub(crate) connect: u64,
    pub(crate) reset: u64,
    pub(crate) timeout: u64,
    pub(crate) status: u64,
    pub(crate) protocol: u64,
}

/// In microseconds; all 0 if there was no response.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) max: f64,
}

impl Record {
    /// Empty.
    pub(crate) fn new(window: Window, pace: Pace) -> Self {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX, SIGNIFICANT_DIGITS);
        Self {
            window,
            pace,
            latencies: latencies.expect("the bounds are in order"),
            bytes: 0,
            failed: Failed::default(),
            last_answer: None,
        }
    }

    /// Records the result of a request, known at `now`.
    pub(crate) fn on_outcome(&mut self, outcome: &Outcome, now: Instant) {
        match outcome.result {
            Ok(bytes) => self.on_answer(outcome.due, now, bytes),
            Err(failure) => self.on_failure(outcome.due, now, failure),
        }
    }

    fn on_answer(&mut self, due: Instant, now: Instant, bytes: u64) {
        if !self.counts(due, now) || (self.pace == Pace::Answers && now >= self.window.until) {
            return;
        }
        let latency = now.saturating_duration_since(due).as_nanos();
        self.latencies.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX));
        self.bytes += bytes;
        self.last_answer = Some(now);
    }

    fn on_failure(&mut self, due: Instant, now: Instant, failure: Failure) {
        if self.counts(due, now) {
            *self.failed.of(failure) += 1;
        }
    }

    fn counts(&self, due: Instant, now: Instant) -> bool {
        match self.pace {
            Pace::Answers => now >= self.window.from,
            Pace::Rate(_) => due >= self.window.from,
        }
    }

    /// Adds the results of another share of the same load.
    pub(crate) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("their bounds are the same");
        self.bytes += other.bytes;
        self.failed.add(other.failed);
        self.last_answer = self.last_answer.max(other.last_answer);
    }

    /// The report.
    pub(crate) fn report(&self) -> Report {
        let end = self.last_answer.map_or(self.window.until, |last| last.max(self.window.until));
        let quantile = |quantile| micros(self.latencies.value_at_quantile(quantile));
        Report {
            requests: self.latencies.len(),
            seconds: (end - self.window.from).as_secs_f64(),
            bytes: self.bytes,
            failed: self.failed,
            latency_us: Latency {
                mean: self.latencies.mean() / 1_000.0,
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                p99_9: quantile(0.999),
                max: micros(self.latencies.max()),
            },
        }
    }
}

impl Failed {
    fn of(&mut self, failure: Failure) -> &mut u64 {
        match failure {
            Failure::Connect => &mut self.connect,
            Failure::Reset => &mut self.reset,
            Failure::Timeout => &mut self.timeout,
            Failure::Status => &mut self.status,
            Failure::Protocol => &mut self.protocol,
        }
    }

    fn add(&mut self, other: Self) {
        self.connect += other.connect;
        self.reset += other.reset;
        self.timeout += other.timeout;
        self.status += other.status;
        self.protocol += other.protocol;
    }
}

fn micros(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e6
}

/// A minute, in nanoseconds; longer latencies count as this.
const LATENCY_MAX: u64 = 60_000_000_000;

/// The precision of a latency: a thousandth of its value.
const SIGNIFICANT_DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::{Duration, Instant};

    use super::{Failed, Failure, Outcome, Record, Window};
    use crate::clock::clock;
    use crate::schedule::Pace;

    const RATE: Pace = Pace::Rate(NonZeroU32::MIN);

    #[test]
    fn what_counts() {
        // The window is from 1000 to 3000. Due, answered.
        check(Pace::Answers, (500, 999), 0);
        check(Pace::Answers, (500, 1_000), 1);
        check(Pace::Answers, (2_500, 2_999), 1);
        check(Pace::Answers, (2_500, 3_000), 0);
        check(RATE, (999, 1_500), 0);
        check(RATE, (1_000, 1_500), 1);
        check(RATE, (2_999, 4_500), 1);
    }

    #[track_caller]
    fn check(pace: Pace, (due, now): (u64, u64), expected: u64) {
        let (start, mut record) = record(pace);
        record.on_outcome(&Outcome { due: at(start, due), result: Ok(7) }, at(start, now));
        assert_eq!(record.report().requests, expected);
        assert_eq!(record.report().bytes, 7 * expected);
    }

    #[test]
    fn latency_is_from_when_it_was_due() {
        let (start, mut record) = record(RATE);
        for number in 0..1_000 {
            // They were due a millisecond apart, and a balancer that stalled answered all of them at 2000.
            let outcome = Outcome { due: at(start, 1_000 + number), result: Ok(1) };
            record.on_outcome(&outcome, at(start, 2_000));
        }
        let report = record.report();
        assert_eq!(report.requests, 1_000);
        let near = |value: f64, expected: f64| (value - expected).abs() / expected < 0.002;
        assert!(near(report.latency_us.p50, 500_000.0), "{report:?}");
        assert!(near(report.latency_us.p90, 900_000.0), "{report:?}");
        assert!(near(report.latency_us.max, 1_000_000.0), "{report:?}");
        assert!(near(report.latency_us.mean, 500_500.0), "{report:?}");
    }

    #[test]
    fn the_time_is_until_the_last_answer() {
        let (start, mut record) = record(RATE);
        record.on_outcome(&Outcome { due: at(start, 1_500), result: Ok(1) }, at(start, 1_600));
        assert!((record.report().seconds - 2.0).abs() < 1e-9);
        record.on_outcome(&Outcome { due: at(start, 2_500), result: Ok(1) }, at(start, 4_000));
        assert!((record.report().seconds - 3.0).abs() < 1e-9);
    }

    #[test]
    fn failures_by_reason_and_shares_together() {
        let (start, mut one) = record(Pace::Answers);
        let (_, mut other) = record(Pace::Answers);
        let failure = |failure| Outcome { due: at(start, 500), result: Err(failure) };
        one.on_outcome(&failure(Failure::Connect), at(start, 900));
        one.on_outcome(&failure(Failure::Connect), at(start, 2_000));
        other.on_outcome(&failure(Failure::Reset), at(start, 2_000));
        // It fails only after the end, and still has to be reported.
        other.on_outcome(&failure(Failure::Timeout), at(start, 5_000));
        one.add(&other);
        assert_eq!(one.report().failed, Failed { connect: 1, reset: 1, timeout: 1, ..Failed::default() });
    }

    #[test]
    fn printed() {
        let (_, record) = record(RATE);
        assert_eq!(
            serde_json::to_string(&record.report()).unwrap(),
            r#"{"requests":0,"seconds":2.0,"bytes":0,"failed":{"connect":0,"reset":0,"timeout":0,"status":0,"protocol":0},"latency_us":{"mean":0.0,"p50":0.0,"p90":0.0,"p99":0.0,"p99_9":0.0,"max":0.0}}"#
        );
    }

    fn record(pace: Pace) -> (Instant, Record) {
        let start = clock();
        (start, Record::new(Window { from: at(start, 1_000), until: at(start, 3_000) }, pace))
    }

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }
}
