//! Addresses: literal IP addresses with a port. Names are not resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::ListenAddress;
use crate::problem::{Quoted, Wrong};

/// Reads an address to accept connections on. A port alone, `:8080`, means every address of the host, IPv4 and
/// IPv6.
pub(crate) fn listen(text: &str) -> Result<ListenAddress, Wrong> {
    if let Some(number) = port(text) {
        return Err(Wrong::new(format!("{} is a port without an address", Quoted(text))).help(format!(
            "write `\":{number}\"` for every address of the host, or one of them, as in `\"127.0.0.1:{number}\"`"
        )));
    }
    let every = every_address(text);
    let address = match every {
        Some(port) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        None => parse(text)?,
    };
    plain(address.ip(), scope(&address))?;
    if address.port() == 0 {
        // The kernel would choose another port at each start, unknown to clients.
        return Err(Wrong::new("port 0 cannot be listened on").help("write a port from 1 to 65535"));
    }
    Ok(ListenAddress { address, every_address: every.is_some() })
}

/// Reads an address to accept connections on, or a range of ports at one: `:8000-8010`.
pub(crate) fn listen_range(text: &str) -> Result<Vec<ListenAddress>, Wrong> {
    let Some((host, first, last)) = range(text) else {
        return listen(text).map(|listen| vec![listen]).map_err(|wrong| {
            if text.contains(',') {
                let list: Vec<_> = text.split(',').map(|one| format!("\"{}\"", one.trim())).collect();
                return Wrong::new(format!("{} is not an address", Quoted(text)))
                    .help(format!("write a list: `[{}]`", list.join(", ")));
            }
            wrong
        });
    };
    if first > last {
        return Err(Wrong::new(format!("the range of ports {first}-{last} ends before it begins"))
            .help(format!("write it as `{last}-{first}`")));
    }
    let lowest = listen(&format!("{host}:{first}"))?;
    let at = |port| {
        let mut listen = lowest;
        listen.address.set_port(port);
        listen
    };
    Ok((first..=last).map(at).collect())
}

/// A host and a range of ports at it, when that is what `text` looks like.
fn range(text: &str) -> Option<(&str, u16, u16)> {
    let (host, ports) = text.rsplit_once(':')?;
    let (first, last) = ports.split_once('-')?;
    Some((host, port(first)?, port(last)?))
}

/// The port, when `text` names nothing else.
fn every_address(text: &str) -> Option<u16> {
    text.strip_prefix(':').and_then(port)
}

/// Reads the address of a backend.
pub(crate) fn backend(text: &str) -> Result<SocketAddr, Wrong> {
    let address = parse(text)?;
    specific(address.ip())?;
    plain(address.ip(), scope(&address))?;
    if address.port() == 0 {
        return Err(
            Wrong::new("port 0 cannot be connected to").help("write the port that the backend listens on")
        );
    }
    Ok(address)
}

/// Reads the address of a server that gets datagrams.
pub(crate) fn server(text: &str) -> Result<SocketAddr, Wrong> {
    let address = parse(text)?;
    specific(address.ip())?;
    if address.ip().is_multicast() || address.ip() == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(Wrong::new(format!(
            "`{}` is a multicast address, and messages go to one server",
            address.ip()
        )));
    }
    plain(address.ip(), scope(&address))?;
    if address.port() == 0 {
        return Err(
            Wrong::new("port 0 cannot be sent to").help("write the port of the server; syslog has 514")
        );
    }
    Ok(address)
}

/// Reads an address to connect from. It has no port: the kernel chooses one.
pub(crate) fn source(text: &str) -> Result<IpAddr, Wrong> {
    let Ok(ip) = text.parse::<IpAddr>() else {
        return Err(match text.parse::<SocketAddr>() {
            Ok(address) => Wrong::new("a source has no port; the kernel chooses one for each connection")
                .help(format!("write `{}`", address.ip())),
            Err(_) => Wrong::new(format!("{} is not an IP address", Quoted(text)))
                .help("write an address of this host, such as `192.0.2.10` or `2001:db8::10`"),
        });
    };
    specific(ip)?;
    plain(ip, 0)?;
    Ok(ip)
}

/// Reads an IP address with a port, or guesses the mistake in it.
fn parse(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| diagnose(text))
}

