//! Times of the day in the zone of the terminal: as commands print them, and as operators write them.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};

/// The local time.
pub(crate) struct Clock {
    now: Zoned,
}

/// A time as an operator writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long ago: `10m`.
    Ago(Duration),
    /// The last time that the clock showed this: `14:00`.
    Time(Time),
    /// `2026-11-30 14:00`.
    DateTime(DateTime),
}

impl Clock {
    /// The clock of this host, in the zone of `TZ`, or else of the host.
    pub(crate) fn local() -> Self {
        Self { now: Timestamp::now().to_zoned(TimeZone::system()) }
    }

    /// A time in seconds since 1970, in minutes: `16:09`, or `2026-11-29 16:09` if that is not today.
    pub(crate) fn minute(&self, seconds: f64) -> String {
        self.show(seconds, "%H:%M")
    }

    /// The same in seconds: `16:09:30`.
    pub(crate) fn second(&self, seconds: f64) -> String {
        self.show(seconds, "%H:%M:%S")
    }

    fn show(&self, seconds: f64, format: &str) -> String {
        let since_1970 = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
        let Ok(then) = Timestamp::UNIX_EPOCH.checked_add(since_1970) else { return "-".to_owned() };
        let then = then.to_zoned(self.now.time_zone().clone());
        let date = if then.date() == self.now.date() { "" } else { "%Y-%m-%d " };
        then.strftime(&format!("{date}{format}")).to_string()
    }

    /// The time that is meant, in seconds since 1970.
    pub(crate) fn resolve(&self, since: Since) -> Result<f64, String> {
        let then = match since {
            Since::Ago(ago) => self.now.checked_sub(ago),
            Since::Time(time) => {
                let today = self.now.date().to_datetime(time).to_zoned(self.now.time_zone().clone());
                today.and_then(|today| if today > self.now { today.checked_sub(1.day()) } else { Ok(today) })
            }
            Since::DateTime(time) => time.to_zoned(self.now.time_zone().clone()),
        };
        let then = then.map_err(|error| error.to_string())?;
        Ok(then.timestamp().as_duration().as_secs_f64())
    }
}

impl Since {
    /// Reads a time or a duration.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(ago) = config::read_duration(text) {
            return Ok(Self::Ago(ago));
        }
        let is_date = text.contains('-');
        let read = if is_date {
            text.parse().map(Self::DateTime).ok()
        } else {
            text.parse().map(Self::Time).ok().filter(|_| text.contains(':'))
        };
        read.ok_or_else(|| {
            "expected a time such as `14:00` or `2026-11-30 14:00`, or a duration such as `10m`".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Since};

    /// 14:30:15 on 30 November in a zone of +2 hours.
    fn clock() -> Clock {
        Clock { now: "2026-11-30T14:30:15+02:00[+02:00]".parse().unwrap() }
    }

    #[test]
    fn times_of_another_day_have_a_date() {
        let clock = clock();
        let now = clock.resolve(Since::read("0").unwrap()).unwrap();
        for (ago, shown) in [
            (0.0, "14:30:15"),
            (15.0, "14:30:00"),
            (14.0 * 3600.0, "00:30:15"),
            (15.0 * 3600.0, "2026-11-29 23:30:15"),
        ] {
            assert_eq!(clock.second(now - ago), shown);
        }
        assert_eq!(clock.minute(now), "14:30");
        assert_eq!(clock.minute(-1.0), "1970-01-01 02:00");
        assert_eq!(clock.minute(f64::MAX), "1970-01-01 02:00");
    }

    #[test]
    fn a_time_is_the_last_one_that_fits() {
        for (text, shown) in [
            ("10m", "14:20:15"),
            ("1h30m", "13:00:15"),
            ("14:00", "14:00:00"),
            ("14:30:15", "14:30:15"),
            ("14:30:16", "2026-11-29 14:30:16"),
            ("00:00", "00:00:00"),
            ("23:59", "2026-11-29 23:59:00"),
            ("2026-11-28 14:00", "2026-11-28 14:00:00"),
            ("2026-11-28T14:00:01", "2026-11-28 14:00:01"),
            ("2026-11-30", "00:00:00"),
        ] {
            let clock = clock();
            let then = clock.resolve(Since::read(text).unwrap()).unwrap();
            assert_eq!(clock.second(then), shown, "{text}");
        }
        for wrong in ["", "10", "yesterday", "25:00", "14", "2026-13-01", "-10m"] {
            let error = Since::read(wrong).unwrap_err();
            assert!(error.starts_with("expected a time such as `14:00`"), "{wrong}: {error}");
        }
    }
}
