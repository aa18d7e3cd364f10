//! The keys of the PROXY protocol as written: `proxy_protocol` and `opening` of a listener, `send_proxy` of a pool.

use crate::defaults;
use crate::fields::{Fields, Value};
use crate::limits;
use crate::prefix;
use crate::problem::{Finding, Problems, Quoted};
use crate::proxy::{
    HeaderField, HeaderVersion, HeaderVersions, Opening, Others, Proxies, ProxyProtocol, SendProxy,
};
use crate::sections::{LISTENER, OPENING, POOL, PROXY_PROTOCOL, SEND_PROXY};

/// Reads from which proxies headers are accepted; none if from none.
pub(crate) fn proxy_protocol(fields: &Fields<'_>, problems: &mut Problems) -> Option<ProxyProtocol> {
    let value = fields.get("proxy_protocol").filter(|value| !value.is_nothing() && !value.is_off())?;
    if value.scalar().is_some() {
        let finding = Finding::at(value.span(), "`proxy_protocol` does not say whose header is believed");
        problems.push(finding.help(format!("write `{}`", PROXY_PROTOCOL.example)));
        return None;
    }
    let fields = value.fields(&PROXY_PROTOCOL, &[&LISTENER, &SEND_PROXY], problems)?;
    let from = fields.require("from", "from: [\"10.0.0.0/8\"]", problems);
    let from = from.and_then(|value| proxies(value, problems));
    let others = fields.get("others").and_then(|value| value.choice("`others`", Others::ALL, problems));
    let versions = fields.get("versions").and_then(|value| versions(value, problems));
    Some(ProxyProtocol {
        from: from?,
        others: others.unwrap_or(defaults::OTHERS),
        versions: versions.unwrap_or(defaults::HEADER_VERSIONS),
    })
}

/// Reads `any` or a list of prefixes.
fn proxies(value: Value<'_>, problems: &mut Problems) -> Option<Proxies> {
    if value.scalar() == Some("any") {
        return Some(Proxies::Any);
    }
    if value.scalar().is_some() {
        let finding = value.mismatch("a list of prefixes, or `any`");
        problems.push(finding.help("write it as `from: [\"10.0.0.0/8\"]`"));
        return None;
    }
    let items = value.items("prefixes", None, problems)?;
    if items.len() == 0 || items.len() > limits::PROXY_PREFIXES_MAX {
        let message = format!("{} prefixes", items.len());
        let help = format!("name 1 to {} of them, or write `from: any`", limits::PROXY_PREFIXES_MAX);
        problems.push(Finding::at(value.span(), message).help(help));
        return None;
    }
    let prefixes = items.filter_map(|value| value.parse("a prefix", prefix::read, problems));
    Some(Proxies::Of(prefixes.map(|prefix| prefix.value).collect()))
}

fn versions(value: Value<'_>, problems: &mut Problems) -> Option<HeaderVersions> {
    let items = value.items("versions", None, problems)?;
    if items.len() == 0 {
        let finding = Finding::at(value.span(), "no version of the header is accepted");
        problems.push(finding.help("write `versions: [v1, v2]`, or `proxy_protocol: off`"));
    }
    let mut versions = HeaderVersions { v1: false, v2: false };
    for value in items {
        match value.choice("version", HeaderVersion::ALL, problems)? {
            HeaderVersion::V1 => versions.v1 = true,
            HeaderVersion::V2 => versions.v2 = true,
        }
    }
    Some(versions)
}

/// Reads the bounds for clients that have yet to show themselves.
pub(crate) fn opening(fields: &Fields<'_>, problems: &mut Problems) -> Opening {
    let mut opening = defaults::OPENING;
    let Some(value) = fields.get("opening") else { return opening };
    let Some(fields) = value.fields_or_none(&OPENING, &[&LISTENER], problems) else { return opening };
    let timeout = fields.get("timeout").and_then(|value| value.duration(limits::OPENING_TIMEOUT, problems));
    let connections = fields.get("connections").and_then(|value| value.number(limits::OPENINGS, problems));
    opening.timeout = timeout.unwrap_or(opening.timeout);
    opening.connections_max = connections.unwrap_or(opening.connections_max);
    opening
}

/// Reads which header is sent to backends; none if none is.
pub(crate) fn send_proxy(fields: &Fields<'_>, problems: &mut Problems) -> Option<SendProxy> {
    let value = fields.get("send_proxy").filter(|value| !value.is_nothing() && !value.is_off())?;
    if value.switch() == Some(true) {
        let finding = Finding::at(value.span(), "`send_proxy` does not say which version is sent");
        problems.push(finding.help("write `send_proxy: v2`, or `v1` for a backend that reads only that"));
        return None;
    }
    if value.scalar().is_some() {
        let version = value.choice("version", HeaderVersion::ALL, problems)?;
        return Some(SendProxy { version, fields: Vec::new() });
    }
    let section = value.fields(&SEND_PROXY, &[&POOL, &PROXY_PROTOCOL], problems)?;
    let version = section.require("version", "version: v2", problems);
    let version = version.and_then(|value| value.choice("version", HeaderVersion::ALL, problems))?;
    let Some(written) = section.get("tlvs") else { return Some(SendProxy { version, fields: Vec::new() }) };
    if version == HeaderVersion::V1 {
        let finding = Finding::at(written.span(), "version 1 of the PROXY protocol has no TLVs");
        problems.push(finding.help("write `version: v2`, or remove `tlvs`"));
        return None;
    }
    let mut fields = Vec::new();
    for value in written.items("TLVs", None, problems)? {
        if let Some(word @ ("alpn" | "authority" | "ssl")) = value.scalar() {
            let message = format!("the TLV `{word}` says what TLS negotiated, and rondel terminates none");
            let help = "remove it; `pass_authority` and `pass_ssl` pass on what a proxy in front has sent";
            problems.push(Finding::at(value.span(), message).help(help));
            continue;
        }
        let Some(field) = value.choice("TLV", HeaderField::ALL, problems) else { continue };
        if fields.contains(&field) {
            let message = format!("the TLV {} is listed twice", Quoted(&field.to_string()));
            problems.push(Finding::at(value.span(), message).help("remove one of the two"));
        }
        fields.push(field);
    }
    Some(SendProxy { version, fields })
}
