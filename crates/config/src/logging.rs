//! Reads `access_log`: a target alone, or the whole section.

use std::net::{IpAddr, SocketAddr};

use crate::address;
use crate::config::{AccessLog, Facility, LogField, LogFormat, LogTarget, SYSLOG_DEFAULT, SYSLOG_PORT};
use crate::defaults;
use crate::fields::{Fields, Value};
use crate::limits;
use crate::problem::{Finding, Problems, Quoted, Wrong};
use crate::sections::{ACCESS_LOG, ADMIN, FILE, LISTENER};
use crate::span::Span;

/// Reads the access log, and sets the place of its target. None if it is off, or wrong.
pub(crate) fn access_log(
    file: &Fields<'_>,
    place: &mut Option<Span>,
    problems: &mut Problems,
) -> Option<AccessLog> {
    let value = file.get("access_log").filter(|value| !value.is_off())?;
    *place = Some(value.span());
    if value.scalar().is_some() {
        return target(value, problems).map(defaults::access_log);
    }
    let fields = value.fields(&ACCESS_LOG, &[&FILE, &ADMIN, &LISTENER], problems)?;
    let to = fields.require("to", "to: /var/log/rondel/access.log", problems).filter(|to| !to.is_off());
    let format = fields.get("format");
    let format = format.and_then(|value| value.choice("format", LogFormat::ALL, problems));
    let of_line = fields.get("fields").and_then(|value| fields_of_line(value, problems));
    let skip_empty = fields.get("skip_empty").and_then(|value| value.boolean(problems));
    let written = fields.get("facility");
    let facility = written.and_then(|value| value.choice("facility", Facility::ALL, problems));
    *place = to.map(|to| to.span());
    let mut log = defaults::access_log(target(to?, problems)?);
    if let Some(written) = written.filter(|_| !log.to.is_syslog()) {
        let message = format!("`facility` is for messages to syslog, and lines go to {}", log.to);
        problems.push(Finding::at(written.span(), message).help("remove it, or write `to: syslog`"));
    }
    log.facility = facility.unwrap_or(log.facility);
    log.format = format.unwrap_or(log.format);
    log.fields = of_line;
    log.skip_empty = skip_empty.unwrap_or(log.skip_empty);
    Some(log)
}

/// Reads the fields of a line. Each is there at most once, which bounds their number.
fn fields_of_line(value: Value<'_>, problems: &mut Problems) -> Option<Vec<LogField>> {
    let span = value.span();
    let mut fields = Vec::new();
    let mut is_whole = true;
    for item in value.items("fields", None, problems)? {
        if problems.is_full() {
            return None;
        }
        let Some(field) = item.choice("field", LogField::ALL, problems) else {
            is_whole = false;
            continue;
        };
        if fields.contains(&field) {
            let finding = Finding::at(item.span(), format!("the field `{field}` is listed twice"));
            problems.push(finding.help("remove one of the two"));
            is_whole = false;
        } else {
            fields.push(field);
        }
    }
    if is_whole && fields.is_empty() {
        let finding = Finding::at(span, "a line has at least one field");
        problems.push(finding.help("leave `fields` out for those of the format"));
        return None;
    }
    is_whole.then_some(fields)
}

fn target(value: Value<'_>, problems: &mut Problems) -> Option<LogTarget> {
    let target = value.parse("`off`, `stderr`, `syslog` or the path of a file", parse_target, problems);
    target.map(|target| target.value)
}

fn parse_target(text: &str) -> Result<LogTarget, Wrong> {
    if let Some(address) = text.strip_prefix("syslog://") {
        return server(address).map(LogTarget::SyslogUdp);
    }
    let (path, is_socket) = match text {
        "stderr" => return Ok(LogTarget::Stderr),
        "syslog" => return Ok(LogTarget::Syslog(SYSLOG_DEFAULT.into())),
        _ => match text.strip_prefix("syslog:") {
            Some(path) => (path, true),
            None => (text, false),
        },
    };
    if !path.starts_with('/') || path.ends_with('/') || path.chars().any(char::is_control) {
        let wrong = Wrong::new(format!("{} is not a target of the access log", Quoted(text)));
        return Err(wrong.help(server_meant(text).unwrap_or_else(|| {
            "write `off`, `stderr`, `syslog`, `syslog:/PATH/OF/SOCKET`, `syslog://IP:PORT`, or a whole path such as \
             `/var/log/rondel/access.log`"
                .to_owned()
        })));
    }
    if !is_socket {
        return Ok(LogTarget::File(path.into()));
    }
    if path.len() > limits::SOCKET_PATH_BYTES_MAX {
        return Err(Wrong::new(format!("the path {} is too long", Quoted(path)))
            .help(format!("the path of a socket is at most {} bytes", limits::SOCKET_PATH_BYTES_MAX)));
    }
    Ok(LogTarget::Syslog(path.into()))
}

