//! A line of the access log: text in the format of HAProxy's `option tcplog`, or JSON.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use api::{ConnectionCounts, Ended};
use connection::{Direction, Stage, Termination};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use table::Pool;
use worker::{Asked, Record};

/// Connections by pool, computed once per batch of lines: a pool may have thousands of backends.
#[derive(Default)]
pub(crate) struct PoolCounts(HashMap<*const Pool, u32>);

impl PoolCounts {
    fn of(&mut self, pool: &Pool) -> u32 {
        let sum =
            || pool.backends.iter().map(|backend| backend.semaphore.active()).fold(0, u32::saturating_add);
        *self.0.entry(std::ptr::from_ref(pool)).or_insert_with(sum)
    }
}

/// A line of the log, before it is formatted.
#[derive(Debug)]
pub(crate) struct Line<'a>(pub(crate) Ended<&'a str>);

impl<'a> Line<'a> {
    /// A line for a record of this worker. `process` is the number of connections of the process.
    pub(crate) fn new(
        record: &'a Record,
        worker: usize,
        accepted_at: &'a str,
        process: u32,
        pools: &mut PoolCounts,
    ) -> Self {
        let Record { listener, pool, backend, client, introduction, stats, ended_at, reason, stage } = record;
        let introduction = introduction.as_deref();
        let lived = ended_at.saturating_duration_since(stats.accepted_at);
        let opening = introduction.and_then(|introduction| introduction.opening).map(Duration::from);
        let opening = opening.or((*stage == Stage::Opening).then_some(lived));
        let unique_id = introduction.and_then(|introduction| introduction.unique_id);
        let route = introduction.and_then(|introduction| introduction.route.as_ref());
        let asked = introduction.and_then(|introduction| introduction.asked.as_ref());
        let termination = Termination::of(*reason, *stage);
        let connected = matches!(stage, Stage::Relaying { .. });
        Self(Ended {
            accepted_at,
            ended_at: None,
            client: *client,
            via: introduction.and_then(|introduction| introduction.via),
            listener: &listener.name,
            pool: &pool.name,
            backend: backend.as_ref().map(|backend| backend.name.as_str()),
            backend_address: backend.as_ref().map(|backend| backend.address),
            route: route.map(|route| route.name.as_str()),
            sni: asked.and_then(Asked::shown_name),
            alpn: asked.and_then(Asked::shown_protocols),
            opening_ms: opening.map(millis),
            waited_ms: millis(stats.waited.into()),
            connect_ms: connected.then(|| millis(stats.connecting.into())),
            duration_ms: millis(lived),
            bytes_to_backend: stats.bytes[Direction::ToBackend as usize],
            bytes_to_client: stats.bytes[Direction::ToClient as usize],
            termination: api::Termination {
                code: termination.code,
                reason: reason.name(),
                text: termination.text,
            },
            retries: stats.attempts.saturating_sub(1),
            waited_behind: stats.ahead,
            connections: ConnectionCounts {
                process,
                listener: listener.semaphore.active(),
                pool: pools.of(pool),
                backend: backend.as_ref().map_or(0, |backend| backend.semaphore.active()),
            },
            worker,
            unique_id: unique_id.map(|id| format!("{:032x}", u128::from_be_bytes(id))),
        })
    }

    /// An owned copy, with the time of the end.
    pub(crate) fn to_ended(&self, ended_at: &str) -> Ended {
        Ended {
            accepted_at: self.0.accepted_at.to_owned(),
            ended_at: Some(ended_at.to_owned()),
            client: self.0.client,
            via: self.0.via,
            listener: self.0.listener.to_owned(),
            pool: self.0.pool.to_owned(),
            backend: self.0.backend.map(str::to_owned),
            backend_address: self.0.backend_address,
            route: self.0.route.map(str::to_owned),
            sni: self.0.sni.map(str::to_owned),
            alpn: self.0.alpn.clone(),
            opening_ms: self.0.opening_ms,
            waited_ms: self.0.waited_ms,
            connect_ms: self.0.connect_ms,
            duration_ms: self.0.duration_ms,
            bytes_to_backend: self.0.bytes_to_backend,
            bytes_to_client: self.0.bytes_to_client,
            termination: api::Termination {
                code: self.0.termination.code.to_owned(),
                reason: self.0.termination.reason.to_owned(),
                text: self.0.termination.text.to_owned(),
            },
            retries: self.0.retries,
            waited_behind: self.0.waited_behind,
            connections: self.0.connections,
            worker: self.0.worker,
            unique_id: self.0.unique_id.clone(),
        }
    }

