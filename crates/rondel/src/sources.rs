//! `rondel sources`: which sources have most connections, and which clients were refused most.

use api::{SourceView, SourcesQuery, SourcesView, TOP_MAX};

use crate::admin::AdminClient;
use crate::completions::names;
use crate::outcome::{Outcome, print, print_json, remark};
use crate::text::{number, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel sources
  rondel sources visitors --top 5
  rondel sources --json | jq -r '.refused[] | select(.number > 100) | .source'

CONNECTIONS are established ones: with LIMITS, those of listeners with these limits, by the addresses that \
are one source there; without, all of them, by address. REFUSED is how often a client was refused for its \
address in the last minute, at whatever listener. Each worker keeps the 64 that were refused most; numbers \
of those with few refusals may be too high.

Exit codes: 0 success; 3 there are no such limits.")]
pub(crate) struct Arguments {
    /// Count connections of listeners with these limits, by their sources
    #[arg(value_name = "LIMITS", add = names::limits())]
    limits: Option<String>,
    /// How many of each to list
    #[arg(long, value_name = "NUMBER", default_value = "20", value_parser = number(1..=TOP_MAX))]
    top: u32,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn sources(arguments: &Arguments) -> Outcome {
    let query = SourcesQuery { limits: arguments.limits.clone(), top: Some(arguments.top) };
    let view: SourcesView = arguments.admin.query("/sources", &query)?;
    if arguments.admin.json {
        return print_json(&view);
    }
    let tables = [("CONNECTIONS", &view.sources), ("REFUSED", &view.refused)].map(|(title, sources)| {
        let row = |source: &SourceView| [source.source.to_string(), source.number.to_string()];
        let head = [["SOURCE", title].map(str::to_owned)];
        table(&head.into_iter().chain(sources.iter().map(row)).collect::<Vec<_>>())
    });
    print(&tables.join("\n\n"))?;
    for worker in &view.silent_workers {
        remark(&format!("worker {worker} did not answer within a second: what it has is missing"));
    }
    Ok(())
}
