//! Local inputs of probes: passwords and certificates. Without them a probe is inconclusive.

use std::time::Duration;

use config::{Config, counted};
use health::{Local, Place, local};

use super::certificates::{Age, Validity};
use super::finding::{Finding, Level, finding, ok};

/// A local input of the probes of a pool.
#[derive(Debug)]
pub(super) struct ProbeFact {
    pub(super) pool: String,
    pub(super) local: Local,
}

/// Reads the local inputs as probes do.
pub(super) async fn collect(config: &Config) -> Vec<ProbeFact> {
    let mut facts = Vec::new();
    for pool in &config.pools {
        let Some(probe) = &pool.probe else { continue };
        let fact = |local| ProbeFact { pool: pool.name.clone(), local };
        facts.extend(local(&probe.kind).await.into_iter().map(fact));
    }
    facts
}

pub(super) fn assess(fact: &ProbeFact, now: Duration) -> Finding {
    let ProbeFact { pool, local: Local { what, place, error, certificates } } = fact;
    let subject = format!("{what} of pool {pool}");
    let inconclusive = "keeps the state of each backend of the pool, `unknown` at first";
    match (error, place) {
        (None, _) if certificates.is_empty() => ok(subject, format!("{place} can be read")),
        (None, _) => authority(subject, place, certificates, now),
        // The unit may set it in an environment that this process does not have.
        (Some(error), Place::Variable(name)) => finding(
            Level::Warn,
            subject,
            error,
            format!(
                "set {name} in the environment of rondel (`EnvironmentFile=` in the unit), and in that of \
                 `rondel doctor` for this check"
            ),
        )
        .starts(inconclusive),
        (Some(error), Place::File(_)) => finding(
            Level::Fail,
            subject,
            error,
            "make the file readable for the user that rondel runs as; until then probes are inconclusive",
        )
        .starts(inconclusive),
    }
}

/// A file of authorities, by the certificate that lasts longest: a bundle has old ones, too.
fn authority(subject: String, place: &Place, certificates: &[Vec<u8>], now: Duration) -> Finding {
    let dated: Vec<Validity> = certificates.iter().filter_map(|der| Validity::of(der)).collect();
    dates(subject, &place.to_string(), &dated, now)
}

fn dates(subject: String, place: &str, dated: &[Validity], now: Duration) -> Finding {
    let number = counted(dated.len(), "certificate");
    let Some(last) = dated.iter().max_by_key(|validity| validity.ends()) else {
        return ok(subject, format!("{place} can be read"));
    };
    let until = &last.until;
    let text = match last.age(now) {
        Age::Valid => return ok(subject, format!("{place} has {number}, valid until {until}")),
        Age::Ends => format!("{place} has {number}, and expires in {}, at {until}", last.left(now)),
        Age::Expired => format!("{place} has {number}, and expired at {until}"),
        Age::NotYet => format!("{place} has {number} that are not valid yet"),
    };
    let cure =
        "renew the authority, and the certificates that it signed; the file may have the old and the new one";
    // webpki does not look at the dates of an authority.
    finding(Level::Warn, subject, text, cure)
        .starts("accepts what it signed, unlike other clients of the servers")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::certificates::tests::validity;
    use super::{Level, dates};

    #[test]
    fn the_certificate_that_lasts_longest_counts() {
        check(&[(0, 100), (0, 90)], 50, Level::Ok, "has 2 certificates, valid until day 100");
        check(&[(0, 40), (0, 100)], 50, Level::Ok, "has 2 certificates, valid until day 100");
        check(&[(0, 100)], 95, Level::Warn, "has 1 certificate, and expires in 5 days, at day 100");
        check(&[(0, 40), (0, 45)], 50, Level::Warn, "has 2 certificates, and expired at day 45");
        check(&[(60, 90)], 50, Level::Warn, "not valid yet");
        check(&[], 50, Level::Ok, "can be read");
    }

    #[track_caller]
    fn check(certificates: &[(u64, u64)], day: u64, level: Level, found: &str) {
        let certificates: Vec<_> =
            certificates.iter().map(|(begins, ends)| validity(*begins, *ends)).collect();
        let now = Duration::from_secs(day * 24 * 3600);
        let finding = dates("certificates of pool db".to_owned(), "/etc/ca.pem", &certificates, now);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
    }
}
