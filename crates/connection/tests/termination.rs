//! Every end has its reason and its two letters, and README.md tells them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use connection::{CloseReason, Direction, Stage, Termination};

#[test]
fn every_reason_has_a_code_at_every_stage_and_no_code_is_idle() {
    let used: BTreeSet<_> = CloseReason::ALL.into_iter().flat_map(codes).collect();
    let known: BTreeSet<_> = Termination::ALL.iter().map(|termination| termination.code).collect();
    assert_eq!(used, known);
    assert_eq!(known.len(), Termination::ALL.len(), "a code has two rows");
}

#[test]
fn the_silent_side_is_named() {
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
fn the_readme_has_the_tables() {
    let of_code = |code: &str| {
        let reasons = CloseReason::ALL.into_iter().filter(|reason| codes(*reason).contains(code));
        reasons.map(|reason| format!("`{}`", reason.name())).collect::<Vec<_>>().join(", ")
    };
    let row = |row: &Termination| format!("| `{}` | {} | {} |", row.code, row.text, of_code(row.code));
    check_readme("| code | meaning | reason |", &Termination::ALL.iter().map(row).collect::<Vec<_>>());
    let row = |reason: CloseReason| format!("| `{}` | {} |", reason.name(), reason.meaning());
    check_readme("| reason | meaning |", &CloseReason::ALL.map(row));
}

#[track_caller]
fn check_readme(head: &str, rows: &[String]) {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let after = readme.lines().skip_while(|line| *line != head).skip(2);
    let listed: Vec<_> = after.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(listed, rows, "below {head}, README.md is to have these rows:\n{}", rows.join("\n"));
}

/// The codes of a reason.
fn codes(reason: CloseReason) -> BTreeSet<&'static str> {
    Termination::of_reason(reason).map(|termination| termination.code).collect()
}
