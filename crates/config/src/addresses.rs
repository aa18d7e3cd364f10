//! Several addresses in few words.

use std::borrow::Borrow;
use std::net::SocketAddr;

/// Addresses as an operator writes them: `10.0.0.1:80, [::]:8000-8010`. Ports that follow each other at one IP address
/// are a range.
pub fn show_addresses(addresses: impl IntoIterator<Item: Borrow<SocketAddr>>) -> String {
    let mut ranges: Vec<(SocketAddr, u16)> = Vec::new();
    for address in addresses {
        let address = *address.borrow();
        match ranges.last_mut() {
            Some((first, last)) if follows(*first, *last, address) => *last = address.port(),
            _ => ranges.push((address, address.port())),
        }
    }
    let shown = ranges.into_iter().map(|(first, last)| {
        if last == first.port() { first.to_string() } else { format!("{first}-{last}") }
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Whether `next` is the port after `last`, at the same IP address as `first`.
fn follows(mut first: SocketAddr, last: u16, next: SocketAddr) -> bool {
    first.set_port(next.port());
    first == next && last.checked_add(1) == Some(next.port())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::show_addresses;

    #[test]
    fn ports_that_follow_each_other_are_a_range() {
        check("10.0.0.1:80", "10.0.0.1:80");
        check("10.0.0.1:80 10.0.0.1:81", "10.0.0.1:80-81");
        check("10.0.0.1:80 10.0.0.1:81 10.0.0.1:83", "10.0.0.1:80-81, 10.0.0.1:83");
        check("[::]:80 10.0.0.1:81 10.0.0.1:82 [::]:83", "[::]:80, 10.0.0.1:81-82, [::]:83");
        check("10.0.0.1:82 10.0.0.1:81", "10.0.0.1:82, 10.0.0.1:81");
        check("10.0.0.1:65535 10.0.0.1:1", "10.0.0.1:65535, 10.0.0.1:1");
    }

    #[track_caller]
    fn check(addresses: &str, shown: &str) {
        let addresses = addresses.split(' ').map(|address| address.parse::<SocketAddr>().unwrap());
        assert_eq!(show_addresses(addresses), shown);
    }
}
