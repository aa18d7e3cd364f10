//! The time of day, in the zone of the host.

use api::Status;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The time of a status.
pub(super) struct Clock {
    /// In seconds since 1970.
    now: f64,
    zone: TimeZone,
}

impl Clock {
    pub(super) fn new(status: &Status, zone: TimeZone) -> Self {
        Self { now: status.started_at + status.uptime_seconds, zone }
    }

    #[cfg(test)]
    pub(super) fn utc(status: &Status) -> Self {
        Self::new(status, TimeZone::UTC)
    }

    /// The time of day that was so many seconds ago, with the date if that was another day.
    pub(super) fn ago(&self, seconds: f64) -> String {
        let (then, now) = (self.at(self.now - seconds), self.at(self.now));
        let format = if then.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        then.strftime(format).to_string()
    }

    /// The time of the status, with seconds.
    pub(super) fn now(&self) -> String {
        self.at(self.now).strftime("%H:%M:%S").to_string()
    }

    fn at(&self, seconds: f64) -> jiff::Zoned {
        #[expect(clippy::cast_possible_truncation, reason = "seconds are exact enough")]
        let timestamp = Timestamp::from_second(seconds as i64).unwrap_or(Timestamp::UNIX_EPOCH);
        timestamp.to_zoned(self.zone.clone())
    }
}

/// A duration in its two largest units, such as `2d3h` or `5m20s`.
pub(super) fn age(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not negative")]
    let whole = seconds.max(0.0) as u64;
    let [days, hours, minutes, seconds] = [whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60];
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// A number of bytes with at most three digits, except for very large ones.
pub(super) fn size(bytes: f64) -> String {
    let mut bytes = bytes;
    let mut units = ["", "K", "M", "G", "T"].into_iter();
    let mut unit = "";
    for larger in units.by_ref() {
        unit = larger;
        if bytes < 1000.0 {
            break;
        }
        if unit != "T" {
            bytes /= 1024.0;
        }
    }
    if unit.is_empty() || bytes >= 100.0 { format!("{bytes:.0}{unit}") } else { format!("{bytes:.1}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::{Clock, age, size};

    #[test]
    fn a_time_of_another_day_has_its_date() {
        let status: api::Status = serde_json::from_str(include_str!("status.json")).unwrap();
        let clock = Clock::utc(&status);
        assert_eq!(clock.ago(0.0), "00:17");
        assert_eq!(clock.ago(3600.0), "1969-12-31 23:17");
    }

    #[test]
    fn an_age_has_two_units() {
        for (seconds, expected) in [
            (0.9, "0s"),
            (59.0, "59s"),
            (320.0, "5m20s"),
            (7380.0, "2h3m"),
            (183_600.0, "2d3h"),
            (-1.0, "0s"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, expected) in [
            (0.0, "0"),
            (999.0, "999"),
            (1024.0, "1.0K"),
            (150_000.0, "146K"),
            (1e10, "9.3G"),
            (1e18, "909495T"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
