//! The dates of certificates. Probes verify the rest.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use config::counted;

/// When a certificate is valid, in time since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    begins: Duration,
    ends: Duration,
    /// `ends` as a date.
    pub(super) until: String,
}

/// How a certificate is at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Age {
    NotYet,
    Valid,
    /// It ends within [`SOON`], and less than a third of its time is left.
    Ends,
    Expired,
}

impl Validity {
    /// None if it is not a certificate.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let validity = certificate.tbs_certificate().validity();
        Some(Self {
            begins: validity.not_before.to_unix_duration(),
            ends: validity.not_after.to_unix_duration(),
            until: validity.not_after.to_string(),
        })
    }

    pub(super) fn ends(&self) -> Duration {
        self.ends
    }

    pub(super) fn age(&self, now: Duration) -> Age {
        let left = self.ends.saturating_sub(now);
        // Certificates that live for days are renewed late.
        let is_late = left < self.ends.saturating_sub(self.begins) / 3;
        if now < self.begins {
            Age::NotYet
        } else if now > self.ends {
            Age::Expired
        } else if left < SOON && is_late {
            Age::Ends
        } else {
            Age::Valid
        }
    }

    /// The time that is left, in words.
    pub(super) fn left(&self, now: Duration) -> String {
        let hours = self.ends.saturating_sub(now).as_secs() / 3600;
        if hours < 24 { counted(hours, "hour") } else { counted(hours / 24, "day") }
    }
}

/// Now, in time since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// When the end of a certificate is reported.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::{Age, Validity};

    #[test]
    fn the_end_is_near_by_days_and_by_its_share() {
        let days_100 = validity(0, 100);
        check(&days_100, 50.0, Age::Valid, "50 days");
        check(&days_100, 85.5, Age::Valid, "14 days");
        check(&days_100, 86.5, Age::Ends, "13 days");
        check(&days_100, 99.5, Age::Ends, "12 hours");
        check(&days_100, 100.1, Age::Expired, "0 hours");
        let days_3 = validity(10, 13);
        check(&days_3, 9.0, Age::NotYet, "4 days");
        check(&days_3, 11.5, Age::Valid, "1 day");
        check(&days_3, 12.5, Age::Ends, "12 hours");
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        assert_eq!(Validity::of(b"certificate"), None);
        assert_eq!(Validity::of(&[]), None);
    }

    #[track_caller]
    fn check(validity: &Validity, day: f64, age: Age, left: &str) {
        let now = Duration::from_secs_f64(day * 24.0 * 3600.0);
        assert_eq!(
            (validity.age(now), validity.left(now).as_str()),
            (age, left),
            "{validity:?} on day {day}"
        );
    }

    /// Days since 1970.
    pub(in crate::doctor) fn validity(begins: u64, ends: u64) -> Validity {
        let day = |days| Duration::from_secs(days * 24 * 3600);
        Validity { begins: day(begins), ends: day(ends), until: format!("day {ends}") }
    }
}
