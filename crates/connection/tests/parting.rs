//! How the socket of each side ends, for every reason to end.

use connection::{CloseReason, Direction, Parting};

/// By reason: how the sockets of the client and the backend end that were handed everything and the FIN; and those
/// that were handed a part.
const TABLE: &[(CloseReason, [&str; 2], [&str; 2])] = &[
    (CloseReason::Done, ["close", "close"], ["close", "close"]),
    (CloseReason::ClientReset, ["close", "close"], ["reset", "reset"]),
    (CloseReason::BackendReset, ["close", "close"], ["reset", "reset"]),
    (CloseReason::ClientLost, ["close", "close"], ["reset", "reset"]),
    (CloseReason::BackendLost, ["close", "close"], ["reset", "reset"]),
    (CloseReason::ConnectRefused, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::ConnectTimedOut, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::ConnectUnreachable, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::NoBackend, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::NoSourceAddress, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::NoSourcePort, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::NoResources, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::Idle, ["close", "close"], ["reset", "reset"]),
    (CloseReason::HalfClosedTimeout, ["close", "close"], ["reset", "reset"]),
    (CloseReason::Drained, ["close", "close"], ["reset", "reset"]),
    (CloseReason::NoDescriptor, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::NoPrimary, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::HoldFull, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::QueueFull, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::QueueTimedOut, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::BackendDown, ["close", "close"], ["reset", "reset"]),
    (CloseReason::Demoted, ["close", "close"], ["reset", "reset"]),
    (CloseReason::RoleLost, ["close", "reset"], ["reset", "reset"]),
    (CloseReason::Removed, ["close", "close"], ["reset", "reset"]),
    (CloseReason::BackendDrained, ["close", "close"], ["reset", "reset"]),
    (CloseReason::UntrustedProxy, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::ProxyInvalid, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::HelloInvalid, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::NoRoute, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::OpeningTimedOut, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::OpeningFull, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::Denied, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::SourceLimit, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::SourceRate, ["reset", "reset"], ["reset", "reset"]),
    (CloseReason::ClosedByOperator, ["close", "close"], ["reset", "reset"]),
];

#[test]
fn a_side_that_was_handed_everything_is_closed_and_any_other_is_reset() {
    assert_eq!(TABLE.iter().map(|row| row.0).collect::<Vec<_>>(), CloseReason::ALL);
    for (reason, whole, part) in TABLE {
        for (handed_over, expected) in [(true, whole), (false, part)] {
            let parted = [Direction::ToClient, Direction::ToBackend].map(|to| {
                match Parting::of(*reason, to, handed_over) {
                    Parting::Close => "close",
                    Parting::Reset => "reset",
                }
            });
            assert_eq!(parted, *expected, "{reason:?}, {handed_over}");
        }
    }
}
