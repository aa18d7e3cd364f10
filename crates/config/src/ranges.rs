//! Which rule decides about an address: all rules of a list, flattened into disjoint ranges.
//!
//! ```text
//! rule 0  allow      |--10.1.0.0/16--|
//! rule 1  deny   |---------10.0.0.0/8---------|
//! starts       none | 1 | 0          | 1     | none
//! ```
//!
//! Each range has the first rule that matches it, and is found by one binary search, however many rules and prefixes
//! there are. It ends where the next one starts.

use std::net::IpAddr;

use crate::prefix::Prefix;

/// The ranges of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    v4: Family<u32>,
    v6: Family<u128>,
}

/// The ranges of the addresses of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Family<A> {
    /// Ascending. Before the first one, no rule matches.
    starts: Box<[A]>,
    /// The rule that decides from each start on, or [`NO_RULE`].
    rules: Box<[u16]>,
}

/// No rule matches. It is greater than every rule, so any rule comes before it.
const NO_RULE: u16 = u16::MAX;

/// How many rules ranges can tell apart.
pub const RULES_MAX: usize = NO_RULE as usize;

impl Ranges {
    /// The ranges of these rules, each a set of prefixes; the first rule that matches decides.
    ///
    /// # Panics
    ///
    /// If there are more than [`RULES_MAX`] rules.
    pub fn build<'a>(rules: impl Iterator<Item = &'a [Prefix]>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (rule, prefixes) in rules.enumerate() {
            let rule =
                u16::try_from(rule).ok().filter(|rule| *rule != NO_RULE).expect("the rules are bounded");
            for prefix in prefixes {
                match prefix.address() {
                    IpAddr::V4(ip) => {
                        let start = ip.to_bits();
                        let rest = u32::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
                        v4.push(Span { start, end: start | rest, rule });
                    }
                    IpAddr::V6(ip) => {
                        let start = ip.to_bits();
                        let rest = u128::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
                        v6.push(Span { start, end: start | rest, rule });
                    }
                }
            }
        }
        Self { v4: Family::of(v4), v6: Family::of(v6) }
    }

    /// The rule that decides about this address; none if no rule matches.
    pub fn find(&self, address: IpAddr) -> Option<u16> {
        match address.to_canonical() {
            IpAddr::V4(ip) => self.v4.find(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.find(ip.to_bits()),
        }
    }

    /// How many ranges there are, of both versions.
    pub fn len(&self) -> usize {
        self.v4.starts.len() + self.v6.starts.len()
    }

    /// Whether no rule matches any address.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each rule, whether it decides about any address. The rest can never match.
    pub fn deciding(&self, rules: usize) -> Vec<bool> {
        let mut deciding = vec![false; rules];
        for rule in self.v4.rules.iter().chain(&self.v6.rules) {
            if let Some(decides) = deciding.get_mut(usize::from(*rule)) {
                *decides = true;
            }
        }
        deciding
    }
}

/// The addresses of a prefix. Two of them are disjoint, or one is within the other.
#[derive(Clone, Copy)]
struct Span<A> {
    start: A,
    end: A,
    rule: u16,
}

/// The numbers that addresses are.
trait Number: Copy + Ord {
    fn next(self) -> Option<Self>;
}

