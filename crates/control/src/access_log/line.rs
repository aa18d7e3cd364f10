//! What is said of a connection that has ended: as text in the shape of HAProxy's `option tcplog`, or as JSON.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use connection::{Direction, Stage, Termination};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use table::Pool;
use worker::Record;

/// What is said of a connection that has ended; a line of the access log as JSON. Its texts are owned, or borrowed where it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended<S = String> {
    /// When the client was accepted, in UTC: `2026-11-25T20:15:00.123456Z`.
    pub accepted_at: S,
    /// When it ended, likewise; none in a line of the log, which has how long it lived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<S>,
    /// The client's address; none if it was gone before it could be asked for.
    pub client: Option<SocketAddr>,
    /// The listener's name.
    pub listener: S,
    /// The pool's name.
    pub pool: S,
    /// The name of the backend that it had, or that was tried last; none if none was.
    pub backend: Option<S>,
    /// Its address.
    pub backend_address: Option<SocketAddr>,
    /// How long it waited for a place or for a primary, in milliseconds.
    pub waited_ms: f64,
    /// How long it was connecting, all attempts together, in milliseconds; none if it never had a backend.
    pub connect_ms: Option<f64>,
    /// How long it lived from when it was accepted, in milliseconds.
    pub duration_ms: f64,
    /// Bytes that the client sent and the backend was given.
    pub bytes_to_backend: u64,
    /// Bytes that the backend sent and the client was given.
    pub bytes_to_client: u64,
    /// How it ended.
    pub termination: EndedTermination<S>,
    /// Attempts to connect beyond the first, each at another backend than the one before, or by another table.
    pub retries: u8,
    /// How many clients waited before it when it began to wait, for the last time if it did so more than once.
    pub waited_behind: u32,
    /// How many connections there were when this was written, this one no longer among them.
    pub connections: Counts,
    /// The number of the worker that had it.
    pub worker: usize,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTermination<S = String> {
    /// The two letters.
    pub code: S,
    /// Why, as in the metrics.
    pub reason: S,
    /// What the two letters mean.
    pub text: S,
}

/// How many connections there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// In the process.
    pub process: u32,
    /// Of the listener.
    pub listener: u32,
    /// To the pool's backends.
    pub pool: u32,
    /// To the backend.
    pub backend: u32,
}

/// How many connections pools have: each is asked once for a batch of lines, as it may have thousands of backends.
#[derive(Default)]
pub(super) struct PoolCounts(HashMap<*const Pool, u32>);

impl PoolCounts {
    fn of(&mut self, pool: &Pool) -> u32 {
        let sum = || pool.backends.iter().map(|backend| backend.gate.active()).fold(0, u32::saturating_add);
        *self.0.entry(std::ptr::from_ref(pool)).or_insert_with(sum)
    }
}

impl<'a> Ended<&'a str> {
    /// What is said of this one of this worker's. `process` is how many connections the process has.
    pub(super) fn new(
        record: &'a Record,
        worker: usize,
        accepted_at: &'a str,
        process: u32,
        pools: &mut PoolCounts,
    ) -> Self {
        let Record { listener, pool, backend, client, stats: facts, ended_at, reason, stage } = record;
        let termination = Termination::of(*reason, *stage);
        let connected = matches!(stage, Stage::Relaying { .. });
        Self {
            accepted_at,
            ended_at: None,
            client: *client,
            listener: &listener.name,
            pool: &pool.name,
            backend: backend.as_ref().map(|backend| backend.name.as_str()),
            backend_address: backend.as_ref().map(|backend| backend.address),
            waited_ms: millis(facts.waited.into()),
            connect_ms: connected.then(|| millis(facts.connecting.into())),
            duration_ms: millis(ended_at.saturating_duration_since(facts.accepted_at)),
            bytes_to_backend: facts.bytes[Direction::ToBackend as usize],
            bytes_to_client: facts.bytes[Direction::ToClient as usize],
            termination: EndedTermination {
                code: termination.code,
                reason: reason.name(),
                text: termination.text,
            },
            retries: facts.attempts.saturating_sub(1),
            waited_behind: facts.ahead,
            connections: Counts {
                process,
                listener: listener.gate.active(),
                pool: pools.of(pool),
                backend: backend.as_ref().map_or(0, |backend| backend.gate.active()),
            },
            worker,
        }
    }

