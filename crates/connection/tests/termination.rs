//! Every end has its reason and its two letters.

use std::collections::BTreeSet;

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
        (CloseReason::Drained, Stage::Opening, "KR"),
        (CloseReason::ClientReset, Stage::Opening, "CR"),
        (CloseReason::NoDescriptor, Stage::Opening, "RC"),
        (CloseReason::OpeningTimedOut, Stage::Opening, "cR"),
        (CloseReason::OpeningFull, Stage::Opening, "PR"),
        (CloseReason::HelloInvalid, Stage::Opening, "PR"),
        (CloseReason::NoRoute, Stage::Opening, "PR"),
        // A reload took the route away.
        (CloseReason::NoRoute, Stage::Waiting, "PR"),
        (CloseReason::ConnectRefused, Stage::Waiting, "SC"),
        (CloseReason::Done, relaying(client, Some(client)), "--"),
    ] {
        assert_eq!(Termination::of(reason, stage).code, code, "{reason:?} {stage:?}");
    }
}

/// The codes of a reason.
fn codes(reason: CloseReason) -> BTreeSet<&'static str> {
    Termination::of_reason(reason).map(|termination| termination.code).collect()
}