    /// `client:port [accept_date] listener pool/backend Tw/Tc/Tt bytes code
    /// actconn/feconn/beconn/srv_conn/retries srv_queue/backend_queue`, as in HAProxy. A time that does not apply
    /// is `-1`; if there is no backend, it is `<NOSRV>`.
    pub(crate) fn write_text(&self, to: &mut Vec<u8>) {
        let ConnectionCounts { process, listener, pool, backend } = self.0.connections;
        let Date { year, month, day, time } = Date::of(self.0.accepted_at);
        match self.0.client {
            Some(client) => write!(to, "{client}"),
            None => write!(to, "-"),
        }
        .and_then(|()| {
            writeln!(
                to,
                " [{day}/{month}/{year}:{time}] {} {}/{} {}/{}/{} {} {} {process}/{listener}/{pool}/{backend}/{}{} 0/{}",
                self.0.listener,
                self.0.pool,
                self.0.backend.unwrap_or("<NOSRV>"),
                whole(self.0.waited_ms),
                self.0.connect_ms.map_or(-1, whole),
                whole(self.0.duration_ms),
                self.0.bytes_to_client,
                self.0.termination.code,
                // HAProxy's mark for a connection that was redispatched to another server.
                if self.0.retries > 0 { "+" } else { "" },
                self.0.retries,
                self.0.waited_behind,
            )
        })
        .expect("a Vec takes everything");
    }

    pub(crate) fn write_json(&self, to: &mut Vec<u8>) {
        serde_json::to_writer(&mut *to, &self.0).expect("a Vec takes everything, and keys are strings");
        to.push(b'\n');
    }
}

/// One moment on both clocks, monotonic and wall clock.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) instant: Instant,
    pub(crate) time: SystemTime,
}

/// Formats times in UTC, by RFC 3339 with microseconds. It caches the second that was formatted last, because
/// many connections are accepted in a second.
#[derive(Default)]
pub(crate) struct Calendar {
    /// The cached second since 1970.
    second: u64,
    /// Its text up to the decimal point; empty before the first use.
    date: String,
}

impl Clock {
    /// The wall-clock time of `then`.
    pub(crate) fn time(self, then: Instant) -> SystemTime {
        let ago = self.instant.saturating_duration_since(then);
        self.time.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Calendar {
    pub(crate) fn write(&mut self, time: SystemTime, to: &mut String) {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.date.is_empty() || self.second != since.as_secs() {
            self.set_second(since.as_secs());
        }
        to.clear();
        to.push_str(&self.date);
        write!(to, "{:06}Z", since.subsec_micros()).expect("a String takes everything");
    }

    fn set_second(&mut self, second: u64) {
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

/// The parts of an RFC 3339 date that HAProxy's format needs, with milliseconds.
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
    // From whole microseconds, so that the text has at most three decimals.
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
    let micros = duration.as_micros() as f64;
    micros / 1000.0
}

/// Whole milliseconds, as in HAProxy.
fn whole(millis: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fraction is cut off, and no connection lives that long"
    )]
    let whole = millis as i64;
    whole
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant, SystemTime};

    use api::Ended;
    use config::Config;
    use connection::{CloseReason, Direction, Stage};
    use driver::{ListenGroup, Owner};
    use table::Table;
    use worker::{Asked, ConnectionStats, Introduction, Micros, Record};

    use super::{Calendar, Clock, Line, PoolCounts};

    #[test]
    fn a_line_has_the_fields_of_haproxy() {
        check(
            &record(CloseReason::Done, RELAYED, true),
            "192.0.2.7:4711 [25/Nov/2026:20:15:00.123] web app/a 3/12/1500 20 -- 0/1/0/0/+1 0/2\n",
            r#"{"accepted_at":"2026-11-25T20:15:00.123456Z","client":"192.0.2.7:4711","listener":"web","pool":"app","backend":"a","backend_address":"10.0.0.1:80","waited_ms":3.25,"connect_ms":12.0,"duration_ms":1500.001,"bytes_to_backend":10,"bytes_to_client":20,"termination":{"code":"--","reason":"done","text":"Both sides finished, and everything they sent was delivered."},"retries":1,"waited_behind":2,"connections":{"process":0,"listener":1,"pool":0,"backend":0},"worker":1}
"#,
        );
    }

