//! Which clients may connect, and how much one source may have.

use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::prefix::Prefix;
use crate::ranges::Ranges;
use crate::sentences::counted;

/// An index into the access lists of the same config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessIndex(pub usize);

/// An index into the limits of the same config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsIndex(pub usize);

/// Rules about the addresses of clients. The first one that matches decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    /// Its name in logs, counters and commands.
    pub name: String,
    /// The rules, in the order of the file; at least one.
    pub rules: Arc<[AccessRule]>,
    /// The same, searchable: which rule decides about an address.
    pub ranges: Arc<Ranges>,
    /// What happens to clients that no rule matches.
    pub otherwise: Action,
    /// What happens to clients that are denied.
    pub refusal: Refusal,
}

/// A rule of an access list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// What happens to clients that it matches.
    pub action: Action,
    /// The addresses that it matches.
    pub prefixes: RulePrefixes,
}

/// The addresses that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulePrefixes {
    /// Those in these prefixes.
    Written(Vec<Prefix>),
    /// Those in the prefixes that a file has.
    File {
        /// The file; absolute.
        path: PathBuf,
        /// How many prefixes it had when it was read.
        number: usize,
    },
}

/// What happens to a client by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It may connect.
    Allow,
    /// It is refused.
    Deny,
}

/// What happens to clients that a list or limits refuse. By default each is reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// How each is told.
    pub how: Refuse,
    /// Whether it is only counted, and the client served.
    pub dry_run: bool,
}

/// How a client is told that it is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refuse {
    /// By a reset, so that it need not wait for its own timeout.
    #[default]
    Reset,
    /// Not at all: the reset does not get beyond the first router. Behind a proxy it is a reset.
    Drop,
}

/// How much one source may have, over all listeners that name these limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLimits {
    /// Their name in logs, counters and commands.
    pub name: String,
    /// Connections at once; none is no limit.
    pub connections_max: Option<NonZeroU16>,
    /// New connections; none is no limit.
    pub rate: Option<Rate>,
    /// How many may come at once before the rate counts; at least 1.
    pub burst: u32,
    /// Which addresses are one source.
    pub source: SourceBits,
    /// Sources that do not count.
    pub exempt: Vec<Prefix>,
    /// What happens to clients beyond them.
    pub refusal: Refusal,
}

/// How many leading bits of an address are one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceBits {
    /// Of an IPv4 address, 1 to 32.
    pub v4: u8,
    /// Of an IPv6 address, 1 to 128.
    pub v6: u8,
}

/// So many in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub number: NonZeroU32,
    /// In which time.
    pub period: Period,
}

/// The period of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `/s`
    Second,
    /// `/m`
    Minute,
    /// `/h`
    Hour,
}

impl AccessList {
    /// The rule that decides about an address, by its index; none if no rule matches.
    pub fn rule(&self, address: IpAddr) -> Option<usize> {
        self.ranges.find(address).map(usize::from)
    }

    /// What happens to a client with this address.
    pub fn action(&self, address: IpAddr) -> Action {
        self.rule(address).map_or(self.otherwise, |rule| self.rules[rule].action)
    }

    /// How many prefixes its rules have.
    pub fn prefixes(&self) -> usize {
        self.rules.iter().map(|rule| rule.prefixes.number()).sum()
    }
}

impl RulePrefixes {
    /// How many they are.
    pub fn number(&self) -> usize {
        match self {
            Self::Written(prefixes) => prefixes.len(),
            Self::File { number, .. } => *number,
        }
    }
}

impl SourceBits {
    /// The addresses that are one source with this one.
    pub fn source_of(self, address: IpAddr) -> Prefix {
        let bits = if address.to_canonical().is_ipv4() { self.v4 } else { self.v6 };
        Prefix::around(address, bits)
    }
}

impl Rate {
    /// The time from one to the next, if all come evenly.
    pub fn interval(self) -> Duration {
        self.period.duration() / self.number.get()
    }
}

impl Period {
    /// Its length.
    pub fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        })
    }
}

impl fmt::Display for Rate {
    /// As written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.period {
            Period::Second => "s",
            Period::Minute => "m",
            Period::Hour => "h",
        };
        write!(f, "{}/{unit}", self.number)
    }
}

impl fmt::Display for AccessRule {
    /// In words: `deny 3 prefixes of /etc/rondel/blocked.cidr`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, prefixes } = self;
        match prefixes {
            RulePrefixes::Written(prefixes) if prefixes.len() <= PREFIXES_SHOWN => {
                let shown: Vec<_> = prefixes.iter().map(ToString::to_string).collect();
                write!(f, "{action} {}", shown.join(" "))
            }
            RulePrefixes::Written(prefixes) => write!(f, "{action} {}", counted(prefixes.len(), "prefix")),
            RulePrefixes::File { path, number } => {
                write!(f, "{action} {} of {}", counted(*number, "prefix"), path.display())
            }
        }
    }
}

impl fmt::Display for SourceLimits {
    /// In words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(connections_max) = self.connections_max {
            parts.push(format!("{connections_max} at once"));
        }
        if let Some(rate) = self.rate {
            parts.push(format!("{rate} after {}", self.burst));
        }
        let SourceBits { v4, v6 } = self.source;
        write!(f, "{} for each /{v4} and /{v6}", parts.join(", "))?;
        if !self.exempt.is_empty() {
            let exempt: Vec<_> = self.exempt.iter().map(ToString::to_string).collect();
            write!(f, " except {}", exempt.join(" "))?;
        }
        Ok(())
    }
}

/// So many prefixes of a rule are shown; of more, their number is.
const PREFIXES_SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::{Period, Rate, SourceBits};

    #[test]
    fn a_source_is_all_addresses_with_the_same_first_bits() {
        let bits = SourceBits { v4: 24, v6: 64 };
        let source = |address: &str| bits.source_of(address.parse().unwrap()).to_string();
        assert_eq!(source("192.0.2.7"), "192.0.2.0/24");
        assert_eq!(source("::ffff:192.0.2.7"), "192.0.2.0/24");
        assert_eq!(source("2001:db8:0:1:2:3:4:5"), "2001:db8:0:1::/64");
    }

    #[test]
    fn a_rate_is_an_interval() {
        let rate = |number, period| Rate { number: NonZeroU32::new(number).unwrap(), period };
        assert_eq!(rate(5000, Period::Second).interval(), Duration::from_micros(200));
        assert_eq!(rate(10, Period::Minute).interval(), Duration::from_secs(6));
        assert_eq!(rate(10, Period::Hour).to_string(), "10/h");
    }
}