/// Reads the address of a syslog server, with or without its port.
fn server(text: &str) -> Result<SocketAddr, Wrong> {
    if text.starts_with('/') {
        return Err(Wrong::new(format!("{} is a path, and an address is needed here", Quoted(text)))
            .help(format!("write `syslog:{text}` for a socket of this host")));
    }
    let has_port = text.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let address = if has_port || text.is_empty() || text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
        address::server(text)?
    } else {
        address::server(&format!("{text}:{SYSLOG_PORT}"))?
    };
    Ok(address)
}

/// How to write a syslog server that is written as HAProxy and nginx have it: `127.0.0.1:514 local0`,
/// `syslog:server=127.0.0.1:514,facility=local7`.
fn server_meant(text: &str) -> Option<String> {
    let mut rest = text;
    for prefix in ["syslog+", "syslog:", "server=", "udp://", "udp@", "udp4@", "udp6@", "ipv4@", "ipv6@"] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let mut words = rest.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    let address = server(words.next()?).ok()?;
    let facility = words.find_map(|word| {
        let word = word.strip_prefix("facility=").unwrap_or(word);
        Facility::ALL.iter().find(|facility| facility.name() == word)
    });
    Some(match facility {
        None => format!("write `\"syslog://{address}\"` for a server over UDP"),
        Some(facility) => {
            format!("write `{{ to: \"syslog://{address}\", facility: {facility} }}` for a server over UDP")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{LogTarget, parse_target};

    #[test]
    fn a_server_is_an_address_with_or_without_its_port() {
        check("syslog://127.0.0.1:5514", "syslog://127.0.0.1:5514");
        check("syslog://127.0.0.1", "syslog://127.0.0.1:514");
        check("syslog://[::1]:5514", "syslog://[::1]:5514");
        check("syslog://[2001:db8::1]", "syslog://[2001:db8::1]:514");
        check("syslog://[fe80::1%2]:514", "syslog://[fe80::1%2]:514");
        check("syslog", "syslog");
        check("syslog:/run/log", "syslog:/run/log");
        refused("syslog://logs.example.org", "`logs.example.org` is a name, and names are not resolved yet");
        refused("syslog://logs.example.org:514", "is a name, and names are not resolved yet");
        refused("syslog://::1", "in brackets");
        refused("syslog://", "the address is empty");
        refused("syslog://127.0.0.1:0", "port 0");
        refused("syslog://127.0.0.1:99999", "`99999` is not a port");
        refused("syslog://0.0.0.0:514", "every address of a host");
        refused("syslog://224.0.0.1:514", "multicast");
        refused("syslog:///run/log", "write `syslog:/run/log`");
    }

    #[test]
    fn a_server_of_other_programs_says_how_it_is_written_here() {
        for text in
            ["127.0.0.1:514", "127.0.0.1", "udp@127.0.0.1:514", "udp://127.0.0.1", "syslog:server=127.0.0.1"]
        {
            refused(text, "write `\"syslog://127.0.0.1:514\"`");
        }
        for text in [
            "127.0.0.1:514 local7",
            "127.0.0.1 local7 info",
            "syslog:server=127.0.0.1:514,facility=local7,tag=a",
        ] {
            refused(text, "write `{ to: \"syslog://127.0.0.1:514\", facility: local7 }`");
        }
        refused("log", "write `off`, `stderr`");
    }

    #[track_caller]
    fn check(text: &str, shown: &str) {
        let target = parse_target(text).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.message));
        assert_eq!(target.to_string(), shown);
        assert_eq!(parse_target(shown).ok(), Some(target.clone()), "what is shown can be written");
        assert_eq!(matches!(target, LogTarget::SyslogUdp(_)), text.contains("://"));
    }

    #[track_caller]
    fn refused(text: &str, contains: &str) {
        let wrong = parse_target(text).expect_err(text);
        let said = format!("{}; {}", wrong.message, wrong.help.unwrap_or_default());
        assert!(said.contains(contains), "{text}: {said}");
    }
}
