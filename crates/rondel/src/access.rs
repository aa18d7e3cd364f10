//! `rondel access`: the access lists of a running rondel, what operators say, and what decides about an address.

use std::net::IpAddr;
use std::time::Duration;

use api::{AccessAction, AccessCheck, AccessQuery, AccessView, ListView, OverrideView};
use config::{listed, show_duration};

use crate::admin::AdminClient;
use crate::clock::Clock;
use crate::completions::names;
use crate::outcome::{Outcome, print, print_json, remark};
use crate::text::{number, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel access
  rondel access internet
  rondel access --check 203.0.113.7
  rondel access --json | jq '.overrides[] | select(.action == \"deny\") | .prefix'

HITS is how often a rule decided about a client, since its list has these rules. The rule `operator` is what \
`rondel deny` and `rondel allow` said, which goes before the others; it is listed below the lists. A list \
without a name is that of listeners that name none. BY is the user and the process that gave the command, as \
the log has it.

Exit codes: 0 success; 3 there is no such list.")]
pub(crate) struct Arguments {
    /// Show only this access list, and what is said about it
    #[arg(value_name = "LIST", add = names::access_lists())]
    list: Option<String>,
    /// Show what decides about a client with this address
    #[arg(long, value_name = "IP")]
    check: Option<IpAddr>,
    /// The maximum number of denials and allowances to show; with --json there is none
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = number(0..=100_000_u32))]
    limit: u32,
    #[command(flatten)]
    admin: AdminClient,
}

pub(crate) fn access(arguments: &Arguments) -> Outcome {
    let Arguments { list, check, limit, admin } = arguments;
    let limit = (!admin.json).then_some(*limit);
    let query = AccessQuery { list: list.clone(), check: *check, limit };
    let view: AccessView = admin.query("/access", &query)?;
    if admin.json {
        return print_json(&view);
    }
    if let Some(address) = check {
        let lines: Vec<String> = view.checks.iter().map(|check| check_line(*address, check)).collect();
        return print(&lines.join("\n"));
    }
    print_view(&view)
}

fn print_view(view: &AccessView) -> Outcome {
    if view.lists.is_empty() && view.overrides.is_empty() {
        remark("there is no access list, and nothing is denied or allowed by an operator");
        return Ok(());
    }
    let mut tables = Vec::new();
    if !view.lists.is_empty() {
        let rows = [LIST_COLUMNS.map(str::to_owned)].into_iter().chain(view.lists.iter().flat_map(list_rows));
        tables.push(table(&rows.collect::<Vec<_>>()));
    }
    if !view.overrides.is_empty() {
        let clock = Clock::local();
        let rows = view.overrides.iter().map(|said| said_row(said, &clock));
        tables.push(table(&[SAID_COLUMNS.map(str::to_owned)].into_iter().chain(rows).collect::<Vec<_>>()));
    }
    print(&tables.join("\n\n"))?;
    if view.left_out > 0 {
        remark(&format!("and {} more: raise `--limit`, or use `--json`", view.left_out));
    }
    Ok(())
}

const LIST_COLUMNS: [&str; 5] = ["LIST", "RULE", "PREFIXES", "HITS", "DOES"];

/// A row for each rule of a list, and one for each other thing that decides.
fn list_rows(list: &ListView) -> Vec<[String; LIST_COLUMNS.len()]> {
    let name = list.name.as_deref().unwrap_or("-");
    let row = |rule: &str, prefixes: &str, hits: u64, does: &str| {
        [name, rule, prefixes, &hits.to_string(), does].map(str::to_owned)
    };
    let listeners =
        if list.listeners.is_empty() { "no listener".to_owned() } else { list.listeners.join(", ") };
    let trial = if list.dry_run { "; a trial: its denials are only counted" } else { "" };
    let holds = format!("holds for {listeners}{trial}");
    let mut rows = vec![[name, "-", "-", "-", &holds].map(str::to_owned)];
    rows.push(row("operator", "-", list.allowed_hits, "allow"));
    rows.push(row("operator", "-", list.denied_hits, "deny"));
    let rules = list.rules.iter().enumerate();
    rows.extend(rules.map(|(index, rule)| {
        row(&(index + 1).to_string(), &rule.prefixes.to_string(), rule.hits, &rule.rule)
    }));
    rows.push(row("otherwise", "-", list.otherwise_hits, list.otherwise.name()));
    rows
}