impl Number for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Number for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl<A: Number> Family<A> {
    /// Goes over the spans by their starts, the outer before the inner, and keeps those that it is within.
    fn of(mut spans: Vec<Span<A>>) -> Self {
        spans.sort_unstable_by(|a, b| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
        let mut flat = Flat { starts: Vec::new(), rules: Vec::new() };
        // Its depth is the number of different lengths at most.
        let mut around: Vec<Span<A>> = Vec::new();
        for span in spans {
            while let Some(ended) = around.pop_if(|outer| outer.end < span.start) {
                flat.leave(ended, around.last());
            }
            let rule = around.last().map_or(span.rule, |outer| outer.rule.min(span.rule));
            flat.begin(span.start, rule);
            around.push(Span { rule, ..span });
        }
        while let Some(ended) = around.pop() {
            flat.leave(ended, around.last());
        }
        Self { starts: flat.starts.into(), rules: flat.rules.into() }
    }

    fn find(&self, address: A) -> Option<u16> {
        let after = self.starts.partition_point(|start| *start <= address);
        let rule = self.rules[after.checked_sub(1)?];
        (rule != NO_RULE).then_some(rule)
    }
}

/// Ranges in the making.
struct Flat<A> {
    starts: Vec<A>,
    rules: Vec<u16>,
}

impl<A: Number> Flat<A> {
    /// From this address on, `rule` decides.
    fn begin(&mut self, start: A, rule: u16) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.rules.pop();
        }
        if self.rules.last().copied().unwrap_or(NO_RULE) != rule {
            self.starts.push(start);
            self.rules.push(rule);
        }
    }

    /// A span has ended; the one around it goes on, if there is one.
    fn leave(&mut self, ended: Span<A>, outer: Option<&Span<A>>) {
        if let Some(start) = ended.end.next() {
            self.begin(start, outer.map_or(NO_RULE, |outer| outer.rule));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::time::Instant;

    use proptest::prelude::*;

    use super::Ranges;
    use crate::prefix::Prefix;

    #[test]
    fn the_first_rule_decides_not_the_longest_prefix() {
        let rules = ["10.0.0.0/8 2001:db8::/32", "10.1.0.0/16 192.0.2.0/24 192.0.2.7", "0.0.0.0/0"];
        for (address, rule) in [
            ("10.1.2.3", Some(0)),
            ("10.255.255.255", Some(0)),
            ("192.0.2.7", Some(1)),
            ("192.0.2.255", Some(1)),
            ("192.0.3.0", Some(2)),
            ("255.255.255.255", Some(2)),
            ("0.0.0.0", Some(2)),
            ("::ffff:10.0.0.1", Some(0)),
            ("2001:db8:ffff::", Some(0)),
            ("2001:db9::", None),
            ("::", None),
        ] {
            check(&rules, address, rule);
        }
        check(&["10.1.0.0/16", "10.0.0.0/8"], "10.1.0.1", Some(0));
        check(&["10.1.0.0/16", "10.0.0.0/8"], "10.2.0.1", Some(1));
        check(&["10.1.0.0/16", "10.0.0.0/8"], "10.0.255.255", Some(1));
        check(&["::/0"], "10.0.0.1", None);
        check(&[], "10.0.0.1", None);
    }

    #[test]
    fn ranges_are_as_few_as_there_may_be() {
        assert_eq!(build(&["10.0.0.0/9 10.128.0.0/9 10.1.0.0/16"]).len(), 2);
        assert_eq!(build(&["255.0.0.0/8"]).len(), 1, "there is no address after the last");
        assert_eq!(build(&["10.0.0.0/8", "10.1.0.0/16"]).deciding(2), [true, false]);
    }

    #[track_caller]
    fn check(rules: &[&str], address: &str, rule: Option<u16>) {
        assert_eq!(build(rules).find(address.parse().unwrap()), rule, "{address}");
    }

    fn build(rules: &[&str]) -> Ranges {
        let rules: Vec<Vec<Prefix>> = rules
            .iter()
            .map(|prefixes| prefixes.split(' ').map(|text| Prefix::parse(text).unwrap()).collect())
            .collect();
        Ranges::build(rules.iter().map(Vec::as_slice))
    }

    /// Addresses near each other, so that prefixes of them nest, touch and repeat.
    fn any_address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0_u32..64, 0..4_u32).prop_map(|(low, high)| Ipv4Addr::from_bits(high << 30 | low).into()),
            (any::<u32>()).prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            (0_u128..64, 0..4_u128).prop_map(|(low, high)| Ipv6Addr::from_bits(high << 126 | low).into()),
            Just(Ipv4Addr::BROADCAST.into()),
            Just(Ipv6Addr::from_bits(u128::MAX).into()),
        ]
    }

    fn any_prefix() -> impl Strategy<Value = Prefix> {
        let length = prop_oneof![0_u8..4, 24_u8..33, 120_u8..129, any::<u8>()];
        (any_address(), length).prop_map(|(address, length)| Prefix::around(address, length))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn they_decide_as_the_rules_one_after_the_other_do(
            rules in prop::collection::vec(prop::collection::vec(any_prefix(), 0..6), 0..8),
            addresses in prop::collection::vec(any_address(), 1..20),
        ) {
            let ranges = Ranges::build(rules.iter().map(Vec::as_slice));
            let edges = rules.iter().flatten().flat_map(|prefix| neighbours(prefix.address()));
            for address in addresses.iter().copied().chain(edges) {
                let first = rules.iter().position(|rule| rule.iter().any(|prefix| prefix.contains(address)));
                prop_assert_eq!(ranges.find(address).map(usize::from), first, "{}", address);
            }
            prop_assert!(ranges.v4.starts.is_sorted_by(|a, b| a < b) && ranges.v6.starts.is_sorted_by(|a, b| a < b));
            prop_assert!(ranges.v4.rules.windows(2).all(|pair| pair[0] != pair[1]), "no two alike in a row");
        }
    }

    fn neighbours(address: IpAddr) -> Vec<IpAddr> {
        match address {
            IpAddr::V4(ip) => [-1, 0, 1]
                .map(|step| Ipv4Addr::from_bits(ip.to_bits().wrapping_add_signed(step)).into())
                .to_vec(),
            IpAddr::V6(ip) => [-1, 0, 1]
                .map(|step| Ipv6Addr::from_bits(ip.to_bits().wrapping_add_signed(step)).into())
                .to_vec(),
        }
    }

    /// `cargo test --release -p config -- --ignored --nocapture how_long`
    #[test]
    #[ignore = "a measurement"]
    #[expect(clippy::disallowed_methods, reason = "it is a measurement")]
    fn how_long_it_takes_to_build_a_million() {
        let mut number = 1_u64;
        let mut draw = || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 32) as u32
        };
        let v4: Vec<Prefix> = (0..1_000_000)
            .map(|_| Prefix::around(Ipv4Addr::from_bits(draw()).into(), 16 + (draw() % 17) as u8))
            .collect();
        let v6: Vec<Prefix> = (0..1_000_000)
            .map(|_| {
                let bits = u128::from(draw()) << 96 | u128::from(draw()) << 64 | u128::from(draw());
                Prefix::around(Ipv6Addr::from_bits(bits).into(), 32 + (draw() % 33) as u8)
            })
            .collect();
        for (name, prefixes) in [("IPv4", v4), ("IPv6", v6)] {
            let began = Instant::now();
            let ranges = Ranges::build([&prefixes[..]].into_iter());
            println!("{name}: {} ranges in {:?}", ranges.len(), began.elapsed());
            let began = Instant::now();
            let found = prefixes.iter().filter(|prefix| ranges.find(prefix.address()).is_some()).count();
            println!("{name}: {found} searches in {:?}", began.elapsed());
        }
    }
}