    /// The same, for keeping, with when it ended.
    pub(super) fn kept(&self, ended_at: &str) -> Ended {
        Ended {
            accepted_at: self.accepted_at.to_owned(),
            ended_at: Some(ended_at.to_owned()),
            client: self.client,
            listener: self.listener.to_owned(),
            pool: self.pool.to_owned(),
            backend: self.backend.map(str::to_owned),
            backend_address: self.backend_address,
            waited_ms: self.waited_ms,
            connect_ms: self.connect_ms,
            duration_ms: self.duration_ms,
            bytes_to_backend: self.bytes_to_backend,
            bytes_to_client: self.bytes_to_client,
            termination: EndedTermination {
                code: self.termination.code.to_owned(),
                reason: self.termination.reason.to_owned(),
                text: self.termination.text.to_owned(),
            },
            retries: self.retries,
            waited_behind: self.waited_behind,
            connections: self.connections,
            worker: self.worker,
        }
    }

    /// `client:port [accept_date] listener pool/backend Tw/Tc/Tt bytes code actconn/feconn/beconn/srv_conn/retries
    /// srv_queue/backend_queue`, as HAProxy has them. What no number can be given for is `-1`, and no backend `<NOSRV>`.
    pub(super) fn write_text(&self, to: &mut Vec<u8>) {
        let Counts { process, listener, pool, backend } = self.connections;
        let Date { year, month, day, time } = Date::of(self.accepted_at);
        match self.client {
            Some(client) => write!(to, "{client}"),
            None => write!(to, "-"),
        }
        .and_then(|()| {
            writeln!(
                to,
                " [{day}/{month}/{year}:{time}] {} {}/{} {}/{}/{} {} {} {process}/{listener}/{pool}/{backend}/{}{} 0/{}",
                self.listener,
                self.pool,
                self.backend.unwrap_or("<NOSRV>"),
                whole(self.waited_ms),
                self.connect_ms.map_or(-1, whole),
                whole(self.duration_ms),
                self.bytes_to_client,
                self.termination.code,
                // As HAProxy marks that it was another server.
                if self.retries > 0 { "+" } else { "" },
                self.retries,
                self.waited_behind,
            )
        })
        .expect("a Vec takes everything");
    }

    pub(super) fn write_json(&self, to: &mut Vec<u8>) {
        serde_json::to_writer(&mut *to, self).expect("a Vec takes everything, and keys are strings");
        to.push(b'\n');
    }
}

/// One moment on both clocks: the one that no one sets, and the time of day.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) instant: Instant,
    pub(super) time: SystemTime,
}

/// Writes times of day in UTC, by RFC 3339 with microseconds. The second that was written last is worked out once: connections come
/// many in a second.
#[derive(Default)]
pub(super) struct Calendar {
    /// Since 1970.
    second: u64,
    /// As it is written, up to the point; nothing before the first.
    date: String,
}

impl Clock {
    /// The time of day then.
    pub(super) fn time(self, then: Instant) -> SystemTime {
        let ago = self.instant.saturating_duration_since(then);
        self.time.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Calendar {
    pub(super) fn write(&mut self, time: SystemTime, to: &mut String) {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.date.is_empty() || self.second != since.as_secs() {
            self.turn_to(since.as_secs());
        }
        to.clear();
        to.push_str(&self.date);
        write!(to, "{:06}Z", since.subsec_micros()).expect("a String takes everything");
    }

    fn turn_to(&mut self, second: u64) {
        let stamp = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
        let date = TimeZone::UTC.to_datetime(stamp.unwrap_or(Timestamp::UNIX_EPOCH));
        self.second = second;
        self.date.clear();
        write!(
            self.date,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.",
            date.year(),
            date.month(),
            date.day(),
            date.hour(),
            date.minute(),
            date.second(),
        )
        .expect("a String takes everything");
    }
}

/// A date by RFC 3339, taken apart for HAProxy's way to write it, which has milliseconds.
struct Date<'a> {
    year: &'a str,
    month: &'static str,
    day: &'a str,
    time: &'a str,
}

impl<'a> Date<'a> {
    fn of(date: &'a str) -> Self {
        let part = |range| date.get(range).unwrap_or_default();
        let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
        Self {
            year: part(0..4),
            month: month.copied().unwrap_or_default(),
            day: part(8..10),
            time: part(11..23),
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn millis(duration: Duration) -> f64 {
    // By whole microseconds, so that no digit is made up.
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
    let micros = duration.as_micros() as f64;
    micros / 1000.0
}

/// Whole milliseconds, as HAProxy has them.
fn whole(millis: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fraction is cut off, and no connection lives for so long"
    )]
    let whole = millis as i64;
    whole
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant, SystemTime};

    use connection::{CloseReason, Direction, Stage};
    use table::{Sockets, Table};
    use worker::{ConnectionStats, Micros, Record};

    use super::{Calendar, Clock, Ended, PoolCounts};
    use crate::reload::tests::config;

