//! What operators say about addresses of clients, and how access lists decide.

use std::fmt;
use std::net::IpAddr;

use config::Prefix;
use serde::{Deserialize, Serialize};

/// What an operator says about addresses of clients. As JSON, in the body of `POST /command`:
/// `{"deny": {"prefix": "203.0.113.0/24", "for_seconds": 600}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessOrder {
    /// The addresses.
    #[serde(with = "crate::prefix")]
    pub prefix: Prefix,
    /// The access list that it is about; without one it is about every listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// How long it holds, in seconds, at most [`FOR_SECONDS_MAX`]; without it, until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u32>,
    /// Why, in at most [`WHY_CHARS_MAX`] characters; empty if the operator does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Whether established connections of these addresses are closed as well. Only a denial may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close: bool,
}

/// How long a denial or an allowance may hold: a year. What has no end is said without a time.
pub const FOR_SECONDS_MAX: u32 = 365 * 24 * 3600;

/// The longest reason.
pub const WHY_CHARS_MAX: usize = 200;

impl fmt::Display for AccessOrder {
    /// The arguments on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, list, for_seconds, why, close } = self;
        subject(*prefix, list.as_deref(), f)?;
        if let Some(seconds) = for_seconds {
            let time = std::time::Duration::from_secs((*seconds).into());
            write!(f, " --for {}", config::show_duration(time))?;
        }
        if !why.is_empty() {
            write!(f, " --why {why:?}")?;
        }
        if *close { f.write_str(" --close") } else { Ok(()) }
    }
}

/// The addresses and the list of a command, as its arguments.
pub(crate) fn subject(prefix: Prefix, list: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{prefix}")?;
    list.map_or(Ok(()), |list| write!(f, " --list {list}"))
}

/// A query about access lists. As JSON, the body of `POST /access`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessQuery {
    /// The name of the access list; without one, all lists.
    pub list: Option<String>,
    /// An address, to find out what decides about it.
    pub check: Option<IpAddr>,
    /// The maximum number of overrides in the result; without it, all of them.
    pub limit: Option<u32>,
}

/// The result of an [`AccessQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessView {
    /// The lists, in the order of the file. The last one has no name if operators said anything that holds for
    /// listeners without a list.
    pub lists: Vec<ListView>,
    /// What operators said about addresses, those of all lists first.
    pub overrides: Vec<OverrideView>,
    /// How many more there are.
    pub left_out: u64,
    /// What decides about the address of the query: for each list.
    pub checks: Vec<AccessCheck>,
}

/// An access list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListView {
    /// The name; `null` for listeners that name no list.
    pub name: Option<String>,
    /// The listeners that it holds for.
    pub listeners: Vec<String>,
    /// The rules, in their order.
    pub rules: Vec<RuleView>,
    /// What happens to clients that no rule matches.
    pub otherwise: AccessAction,
    /// How often no rule matched.
    pub otherwise_hits: u64,
    /// How often an allowance of operators decided.
    pub allowed_hits: u64,
    /// How often a denial of operators decided.
    pub denied_hits: u64,
    /// Whether denied clients are only counted, unless an operator denies them.
    pub dry_run: bool,
}

/// A rule of an access list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// The rule in words: `deny 3 prefixes of /etc/rondel/blocked.cidr`.
    pub rule: String,
    /// What happens to clients that it matches.
    pub action: AccessAction,
    /// How many prefixes it has.
    pub prefixes: u64,
    /// How often it decided.
    pub hits: u64,
}

/// What an operator said about addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideView {
    /// The addresses.
    #[serde(with = "crate::prefix")]
    pub prefix: Prefix,
    /// The access list that it is about; `null` if it is about every listener.
    pub list: Option<String>,
    /// What happens to clients with such an address.
    pub action: AccessAction,
    /// When it was said, in seconds since 1970.
    pub since: u64,
    /// For how many more seconds it holds, rounded up; `null` if it has no end.
    pub seconds_left: Option<u64>,
    /// The operator that said it: user and process, as the log has it.
    pub by: String,
    /// Why it was said; empty if the operator did not say.
    pub why: String,
}

/// What decides about an address, by one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessCheck {
    /// The name of the list; `null` for listeners that name none.
    pub list: Option<String>,
    /// The listeners that it holds for.
    pub listeners: Vec<String>,
    /// What happens to the client.
    pub action: AccessAction,
    /// What decides, in words: `rule 2, deny 3 prefixes of /etc/rondel/blocked.cidr`.
    pub decided_by: String,
    /// Whether a denial is only counted, and the client served.
    pub dry_run: bool,
}

names! {
    /// What happens to a client by its address.
    pub enum AccessAction {
        /// It may connect.
        Allow = "allow",
        /// It is refused.
        Deny = "deny",
    }
}

#[cfg(test)]
mod tests {
    use crate::{AccessOrder, Command};

    #[test]
    fn what_is_said_is_json_and_a_line_of_a_command() {
        for (json, line) in [
            (r#"{"deny":{"prefix":"203.0.113.0/24"}}"#, "deny 203.0.113.0/24"),
            (
                r#"{"deny":{"prefix":"203.0.113.7","list":"internet","for_seconds":600,"why":"scans","close":true}}"#,
                r#"deny 203.0.113.7 --list internet --for 10m --why "scans" --close"#,
            ),
            (r#"{"allow":{"prefix":"2001:db8::/32","for_seconds":1}}"#, "allow 2001:db8::/32 --for 1s"),
            (
                r#"{"forget":{"prefix":"203.0.113.7","list":"internet"}}"#,
                "forget 203.0.113.7 --list internet",
            ),
            (r#"{"forget":{"prefix":"203.0.113.7"}}"#, "forget 203.0.113.7"),
        ] {
            let command: Command = serde_json::from_str(json).unwrap();
            assert_eq!(command.to_string(), line);
            assert_eq!(serde_json::to_string(&command).unwrap(), json);
        }
        for wrong in [
            r#"{"prefix":"203.0.113.7/24"}"#,
            r#"{"prefix":"example.org"}"#,
            "{}",
            r#"{"prefix":"203.0.113.7","until":1}"#,
        ] {
            assert!(serde_json::from_str::<AccessOrder>(wrong).is_err(), "{wrong}");
        }
    }
}
