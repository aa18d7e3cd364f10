//! Whether this host holds the addresses that pools connect from. While it does not, no connect of such a pool
//! succeeds.
//!
//! A missing address is logged once, and once when it is back: it may move between hosts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use api::ShortageStatus;
use config::Config;

use crate::reloads::unix_seconds_at;

/// What was logged of each `source`.
#[derive(Debug, Default)]
pub(crate) struct Sources(BTreeMap<IpAddr, Source>);

#[derive(Clone, Copy, Debug)]
struct Source {
    /// Whether the last line said that it is held.
    held: bool,
    /// When that line was logged; none if none was.
    said_at: Option<Instant>,
}

/// A line to log about a source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) held: bool,
    pub(crate) text: String,
}

impl Sources {
    /// Checks the sources of all pools of `config`, and forgets the others.
    pub(crate) fn check(
        &mut self,
        config: &Config,
        now: Instant,
        holds: impl Fn(IpAddr) -> Option<bool>,
    ) -> Vec<Line> {
        let mut pools: BTreeMap<IpAddr, Vec<&str>> = BTreeMap::new();
        for pool in &config.pools {
            if let Some(source) = pool.source {
                pools.entry(source).or_default().push(&pool.name);
            }
        }
        self.0.retain(|ip, _| pools.contains_key(ip));
        let mut lines = Vec::new();
        for (ip, pools) in pools {
            let source = self.0.entry(ip).or_insert(Source { held: true, said_at: None });
            let held = holds(ip).unwrap_or(true);
            // One that comes and goes all the time is not logged each time.
            let is_due = source.said_at.is_none_or(|at| now.saturating_duration_since(at) >= SAID_EVERY);
            if held != source.held && is_due {
                *source = Source { held, said_at: Some(now) };
                lines.push(Line { held, text: text(ip, &pools, held) });
            }
        }
        lines
    }

    /// The sources that the last line said to be missing.
    pub(crate) fn missing(&self, config: &Config, now: Instant) -> Vec<ShortageStatus> {
        let missing = self.0.iter().filter(|(_, source)| !source.held);
        let status = |(ip, source): (&IpAddr, &Source)| {
            let of_ip = config.pools.iter().filter(|pool| pool.source == Some(*ip));
            let pools: Vec<&str> = of_ip.map(|pool| pool.name.as_str()).collect();
            ShortageStatus {
                pool: pools.first().filter(|_| pools.len() == 1).map(|name| (*name).to_owned()),
                listener: None,
                text: format!("this host does not hold {ip}, the source of {}", named(&pools)),
                why: "no connect can be made; `ip address` shows what it holds".to_owned(),
                since: unix_seconds_at(source.said_at.unwrap_or(now), now),
            }
        };
        missing.map(status).collect()
    }

    /// Whether the last line said that a source is held, or there is none.
    pub(crate) fn is_held(&self, ip: IpAddr) -> bool {
        self.0.get(&ip).is_none_or(|source| source.held)
    }
}

fn text(ip: IpAddr, pools: &[&str], held: bool) -> String {
    let pools = named(pools);
    if held {
        format!("this host holds {ip} again, the source of {pools}")
    } else {
        format!(
            "this host does not hold {ip}, the source of {pools}: no connect can be made; \
             `ip address` shows what it holds"
        )
    }
}

/// `pool a`, `pools a, b and 3 more`.
fn named(pools: &[&str]) -> String {
    let shown = pools.iter().take(POOLS_SHOWN).copied().collect::<Vec<_>>().join(", ");
    let more = pools.len().saturating_sub(POOLS_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let s = if pools.len() == 1 { "" } else { "s" };
    format!("pool{s} {shown}{more}")
}

/// At most how often a line is logged about one source.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Pools that a line names.
const POOLS_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::Sources;
    use crate::monitor::now;
    use crate::reload::tests::config;

    #[test]
    fn a_source_is_said_to_be_missing_once_and_to_be_back_once() {
        let mut config = config(&["web 127.0.0.1:80"]);
        let (mut sources, held, begun) = (Sources::default(), Cell::new(Some(true)), now());
        let mut look = |config: &config::Config, seconds: u64, is: Option<bool>| {
            held.set(is);
            let lines = sources.check(config, begun + Duration::from_secs(seconds), |_| held.get());
            lines.into_iter().map(|line| (line.held, line.text)).collect::<Vec<_>>()
        };
        // Without a source there is nothing to say.
        assert_eq!(look(&config, 0, Some(false)), []);
        config.pools[0].source = Some("192.0.2.7".parse().unwrap());
        let missing = "this host does not hold 192.0.2.7, the source of pool app: no connect can be made; \
                       `ip address` shows what it holds";
        assert_eq!(look(&config, 1, Some(true)), []);
        assert_eq!(look(&config, 2, Some(false)), [(false, missing.to_owned())]);
        assert_eq!(look(&config, 60, Some(false)), []);
        let back = "this host holds 192.0.2.7 again, the source of pool app";
        assert_eq!(look(&config, 61, Some(true)), [(true, back.to_owned())]);
        // It flaps: its last state is logged when some time is over.
        assert_eq!(look(&config, 62, Some(false)), []);
        assert_eq!(look(&config, 63, Some(true)), []);
        assert_eq!(look(&config, 64, Some(false)), []);
        assert_eq!(look(&config, 71, Some(false)), [(false, missing.to_owned())]);
        // What cannot be found out is no news.
        assert_eq!(look(&config, 90, None), [(true, back.to_owned())]);
    }
}
