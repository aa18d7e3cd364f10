//! How the socket of each side ends when the connection ends: it is closed, or reset.
//!
//! A socket that is closed sends what the kernel has of it, and then the FIN, after the process has forgotten it. A
//! reset discards that. So a side is closed if all that it should get, the FIN included, was handed to the kernel; it
//! then gets all of it, whatever ended the connection. A side that was handed a part is reset: it must not take the
//! part for the whole.

use crate::close_reason::CloseReason;
use crate::relay::Direction;

/// How the socket of a side ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The socket is closed, and the kernel goes on delivering.
    Close,
    /// The connection is reset, and what was not delivered is discarded.
    Reset,
}

impl Parting {
    /// How the socket ends that bytes of this direction go to. `handed_over` says that all of them, and the FIN,
    /// were handed to the kernel.
    pub fn of(reason: CloseReason, to: Direction, handed_over: bool) -> Self {
        match reason {
            CloseReason::Done => Self::Close,
            // There was no relay, so nothing was handed over.
            CloseReason::ConnectRefused
            | CloseReason::ConnectTimedOut
            | CloseReason::ConnectUnreachable
            | CloseReason::NoBackend
            | CloseReason::NoSourceAddress
            | CloseReason::NoSourcePort
            | CloseReason::NoResources
            | CloseReason::NoDescriptor
            | CloseReason::NoPrimary
            | CloseReason::HoldFull
            | CloseReason::QueueFull
            | CloseReason::QueueTimedOut
            | CloseReason::UntrustedProxy
            | CloseReason::ProxyInvalid
            | CloseReason::HelloInvalid
            | CloseReason::NoRoute
            | CloseReason::OpeningTimedOut
            | CloseReason::OpeningFull
            | CloseReason::Denied
            | CloseReason::SourceLimit
            | CloseReason::SourceRate => Self::Reset,
            // A server that lost the role must get no more of what a writer sent, however late it would read it.
            CloseReason::RoleLost if to == Direction::ToBackend => Self::Reset,
            CloseReason::ClientReset
            | CloseReason::BackendReset
            | CloseReason::ClientLost
            | CloseReason::BackendLost
            | CloseReason::Idle
            | CloseReason::HalfClosedTimeout
            | CloseReason::Drained
            | CloseReason::BackendDown
            | CloseReason::Demoted
            | CloseReason::RoleLost
            | CloseReason::Removed
            | CloseReason::BackendDrained
            | CloseReason::ClosedByOperator => {
                if handed_over {
                    Self::Close
                } else {
                    Self::Reset
                }
            }
        }
    }
}
