//! `rondel bans`: what is denied, for programs that deny it elsewhere, such as nft(8).

mod nft; // The same as commands of nft.

use api::{AccessAction, AccessQuery, AccessView, OverrideView, SourcesQuery, SourcesView, TOP_MAX};
use config::Prefix;

use crate::access::left;
use crate::admin::AdminClient;
use crate::outcome::{Failed, Outcome, print, print_json, remark};
use crate::text::{number, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel bans
  rondel bans --nft | nft -f -
  rondel bans --nft --top 1000 | nft -f -
  rondel bans --json | jq -r '.[].prefix'

The list has the denials of `rondel deny`. LEFT is their remaining time. With --nft they are commands that fill \
the sets `banned4` and `banned6` of the table `inet rondel`, in place of what is in them; the file \
configs/nftables/rondel.nft defines these. The kernel then drops packets of these addresses to every port of \
the host, so --nft leaves out, and says so in a comment, what only rondel can refuse: denials of one access \
list, those around an allowance, loopback addresses, and prefixes wider than /8 of IPv4 and /16 of IPv6.")]
pub(crate) struct Arguments {
    /// Print commands for `nft -f -`
    #[arg(long, conflicts_with = "json")]
    nft: bool,
    /// With --nft, also drop for a minute what was refused more often than this in the last minute
    #[arg(long, value_name = "NUMBER", requires = "nft", value_parser = number(1..=u32::MAX))]
    top: Option<u32>,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn bans(arguments: &Arguments) -> Outcome {
    let view: AccessView = arguments.admin.query("/access", &AccessQuery::default())?;
    if arguments.nft {
        let offenders = arguments.top.map_or(Ok(Vec::new()), |most| offenders(arguments, most))?;
        return print(nft::commands(&view.overrides, &offenders).trim_end());
    }
    let denied: Vec<&OverrideView> =
        view.overrides.iter().filter(|said| said.action == AccessAction::Deny).collect();
    if arguments.admin.json {
        return print_json(&denied);
    }
    if denied.is_empty() {
        remark("nothing is denied by an operator");
        return Ok(());
    }
    let rows = denied.into_iter().map(|said| {
        let list = said.list.clone().unwrap_or_else(|| "-".to_owned());
        let why = if said.why.is_empty() { "-".to_owned() } else { said.why.clone() };
        [said.prefix.to_string(), left(said), list, why]
    });
    print(&table(&[COLUMNS.map(str::to_owned)].into_iter().chain(rows).collect::<Vec<_>>()))
}

/// The clients that were refused more often than this in the last minute.
fn offenders(arguments: &Arguments, most: u32) -> Result<Vec<Prefix>, Failed> {
    let query = SourcesQuery { limits: None, top: Some(TOP_MAX) };
    let view: SourcesView = arguments.admin.query("/sources", &query)?;
    let refused = view.refused.into_iter().filter(|source| source.number > u64::from(most));
    Ok(refused.map(|source| source.source).collect())
}

const COLUMNS: [&str; 4] = ["PREFIX", "LEFT", "LIST", "WHY"];
