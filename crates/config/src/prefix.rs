//! Prefixes of addresses, such as `203.0.113.0/24`.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::problem::{Quoted, Wrong};

/// All addresses that begin with the same bits. An IPv4 address within IPv6, `::ffff:192.0.2.1`, counts as the IPv4
/// address everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The first address; never IPv4 within IPv6.
    address: IpAddr,
    /// At most 32 for IPv4, at most 128 for IPv6.
    length: u8,
}

impl Prefix {
    /// The prefix of this one address.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, length: bits_of(address) }
    }

    /// The prefix of the first `length` bits of an address; all of them if it has fewer.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Self {
        let address = address.to_canonical();
        let length = length.min(bits_of(address));
        Self { address: first(address, length), length }
    }

    /// The first address.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses share.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether an address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        self.covers(Self::of(address))
    }

    /// Whether every address of `other` is in it.
    pub fn covers(self, other: Self) -> bool {
        self.length <= other.length
            && self.address.is_ipv4() == other.address.is_ipv4()
            && first(other.address, self.length) == self.address
    }

    /// Reads a prefix; a single address is one as well.
    ///
    /// # Errors
    ///
    /// What is wrong, and what would be right, in one sentence each.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        read(text).map_err(|wrong| (wrong.message, wrong.help.unwrap_or_default()))
    }
}

impl Display for Prefix {
    /// As `rondel` writes it: an address alone if it is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        if self.length == bits_of(self.address) { Ok(()) } else { write!(f, "/{}", self.length) }
    }
}

/// Reads a prefix, or says what would be right.
pub(crate) fn read(text: &str) -> Result<Prefix, Wrong> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(written) = address.parse::<IpAddr>() else { return Err(no_prefix(text)) };
    let most = bits_of(written);
    let length = match length.map(|digits| (digits, number(digits))) {
        None => most,
        Some((_, Some(length))) if length <= most => length,
        Some((digits, _)) => {
            let help = match digits.parse().ok().and_then(length_of_mask) {
                Some(length) if written.is_ipv4() => format!("write `{written}/{length}`"),
                _ => format!("write a number from 0 to {most} after the `/`"),
            };
            return Err(Wrong::new(format!("{} is not the length of a prefix", Quoted(digits))).help(help));
        }
    };
    let address = written.to_canonical();
    if address != written {
        let length = length.checked_sub(128 - 32);
        let help = length.map(|length| format!("write `{}`", shown(first(address, length), length)));
        let help = help.unwrap_or_else(|| "write a prefix of IPv4 or one of IPv6".to_owned());
        return Err(Wrong::new(format!("{} is IPv4 written as IPv6", Quoted(text))).help(help));
    }
    if first(address, length) != address {
        let (all, one) = (shown(first(address, length), length), shown(address, most));
        return Err(Wrong::new(format!("{} has bits beyond its prefix", Quoted(text)))
            .help(format!("write `{all}` for all of it, or `{one}` for the one address")));
    }
    Ok(Prefix { address, length })
}

fn no_prefix(text: &str) -> Wrong {
    let wrong = Wrong::new(format!("{} is not a prefix", Quoted(text)));
    let bare = text.trim_start_matches('[').split(']').next().unwrap_or(text);
    if text.trim() != text {
        return wrong.help("remove the spaces around it");
    }
    if text.parse::<std::net::SocketAddr>().is_ok() || (bare != text && bare.parse::<IpAddr>().is_ok()) {
        return wrong.help("write the address without a port and without brackets, as in `2001:db8::/32`");
    }
    if text == "*" || text == "all" || text == "any" {
        return wrong.help("write `0.0.0.0/0` and `::/0` for every address");
    }
    if text.split_once('-').is_some_and(|(first, _)| first.parse::<IpAddr>().is_ok()) {
        return wrong.help("write a range as prefixes: `netmask` or `ipcalc` computes them");
    }
    wrong.help("write addresses as in `203.0.113.0/24`, `192.0.2.7` or `2001:db8::/32`")
}

/// The address with all bits after the first `length` at zero.
fn first(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn shown(address: IpAddr, length: u8) -> String {
    format!("{address}/{length}")
}

/// The length that a mask such as `255.255.255.0` means.
fn length_of_mask(mask: Ipv4Addr) -> Option<u32> {
    let length = mask.to_bits().leading_ones();
    (mask.to_bits().count_ones() == length).then_some(length)
}

/// A number without a sign and without leading zeros.
fn number(digits: &str) -> Option<u8> {
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::Prefix;

    #[test]
    fn prefixes_are_read_and_written() {
        for (text, written) in [
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(Prefix::parse(text).unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_comes_with_what_would_be_right() {
        check("203.0.113.9/24", "has bits beyond", "`203.0.113.0/24` for all of it, or `203.0.113.9/32`");
        check("2001:db8::1/32", "has bits beyond", "`2001:db8::/32` for all of it, or `2001:db8::1/128`");
        check("::ffff:10.0.0.0/104", "is IPv4 written as IPv6", "`10.0.0.0/8`");
        check("::ffff:10.0.0.1", "is IPv4 written as IPv6", "`10.0.0.1/32`");
        check("10.0.0.0/33", "not the length", "from 0 to 32");
        check("10.0.0.0/08", "not the length", "from 0 to 32");
        check("10.0.0.0/+8", "not the length", "from 0 to 32");
        check("10.0.0.0/255.0.0.0", "not the length", "`10.0.0.0/8`");
        check("10.0.0.0:80", "not a prefix", "without a port");
        check("[2001:db8::1]", "not a prefix", "brackets");
        check("any", "not a prefix", "`0.0.0.0/0` and `::/0`");
        check("10.0.0.1-10.0.0.9", "not a prefix", "ipcalc");
        check(" 10.0.0.1", "not a prefix", "spaces");
        check("example.org", "not a prefix", "as in `203.0.113.0/24`");
        check("", "not a prefix", "as in");
    }

    #[track_caller]
    fn check(text: &str, message: &str, help: &str) {
        let (found, cure) = Prefix::parse(text).unwrap_err();
        assert!(found.contains(message), "{found}");
        assert!(cure.contains(help), "{cure}");
    }

    #[test]
    fn a_prefix_covers_what_begins_with_its_bits() {
        let prefix = |text| Prefix::parse(text).unwrap();
        let ip = |text: &str| text.parse().unwrap();
        assert!(prefix("10.0.0.0/8").contains(ip("10.255.0.1")));
        assert!(prefix("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")));
        assert!(!prefix("10.0.0.0/8").contains(ip("11.0.0.0")));
        assert!(!prefix("0.0.0.0/0").contains(ip("::1")));
        assert!(prefix("10.0.0.0/8").covers(prefix("10.0.0.0/8")));
        assert!(!prefix("10.0.0.0/16").covers(prefix("10.0.0.0/8")));
        assert_eq!(Prefix::around(ip("2001:db8:1:2:3::4"), 64).to_string(), "2001:db8:1:2::/64");
        assert_eq!(Prefix::around(ip("::ffff:192.0.2.9"), 24).to_string(), "192.0.2.0/24");
        assert_eq!(Prefix::around(ip("192.0.2.9"), 64).to_string(), "192.0.2.9");
    }
}
