//! Why connections end: a closed list, so that every end is counted and none is "other".

/// Why a connection ended. Counted per listener and per backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CloseReason {
    /// Both sides finished sending and all of it was delivered.
    Done,
    /// The client reset the connection.
    ClientReset,
    /// The backend reset the connection.
    BackendReset,
    /// The client vanished: keepalive probes or retransmissions went unanswered, or the network said so.
    ClientLost,
    /// The backend vanished, likewise.
    BackendLost,
    /// The last backend tried refused the connection.
    ConnectRefused,
    /// The last backend tried did not answer within `connect_timeout`.
    ConnectTimedOut,
    /// The last backend tried could not be reached: no route, host or network down, or a local rule forbids it.
    ConnectUnreachable,
    /// The pool has no backend that takes connections: all have weight 0, or none is available.
    NoBackend,
    /// No local port was free to connect from.
    NoSourcePort,
    /// A descriptor or kernel memory for the connection could not be had.
    NoResources,
    /// No byte moved in either direction for `idle_timeout`.
    Idle,
    /// One side finished, and the other went on for longer than `half_closed_timeout`.
    HalfClosedTimeout,
    /// The drain deadline came, or the process was told to end at once.
    Drained,
    /// The process held as many descriptors as it may, and the client was turned away.
    OverLimit,
    /// No backend was the primary, for as long as a client may wait for one.
    NoPrimary,
    /// No backend was the primary, and as many clients waited for one as may.
    HoldFull,
    /// Every backend had as many connections as it may, and as many clients waited as may.
    QueueFull,
    /// Every backend had as many connections as it may, for as long as a client may wait.
    QueueTimedOut,
    /// The backend went down, and its pool closes connections then.
    BackendDown,
    /// The backend's tier serves no longer, and its pool closes connections then.
    Demoted,
    /// The backend is the primary no longer, and the connection was for one.
    RoleLost,
    /// A reload removed the backend, the listener or the pool, and its `on_remove` gave it no more time.
    Removed,
    /// An operator drained the backend, and the time that was given is up.
    BackendDrained,
    /// An operator said so.
    ClosedByOperator,
}

impl CloseReason {
    /// Every reason, in the order of the declaration: `ALL[reason as usize] == reason`.
    pub const ALL: [Self; 25] = [
        Self::Done,
        Self::ClientReset,
        Self::BackendReset,
        Self::ClientLost,
        Self::BackendLost,
        Self::ConnectRefused,
        Self::ConnectTimedOut,
        Self::ConnectUnreachable,
        Self::NoBackend,
        Self::NoSourcePort,
        Self::NoResources,
        Self::Idle,
        Self::HalfClosedTimeout,
        Self::Drained,
        Self::OverLimit,
        Self::NoPrimary,
        Self::HoldFull,
        Self::QueueFull,
        Self::QueueTimedOut,
        Self::BackendDown,
        Self::Demoted,
        Self::RoleLost,
        Self::Removed,
        Self::BackendDrained,
        Self::ClosedByOperator,
    ];

    /// The reason in logs and counters, `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ClientReset => "client_reset",
            Self::BackendReset => "backend_reset",
            Self::ClientLost => "client_lost",
            Self::BackendLost => "backend_lost",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimedOut => "connect_timed_out",
            Self::ConnectUnreachable => "connect_unreachable",
            Self::NoBackend => "no_backend",
            Self::NoSourcePort => "no_source_port",
            Self::NoResources => "no_resources",
            Self::Idle => "idle",
            Self::HalfClosedTimeout => "half_closed_timeout",
            Self::Drained => "drained",
            Self::OverLimit => "over_limit",
            Self::NoPrimary => "no_primary",
            Self::HoldFull => "hold_full",
            Self::QueueFull => "queue_full",
            Self::QueueTimedOut => "queue_timed_out",
            Self::BackendDown => "backend_down",
            Self::Demoted => "demoted",
            Self::RoleLost => "role_lost",
            Self::Removed => "removed",
            Self::BackendDrained => "backend_drained",
            Self::ClosedByOperator => "closed_by_operator",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CloseReason;

    #[test]
    fn all_lists_every_reason_at_its_number() {
        for (number, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(number, reason as usize, "{reason:?}");
        }
    }
}
