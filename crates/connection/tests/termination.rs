//! Every end has its two letters, and README.md tells them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use connection::{CloseReason, Direction, Stage, Termination};

#[test]
fn every_reason_has_a_code_at_every_stage_and_no_code_is_idle() {
    let used: BTreeSet<_> = codes().into_values().flatten().collect();
    let known: BTreeSet<_> = Termination::ALL.iter().map(|termination| termination.code).collect();
    assert_eq!(used, known);
    assert_eq!(known.len(), Termination::ALL.len(), "a code has two rows");
}

#[test]
fn who_is_silent_is_named() {
    let relaying = |last, finished| Stage::Relaying { last, finished };
    let (backend, client) = (Direction::ToBackend, Direction::ToClient);
    for (reason, stage, code) in [
        (CloseReason::Idle, relaying(client, None), "cD"),
        (CloseReason::Idle, relaying(backend, None), "sD"),
        (CloseReason::HalfClosedTimeout, relaying(client, Some(backend)), "sD"),
        (CloseReason::HalfClosedTimeout, relaying(backend, Some(client)), "cL"),
        (CloseReason::ClientReset, relaying(client, None), "CD"),
        (CloseReason::ClientReset, relaying(client, Some(client)), "CL"),
        (CloseReason::ClientReset, Stage::Waiting, "CQ"),
        (CloseReason::Drained, Stage::Accepted, "KQ"),
        (CloseReason::ConnectRefused, Stage::Waiting, "SC"),
        (CloseReason::Done, relaying(client, Some(client)), "--"),
    ] {
        assert_eq!(Termination::of(reason, stage).code, code, "{reason:?} {stage:?}");
    }
}

#[test]
fn the_readme_has_the_table() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let of_code = |code: &str| {
        let reasons = codes().into_iter().filter(|(_, codes)| codes.contains(code));
        reasons.map(|(reason, _)| format!("`{}`", CloseReason::ALL[reason].name())).collect::<Vec<_>>()
    };
    let rows: Vec<_> = Termination::ALL
        .iter()
        .map(|termination| {
            let reasons = of_code(termination.code).join(", ");
            format!("| `{}` | {} | {reasons} |", termination.code, termination.text)
        })
        .collect();
    let listed: Vec<_> = readme
        .lines()
        .filter(|line| Termination::ALL.iter().any(|row| line.starts_with(&format!("| `{}` |", row.code))))
        .collect();
    assert_eq!(listed, rows, "README.md is to have these rows:\n{}", rows.join("\n"));
}

/// The codes of each reason, by its number.
fn codes() -> BTreeMap<usize, BTreeSet<&'static str>> {
    let of = |reason| stages(reason).map(|stage| Termination::of(reason, stage).code).collect();
    CloseReason::ALL.into_iter().map(|reason| (reason as usize, of(reason))).collect()
}

/// The stages at which a connection can end for this reason, and more.
fn stages(reason: CloseReason) -> impl Iterator<Item = Stage> {
    let relayed = matches!(
        reason,
        CloseReason::BackendReset
            | CloseReason::BackendLost
            | CloseReason::Idle
            | CloseReason::HalfClosedTimeout
    );
    let before = [Stage::Accepted, Stage::Waiting, Stage::Connecting];
    let halves = [Some(Direction::ToBackend), Some(Direction::ToClient)];
    let finished = match reason {
        CloseReason::Idle => vec![None],
        CloseReason::HalfClosedTimeout => halves.to_vec(),
        _ => [None].into_iter().chain(halves).collect(),
    };
    let relaying = finished
        .into_iter()
        .flat_map(|finished| Direction::BOTH.map(|last| Stage::Relaying { last, finished }));
    before.into_iter().filter(move |_| !relayed).chain(relaying)
}