fn diagnose(text: &str) -> Wrong {
    let not_one = Wrong::new(format!("{} is not an address", Quoted(text)));
    if text.is_empty() {
        return Wrong::new("the address is empty").help(EXAMPLES);
    }
    if text.trim() != text {
        return not_one.help("remove the spaces around it");
    }
    if text.starts_with(['/', '@']) || text.starts_with("unix:") {
        return not_one.help(format!("only TCP is spoken; {EXAMPLES}"));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        let wrong = Wrong::new(format!("the address {} has no port", Quoted(text)));
        return match ip {
            IpAddr::V4(ip) => wrong.help(format!("write `{ip}:80`, with the right port")),
            IpAddr::V6(_) => wrong.help(
                "put an IPv6 address in brackets and the port behind them, as in `\"[2001:db8::2]:80\"`",
            ),
        };
    }
    if text.contains(',') {
        return not_one.help("one address is needed here; write a separate entry for each");
    }
    if let Some((_, rest)) = text.split_once("://").or_else(|| text.split_once('@')) {
        return not_one
            .help(format!("write the IP address and the port alone{}", as_in(rest.trim_end_matches('/'))));
    }
    if let Some(number) = port(text) {
        return Wrong::new(format!("{} is a port without an address", Quoted(text)))
            .help(format!("write an IP address before it, as in `10.0.0.1:{number}`"));
    }
    if let Some(ip) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let wrong = Wrong::new(format!("the address {} has no port", Quoted(text)));
        return match ip.parse::<Ipv6Addr>() {
            Ok(ip) => wrong.help(format!("write `\"[{ip}]:80\"`, with the right port")),
            Err(_) => wrong.help(EXAMPLES),
        };
    }
    let Some((host, behind)) = text.rsplit_once(':') else {
        return name_or(text, not_one, None);
    };
    let Some(number) = port(behind) else {
        if range(text).is_some() {
            return Wrong::new(format!("{} is a range of ports", Quoted(behind)))
                .help("an address has one port; write a separate entry for each");
        }
        return Wrong::new(format!("{} is not a port", Quoted(behind)))
            .help("a port is a number from 1 to 65535");
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if host == "*" {
        return not_one
            .help(format!("write `\":{number}\"` for all addresses, or `0.0.0.0:{number}` for IPv4 alone"));
    }
    if host.is_empty() {
        return Wrong::new(format!("{} is a port without an address", Quoted(text)))
            .help(format!("write an IP address before it, as in `10.0.0.1:{number}`"));
    }
    if bare.contains('%') {
        return not_one.help(
            "write the number of the interface behind the `%`, as `ip link` shows it: `[fe80::1%2]:80`",
        );
    }
    if bare.parse::<Ipv6Addr>().is_ok() {
        return not_one.help(format!("write `\"[{bare}]:{number}\"`"));
    }
    if bare.parse::<Ipv4Addr>().is_ok() {
        return not_one.help(format!("write `{bare}:{number}`; brackets are for IPv6"));
    }
    name_or(host, not_one, Some(number))
}

/// Whether a host is a name, or a misspelt IP address.
fn name_or(host: &str, not_one: Wrong, port: Option<u16>) -> Wrong {
    if host.contains([':', '[', ']']) {
        return not_one.help("an IPv6 address with its port is written as in `\"[2001:db8::2]:80\"`");
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return not_one.help(
            "an IPv4 address is four numbers from 0 to 255 without leading zeros, then `:` and a port",
        );
    }
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !is_name {
        return not_one.help(EXAMPLES);
    }
    let wrong = Wrong::new(format!("{} is a name, and names are not resolved yet", Quoted(host)));
    let port = port.unwrap_or(80);
    if host == "localhost" {
        return wrong.help(format!("write `127.0.0.1:{port}` or `\"[::1]:{port}\"`"));
    }
    wrong.help(format!("write its IP address, as in `10.0.0.1:{port}`; `getent ahosts NAME` shows it"))
}

fn as_in(rest: &str) -> String {
    if rest.parse::<SocketAddr>().is_ok() { format!(", `{rest}`") } else { String::new() }
}

fn port(text: &str) -> Option<u16> {
    // `u16::from_str` would also take a sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Rejects wildcard addresses.
fn specific(ip: IpAddr) -> Result<(), Wrong> {
    if ip.is_unspecified() {
        return Err(Wrong::new(format!(
            "`{ip}` means every address of a host, and one address is needed here"
        ))
        .help("write one address, such as `127.0.0.1` for this host"));
    }
    Ok(())
}

/// Rejects addresses that TCP cannot use, and those with a second spelling.
fn plain(ip: IpAddr, scope: u32) -> Result<(), Wrong> {
    if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(Wrong::new(format!("`{ip}` is a multicast address, and TCP connects two hosts")));
    }
    let IpAddr::V6(v6) = ip else { return Ok(()) };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return Err(
            Wrong::new(format!("`{ip}` is an IPv4 address written as IPv6")).help(format!("write `{v4}`"))
        );
    }
    if v6.is_unicast_link_local() && scope == 0 {
        return Err(Wrong::new(format!(
            "the link-local address `{ip}` is not complete without its interface"
        ))
        .help(format!(
            "add the number of the interface, as `ip link` shows it: `{ip}%2`, or use another address"
        )));
    }
    Ok(())
}

fn scope(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    }
}

const EXAMPLES: &str = "write an IP address and a port, as in `10.0.0.1:80` or `\"[2001:db8::2]:80\"`";
