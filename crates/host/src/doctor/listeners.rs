//! Findings about addresses of listeners.

use std::io;

use super::facts::{HostFacts, PortFact, PortHolder};
use super::finding::{CONFIG, Finding, Level, PLACE, finding, ok};
use crate::bind_error::BindError;

pub(super) fn assess(facts: &HostFacts) -> Vec<Finding> {
    facts.loops.iter().map(own_backend).chain(facts.ports.iter().map(port)).collect()
}

fn own_backend(found: &String) -> Finding {
    finding(Level::Fail, "backends", found, "use the address of the intended server").exits(CONFIG)
}

fn port(fact: &PortFact) -> Finding {
    let subject = format!("listener {}", fact.listener);
    match (&fact.bound, &fact.holder) {
        (Ok(()), _) => ok(subject, format!("{} is free", fact.address)),
        (Err(_), Some(PortHolder { pid, name })) => {
            let found = format!("{} is held by {name}, process {pid}", fact.address);
            match name.as_str() {
                "rondel" => {
                    let cure = "this is expected if that rondel runs this file";
                    let finding = finding(Level::Warn, subject, found, cure).exits(PLACE);
                    Finding { run: finding.run.map(|run| format!("beside it {run}")), ..finding }
                }
                _ => finding(
                    Level::Fail,
                    subject,
                    found,
                    "end that process, or give the listener another address",
                )
                .exits(PLACE),
            }
        }
        (Err(error), None) => not_bound(subject, fact, *error),
    }
}

/// The finding has the text of the error that `rondel run` would report.
fn not_bound(subject: String, fact: &PortFact, error: i32) -> Finding {
    let error = BindError {
        listener: fact.listener.clone(),
        address: fact.address,
        error: io::Error::from_raw_os_error(error),
        holder: None,
    };
    let text = error.to_string();
    let (found, cure) = text.split_once("\n  ").unwrap_or((&text, ""));
    let cure = (!cure.is_empty()).then(|| cure.to_owned());
    Finding { level: Level::Fail, cure, ..ok(subject, found) }.exits(PLACE)
}
