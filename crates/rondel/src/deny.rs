//! `rondel deny`, `rondel allow` and `rondel forget`: what operators say about addresses of clients.

use std::net::IpAddr;
use std::time::Duration;

use api::{AccessOrder, Command, FOR_SECONDS_MAX};
use config::{Prefix, show_duration};

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::{Failed, Outcome};
use crate::text::read_prefix;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel deny 203.0.113.7
  rondel deny 203.0.113.0/24 --for 1h --why 'scans, ticket 4711' --close
  rondel deny 2001:db8::/32 --list internet

New connections of these addresses are refused at once, before the rules of the file, and without an access \
list as well. Established connections continue, unless --close ends them. What `rondel allow` allows stays \
allowed. A denial persists over reloads, and with `runtime.state` over restarts, until its time is over or \
`rondel forget` takes it back. The same command again replaces its time. `rondel access` lists what is denied.

Exit codes: 0 success; 3 refused.")]
pub(crate) struct Deny {
    /// An address, or a prefix of addresses
    #[arg(value_name = "PREFIX", value_parser = read_prefix)]
    prefix: Prefix,
    /// Deny them only at listeners with this access list
    #[arg(long, value_name = "LIST", add = names::access_lists())]
    list: Option<String>,
    /// How long, such as 10m or 1d, at most 365d; without it, until `rondel forget`
    #[arg(long = "for", value_name = "DURATION", value_parser = config::read_duration)]
    time: Option<Duration>,
    /// Why, for the log and `rondel access`
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    why: String,
    /// Close established connections of these addresses, too
    #[arg(long)]
    close: bool,
    /// Deny even every address, or the one that this terminal is used from by SSH
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    admin: AdminClient,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel allow 192.0.2.7 --for 1d --why 'monitoring'
  rondel allow 192.0.2.0/24 --list internet

What is allowed goes before all that is denied, by operators and by files. Limits of sources and of listeners \
still hold. An allowance persists as a denial does, until its time is over or `rondel forget` takes it back.

Exit codes: 0 success; 3 refused.")]
pub(crate) struct Allow {
    /// An address, or a prefix of addresses
    #[arg(value_name = "PREFIX", value_parser = read_prefix)]
    prefix: Prefix,
    /// Allow them only at listeners with this access list
    #[arg(long, value_name = "LIST", add = names::access_lists())]
    list: Option<String>,
    /// How long, such as 10m or 1d, at most 365d; without it, until `rondel forget`
    #[arg(long = "for", value_name = "DURATION", value_parser = config::read_duration)]
    time: Option<Duration>,
    /// Why, for the log and `rondel access`
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    why: String,
    #[command(flatten)]
    admin: AdminClient,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel forget 203.0.113.0/24
  rondel forget 192.0.2.7 --list internet

The command takes back what `rondel deny` or `rondel allow` said about these very addresses and this very \
list. Without --list that is what was said without --list.

Exit codes: 0 success, also if nothing was said; 3 refused.")]
pub(crate) struct Forget {
    /// The address or the prefix, as it was denied or allowed
    #[arg(value_name = "PREFIX", value_parser = read_prefix, add = names::said_prefixes())]
    prefix: Prefix,
    /// The access list that it was said about
    #[arg(long, value_name = "LIST", add = names::access_lists())]
    list: Option<String>,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn deny(arguments: &Deny) -> Outcome {
    let Deny { prefix, list, time, why, close, yes, admin } = arguments;
    let session = std::env::var("SSH_CONNECTION").ok();
    if let Some(danger) = danger(*prefix, session.as_deref()).filter(|_| !yes) {
        return Err(Failed::Refused(danger));
    }
    let for_seconds = time.map(whole_seconds).transpose()?;
    let order =
        AccessOrder { prefix: *prefix, list: list.clone(), for_seconds, why: why.clone(), close: *close };
    admin.command(&Command::Deny(order), "")
}

pub(crate) fn allow(arguments: &Allow) -> Outcome {
    let Allow { prefix, list, time, why, admin } = arguments;
    let for_seconds = time.map(whole_seconds).transpose()?;
    let order =
        AccessOrder { prefix: *prefix, list: list.clone(), for_seconds, why: why.clone(), close: false };
    admin.command(&Command::Allow(order), "")
}

pub(crate) fn forget(arguments: &Forget) -> Outcome {
    let Forget { prefix, list, admin } = arguments;
    admin.command(&Command::Forget { prefix: *prefix, list: list.clone() }, "")
}

/// Rounds up, so that nothing ends early.
fn whole_seconds(time: Duration) -> Result<u32, Failed> {
    let seconds = u32::try_from(time.as_millis().div_ceil(1000)).ok();
    seconds.filter(|seconds| (1..=FOR_SECONDS_MAX).contains(seconds)).ok_or_else(|| {
        let longest = show_duration(Duration::from_secs(FOR_SECONDS_MAX.into()));
        Failed::Refused(format!("`--for` is out of range: it is 1s to {longest}; without it there is no end"))
    })
}

/// Why the operator is probably wrong to deny these addresses. `session` is the variable that sshd(8) sets: the
/// client's address comes first.
fn danger(prefix: Prefix, session: Option<&str>) -> Option<String> {
    if prefix.length() == 0 {
        return Some(format!("{prefix} is every address of its kind: with `--yes` it is denied"));
    }
    let client: IpAddr = session?.split(' ').next()?.parse().ok()?;
    prefix.contains(client).then(|| {
        format!(
            "{prefix} has {client}, the address that you use this host from by SSH: with `--yes` it is denied"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config::Prefix;

    use super::{danger, whole_seconds};

    #[test]
    fn what_denies_the_operator_needs_to_be_confirmed() {
        let session = Some("203.0.113.9 50022 192.0.2.1 22");
        for (prefix, session, found) in [
            ("203.0.113.0/24", session, Some("203.0.113.9")),
            ("203.0.113.9", session, Some("203.0.113.9")),
            ("203.0.113.10", session, None),
            ("203.0.113.0/24", None, None),
            ("203.0.113.0/24", Some("nonsense"), None),
            ("0.0.0.0/0", None, Some("every address")),
            ("::/0", session, Some("every address")),
            ("fe80::/16", Some("fe80::1%eth0 1 fe80::2%eth0 22"), None),
        ] {
            let said = danger(Prefix::parse(prefix).unwrap(), session);
            assert_eq!(said.is_some(), found.is_some(), "{prefix}: {said:?}");
            assert!(said.unwrap_or_default().contains(found.unwrap_or_default()), "{prefix}");
        }
    }

    #[test]
    fn a_time_is_rounded_up_to_seconds() {
        let read = |milliseconds| whole_seconds(Duration::from_millis(milliseconds)).ok();
        assert_eq!((read(1), read(1000), read(1001)), (Some(1), Some(1), Some(2)));
        assert_eq!(
            (read(0), read(365 * 24 * 3600 * 1000), read(366 * 24 * 3600 * 1000)),
            (None, Some(31_536_000), None)
        );
    }
}
