//! Which clients were refused most in the last minute: a sketch of a fixed size, as an attacker may come from any
//! number of addresses.
//!
//! It is Space-Saving (Metwally, Agrawal, El Abbadi, 2005): a newcomer takes the place of the one with the fewest
//! refusals, and its count. A client with more than one in [`PLACES`] of all refusals is always in it, and no count is
//! too low. Two sketches of a minute each take turns, so that what was long ago does not count.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The refused clients of the last minute, about.
#[derive(Debug, Default)]
pub(crate) struct RefusedSources {
    /// When the current minute began; none before the first refusal.
    began: Option<Instant>,
    current: Sketch,
    before: Sketch,
}

/// How often each of these clients was refused.
#[derive(Debug, Default)]
struct Sketch(Vec<(IpAddr, u64)>);

/// Clients of a sketch.
pub(crate) const PLACES: usize = 64;

const MINUTE: Duration = Duration::from_secs(60);

impl RefusedSources {
    /// A client is refused.
    pub(crate) fn add(&mut self, client: IpAddr, now: Instant) {
        self.turn(now);
        self.current.add(client.to_canonical());
    }

    /// How often each was refused in the last minute: what was in the minute before counts by how much of it is left.
    pub(crate) fn of_last_minute(&mut self, now: Instant) -> Vec<(IpAddr, u64)> {
        self.turn(now);
        let Some(began) = self.began else { return Vec::new() };
        let left = MINUTE.saturating_sub(now.saturating_duration_since(began)).as_millis();
        let mut counts = self.current.0.clone();
        for &(client, before) in &self.before.0 {
            let count = u64::try_from(u128::from(before) * left / MINUTE.as_millis()).unwrap_or(before);
            match counts.iter_mut().find(|(known, _)| *known == client) {
                Some((_, known)) => *known += count,
                None => counts.push((client, count)),
            }
        }
        counts.retain(|(_, count)| *count > 0);
        counts
    }

    /// Begins another minute, if it is time for it.
    fn turn(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let past = now.saturating_duration_since(began);
        if past < MINUTE {
            return;
        }
        self.before = std::mem::take(&mut self.current);
        if past >= 2 * MINUTE {
            self.before = Sketch::default();
        }
        self.began = Some(if past >= 2 * MINUTE { now } else { began + MINUTE });
    }
}

impl Sketch {
    fn add(&mut self, client: IpAddr) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == client) {
            *count += 1;
        } else if self.0.len() < PLACES {
            self.0.push((client, 1));
        } else if let Some(fewest) = self.0.iter_mut().min_by_key(|(_, count)| *count) {
            *fewest = (client, fewest.1 + 1);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "only a clock makes an instant")]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use super::{PLACES, RefusedSources};

    fn client(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    fn count(refused: &mut RefusedSources, number: u32, now: Instant) -> u64 {
        let found = refused.of_last_minute(now).into_iter().find(|(known, _)| *known == client(number));
        found.map_or(0, |(_, count)| count)
    }

    #[test]
    fn offenders_are_found_in_a_crowd_of_any_size() {
        let (mut refused, now) = (RefusedSources::default(), Instant::now());
        for number in 0..100_000 {
            refused.add(client(1000 + number), now);
            if number % 10 == 0 {
                refused.add(client(number / 10 % 2), now);
            }
        }
        for offender in 0..2 {
            assert!(count(&mut refused, offender, now) >= 5000, "{offender}");
        }
        assert_eq!(refused.of_last_minute(now).len(), PLACES);
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let (mut refused, begun) = (RefusedSources::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        for _ in 0..60 {
            refused.add(client(1), begun);
        }
        assert_eq!(count(&mut refused, 1, after(0)), 60);
        assert_eq!(count(&mut refused, 1, after(59)), 60);
        assert_eq!(count(&mut refused, 1, after(90)), 30);
        refused.add(client(1), after(90));
        assert_eq!(count(&mut refused, 1, after(90)), 31);
        assert_eq!(count(&mut refused, 1, after(119)), 2);
        assert_eq!(count(&mut refused, 1, after(400)), 0);
    }
}