const SAID_COLUMNS: [&str; 7] = ["PREFIX", "IS", "LIST", "SINCE", "LEFT", "BY", "WHY"];

fn said_row(said: &OverrideView, clock: &Clock) -> [String; SAID_COLUMNS.len()] {
    #[expect(clippy::cast_precision_loss, reason = "a time of this century")]
    let since = said.since as f64;
    [
        said.prefix.to_string(),
        participle(said.action).to_owned(),
        said.list.clone().unwrap_or_else(|| "-".to_owned()),
        clock.second(since),
        left(said),
        said.by.clone(),
        if said.why.is_empty() { "-".to_owned() } else { said.why.clone() },
    ]
}

/// For how much longer something holds; `-` if it has no end.
pub(crate) fn left(said: &OverrideView) -> String {
    said.seconds_left.map_or_else(|| "-".to_owned(), |seconds| show_duration(Duration::from_secs(seconds)))
}

fn participle(action: AccessAction) -> &'static str {
    match action {
        AccessAction::Allow => "allowed",
        AccessAction::Deny => "denied",
    }
}

/// What decides about an address: `203.0.113.7 is denied at web and api (list internet): rule 2, ...`.
pub(crate) fn check_line(address: IpAddr, check: &AccessCheck) -> String {
    let listeners =
        if check.listeners.is_empty() { "no listener".to_owned() } else { listed(&check.listeners) };
    let list = check.list.as_ref().map_or_else(String::new, |list| format!(" (list {list})"));
    let trial = match check.action {
        AccessAction::Deny if check.dry_run => ", and served: it is a trial",
        AccessAction::Deny | AccessAction::Allow => "",
    };
    let action = participle(check.action);
    format!("{address} is {action} at {listeners}{list}{trial}: {}", check.decided_by)
}

#[cfg(test)]
mod tests {
    use api::{AccessAction, AccessCheck, ListView, RuleView};

    use super::{check_line, list_rows};
    use crate::text::table;

    #[test]
    fn a_list_is_its_rules_and_what_else_decides() {
        let list = ListView {
            name: Some("internet".to_owned()),
            listeners: vec!["web".to_owned(), "api".to_owned()],
            rules: vec![RuleView {
                rule: "deny 3 prefixes of /etc/rondel/blocked.cidr".to_owned(),
                action: AccessAction::Deny,
                prefixes: 3,
                hits: 7,
            }],
            otherwise: AccessAction::Allow,
            otherwise_hits: 9,
            allowed_hits: 1,
            denied_hits: 2,
            dry_run: true,
        };
        assert_eq!(
            table(&list_rows(&list)),
            "internet  -          -  -  holds for web, api; a trial: its denials are only counted\n\
             internet  operator   -  1  allow\n\
             internet  operator   -  2  deny\n\
             internet  1          3  7  deny 3 prefixes of /etc/rondel/blocked.cidr\n\
             internet  otherwise  -  9  allow"
        );
    }

    #[test]
    fn a_check_names_what_decides() {
        let mut check = AccessCheck {
            list: Some("internet".to_owned()),
            listeners: vec!["web".to_owned(), "api".to_owned()],
            action: AccessAction::Deny,
            decided_by: "rule 1, deny 203.0.113.0/24".to_owned(),
            dry_run: false,
        };
        let address = "203.0.113.7".parse().unwrap();
        assert_eq!(
            check_line(address, &check),
            "203.0.113.7 is denied at web and api (list internet): rule 1, deny 203.0.113.0/24"
        );
        check.dry_run = true;
        assert!(check_line(address, &check).contains("(list internet), and served: it is a trial: rule 1"));
        check.action = AccessAction::Allow;
        assert!(check_line(address, &check).contains("(list internet): rule 1"));
    }
}