    #[test]
    fn missing_values_have_their_marks() {
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
    fn the_owned_copy_equals_the_written_line() {
        let record = record(CloseReason::Idle, RELAYED, true);
        let (_, json) = lines(&record);
        let mut pools = PoolCounts::default();
        let ended_at = "2026-11-25T20:15:01.623457Z";
        let kept = Line::new(&record, 1, "2026-11-25T20:15:00.123456Z", 0, &mut pools).to_ended(ended_at);
        let written: Ended = serde_json::from_str(&json).unwrap();
        assert_eq!(Ended { ended_at: Some(ended_at.to_owned()), ..written }, kept);
    }

    #[test]
    fn a_client_behind_a_proxy_is_named_with_it() {
        let mut record = record(CloseReason::Done, RELAYED, true);
        let mut opening = Micros::default();
        opening.add(record.stats.accepted_at, record.stats.accepted_at + Duration::from_micros(1_500));
        let mut introduction: Box<Introduction> = Box::default();
        introduction.via = Some("10.0.0.9:4711".parse().unwrap());
        introduction.opening = Some(opening);
        introduction.unique_id = Some([0xa5; 16]);
        record.introduction = Some(introduction);
        let (text, json) = lines(&record);
        assert_eq!(
            text,
            lines(&self::record(CloseReason::Done, RELAYED, true)).0,
            "the text has no place for it"
        );
        let written: Ended = serde_json::from_str(&json).unwrap();
        assert_eq!(written.via, Some("10.0.0.9:4711".parse().unwrap()));
        assert_eq!((written.opening_ms, written.unique_id), (Some(1.5), Some("a5".repeat(16))));
    }

    #[test]
    fn what_a_client_asked_for_is_named_in_json() {
        let mut record = record(CloseReason::NoRoute, Stage::Opening, false);
        let asks = |record: &mut Record, name: Option<&str>, protocols: &[u8]| {
            let mut introduction: Box<Introduction> = Box::default();
            introduction.asked =
                Some(Asked::Hello { name: name.map(Into::into), protocols: protocols.into() });
            record.introduction = Some(introduction);
            let written: Ended = serde_json::from_str(&lines(record).1).unwrap();
            (written.route, written.sni, written.alpn)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(asks(&mut record, None, b""), (None, None, None));
        let odd = asks(&mut record, Some("a\"b.example"), b"\x02h2\x08http/1.1\x03\x00\xff\n");
        assert_eq!(odd, (None, text("a\"b.example"), text("h2,http/1.1,\\x00\\xff\\n")));
        // As far as 64 characters.
        let long = asks(&mut record, Some(&"n".repeat(255)), &[&[100][..], &[b'p'; 100]].concat());
        assert_eq!(long, (None, text(&"n".repeat(64)), text(&"p".repeat(64))));
    }

    #[test]
    fn dates_advance_and_go_back() {
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

    /// A connection that is identified by its bytes.
    pub(crate) fn ended(bytes_to_client: u64) -> Ended {
        let (_, json) = lines(&record(CloseReason::Done, RELAYED, true));
        Ended { bytes_to_client, ..serde_json::from_str(&json).unwrap() }
    }

    pub(crate) const RELAYED: Stage = Stage::Relaying { last: Direction::ToClient, finished: None };

    #[track_caller]
    fn check(record: &Record, text: &str, json: &str) {
        assert_eq!(lines(record), (text.to_owned(), json.to_owned()));
    }

    /// The line as text and as JSON.
    pub(crate) fn lines(record: &Record) -> (String, String) {
        let (mut text, mut json) = (Vec::new(), Vec::new());
        with_line(record, |line| {
            line.write_text(&mut text);
            line.write_json(&mut json);
        });
        (String::from_utf8(text).unwrap(), String::from_utf8(json).unwrap())
    }

    /// The line, two seconds after the accept.
    pub(crate) fn with_line(record: &Record, write: impl FnOnce(&Line<'_>)) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_637_702_123_456);
        let clock = Clock { instant: record.stats.accepted_at + Duration::from_secs(2), time };
        let mut stamp = String::new();
        Calendar::default().write(clock.time(record.stats.accepted_at), &mut stamp);
        write(&Line::new(record, 1, &stamp, 0, &mut PoolCounts::default()));
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
    pub(crate) fn record(reason: CloseReason, stage: Stage, tried: bool) -> Record {
        let sockets = vec![Arc::new(ListenGroup::new(Vec::new(), Owner::Process))];
        let mut config = Config::forward("127.0.0.1:80".parse().unwrap(), &["10.0.0.1:80".parse().unwrap()]);
        "web".clone_into(&mut config.listeners[0].name);
        "app".clone_into(&mut config.pools[0].name);
        "a".clone_into(&mut config.pools[0].backends[0].name);
        let table = Table::build(&config, sockets, 2, None, None);
        let listener = Arc::clone(&table.listeners[0]);
        assert!(listener.semaphore.try_acquire(2));
        let accepted_at = Instant::now();
        let time = |micros| {
            let mut time = Micros::default();
            time.add(accepted_at, accepted_at + Duration::from_micros(micros));
            time
        };
        let stats = ConnectionStats {
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
            introduction: None,
            stats,
            ended_at: accepted_at + Duration::from_nanos(1_500_001_900),
            reason,
            stage,
        }
    }
}