    #[test]
    fn a_line_has_the_fields_of_haproxy() {
        check(
            &record(CloseReason::Done, RELAYED, true),
            "192.0.2.7:4711 [25/Nov/2026:20:15:00.123] web app/a 3/12/1500 20 -- 0/1/0/0/+1 0/2\n",
            r#"{"accepted_at":"2026-11-25T20:15:00.123456Z","client":"192.0.2.7:4711","listener":"web","pool":"app","backend":"a","backend_address":"10.0.0.1:80","waited_ms":3.25,"connect_ms":12.0,"duration_ms":1500.001,"bytes_to_backend":10,"bytes_to_client":20,"termination":{"code":"--","reason":"done","text":"Both sides finished, and all they sent was delivered."},"retries":1,"waited_behind":2,"connections":{"process":0,"listener":1,"pool":0,"backend":0},"worker":1}
"#,
        );
    }

    #[test]
    fn what_there_was_not_is_said_so() {
        let mut record = record(CloseReason::NoBackend, Stage::Connecting, false);
        record.client = None;
        let text = lines(&record).0;
        assert_eq!(text, "- [25/Nov/2026:20:15:00.123] web app/<NOSRV> 3/-1/1500 20 SC 0/1/0/0/+1 0/2\n");
        let kept: Ended = serde_json::from_str(&lines(&record).1).unwrap();
        assert_eq!(
            (kept.backend, kept.backend_address, kept.client, kept.connect_ms),
            (None, None, None, None)
        );
    }

    #[test]
    fn what_is_kept_is_what_is_written() {
        let record = record(CloseReason::Idle, RELAYED, true);
        let (_, json) = lines(&record);
        let mut pools = PoolCounts::default();
        let ended_at = "2026-11-25T20:15:01.623457Z";
        let kept = Ended::new(&record, 1, "2026-11-25T20:15:00.123456Z", 0, &mut pools).kept(ended_at);
        let written: Ended = serde_json::from_str(&json).unwrap();
        assert_eq!(Ended { ended_at: Some(ended_at.to_owned()), ..written }, kept);
    }

    #[test]
    fn dates_go_on_and_back() {
        let mut calendar = Calendar::default();
        let mut written = String::new();
        for (micros, date) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (951_782_400_999_999, "2000-02-29T00:00:00.999999Z"),
            (951_782_401_000_000, "2000-02-29T00:00:01.000000Z"),
            (951_782_399_500_000, "2000-02-28T23:59:59.500000Z"),
        ] {
            calendar.write(SystemTime::UNIX_EPOCH + Duration::from_micros(micros), &mut written);
            assert_eq!(written, date);
        }
    }

    /// One that is told from others by its bytes.
    pub(in crate::access_log) fn ended(bytes_to_client: u64) -> Ended {
        let (_, json) = lines(&record(CloseReason::Done, RELAYED, true));
        Ended { bytes_to_client, ..serde_json::from_str(&json).unwrap() }
    }

    const RELAYED: Stage = Stage::Relaying { last: Direction::ToClient, finished: None };

    #[track_caller]
    fn check(record: &Record, text: &str, json: &str) {
        assert_eq!(lines(record), (text.to_owned(), json.to_owned()));
    }

    /// As text and as JSON, at a quarter past eight and two seconds.
    fn lines(record: &Record) -> (String, String) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_637_702_123_456);
        let clock = Clock { instant: record.stats.accepted_at + Duration::from_secs(2), time };
        let mut stamp = String::new();
        Calendar::default().write(clock.time(record.stats.accepted_at), &mut stamp);
        let ended = Ended::new(record, 1, &stamp, 0, &mut PoolCounts::default());
        let (mut text, mut json) = (Vec::new(), Vec::new());
        ended.write_text(&mut text);
        ended.write_json(&mut json);
        (String::from_utf8(text).unwrap(), String::from_utf8(json).unwrap())
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
    fn record(reason: CloseReason, stage: Stage, tried: bool) -> Record {
        let sockets = vec![Arc::new(Sockets::new(Vec::new()))];
        let table = Table::build(&config(&["web 127.0.0.1:80"]), sockets, 2, None, None);
        let listener = Arc::clone(&table.listeners[0]);
        assert!(listener.gate.enter(2));
        let accepted_at = Instant::now();
        let time = |micros| {
            let mut time = Micros::default();
            time.add(accepted_at, accepted_at + Duration::from_micros(micros));
            time
        };
        let facts = ConnectionStats {
            accepted_at,
            waited: time(3_250),
            connecting: time(12_000),
            ahead: 2,
            attempts: 2,
            last: Direction::ToClient,
            bytes: [10, 20],
        };
        Record {
            pool: Arc::clone(&listener.pool),
            backend: tried.then(|| Arc::clone(&listener.pool.backends[0])),
            listener,
            client: Some("192.0.2.7:4711".parse().unwrap()),
            stats: facts,
            ended_at: accepted_at + Duration::from_nanos(1_500_001_900),
            reason,
            stage,
        }
    }
}
