//! The two letters that say how a connection ended, as in HAProxy's log.
//!
//! The first letter says what ended it, the second how far it was: the letters and their meaning are those of "Session
//! state at disconnection" in HAProxy's manual, as far as they apply without HTTP. A [`CloseReason`] is finer than the
//! first letter and does not contain the second; [`Termination::of`] combines both.

use crate::close_reason::CloseReason;
use crate::relay::Direction;

/// How far a connection was when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The client was accepted, and had no permit yet.
    Accepted,
    /// It had yet to show itself, by a PROXY header or a TLS hello.
    Opening,
    /// It waited for a primary, or for a permit of a backend.
    Waiting,
    /// It was being connected, or there was no backend to connect it to.
    Connecting,
    /// It was relayed.
    Relaying {
        /// Which way bytes went last; from the backend if none went, as it is the client's turn then.
        last: Direction,
        /// Which half had passed its FIN on, if one had.
        finished: Option<Direction>,
    },
}

impl Stage {
    /// Those at which a connection can end for this reason, and some at which none does yet.
    pub fn of(reason: CloseReason) -> impl Iterator<Item = Self> {
        let relayed = matches!(
            reason,
            CloseReason::BackendReset
                | CloseReason::BackendLost
                | CloseReason::Idle
                | CloseReason::HalfClosedTimeout
        );
        let opens = matches!(
            reason,
            CloseReason::UntrustedProxy
                | CloseReason::ProxyInvalid
                | CloseReason::HelloInvalid
                | CloseReason::OpeningTimedOut
                | CloseReason::OpeningFull
        );
        // Once it is routed, a client may wait when a reload takes its route away.
        let routes = reason == CloseReason::NoRoute;
        let before = [Self::Accepted, Self::Opening, Self::Waiting, Self::Connecting];
        let halves = [Some(Direction::ToBackend), Some(Direction::ToClient)];
        let finished = match reason {
            CloseReason::Idle => vec![None],
            CloseReason::HalfClosedTimeout => halves.to_vec(),
            _ => [None].into_iter().chain(halves).collect(),
        };
        let relaying = finished
            .into_iter()
            .flat_map(|finished| Direction::BOTH.map(|last| Self::Relaying { last, finished }));
        let stages = before.into_iter().filter(move |_| !relayed).chain(relaying);
        stages.filter(move |stage| match stage {
            Self::Opening => true,
            Self::Accepted => reason.refuses() || !opens && !routes,
            Self::Waiting | Self::Connecting => !opens && !reason.refuses(),
            Self::Relaying { .. } => !opens && !routes && !reason.refuses(),
        })
    }
}

/// What a code of two letters means.
#[derive(Debug, PartialEq, Eq)]
pub struct Termination {
    /// The two letters.
    pub code: &'static str,
    /// What happened.
    pub text: &'static str,
    /// What to check if the end is unexpected.
    pub check: &'static str,
}

impl Termination {
    /// The one of a connection that ended for this reason, this far.
    pub fn of(reason: CloseReason, stage: Stage) -> &'static Self {
        let code = [cause(reason, stage), position(reason, stage)];
        let found = Self::ALL.iter().find(|termination| termination.code.as_bytes() == code);
        found.expect("a test tries every reason at every stage")
    }

    /// The one with these two letters.
    pub fn of_code(code: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|termination| termination.code == code)
    }

    /// Those of this reason, at whatever [stage](Stage::of); each once.
    pub fn of_reason(reason: CloseReason) -> impl Iterator<Item = &'static Self> {
        let is_of = move |code: &str| Stage::of(reason).any(|stage| Self::of(reason, stage).code == code);
        Self::ALL.iter().filter(move |termination| is_of(termination.code))
    }

    /// All of them, by what ended the connection and then by how far it was.
    pub const ALL: &[Self] = &[
        row(
            "--",
            "Both sides finished, and everything they sent was delivered.",
            "Nothing: this is the normal end.",
        ),
        row(
            "PR",
            "The client was rejected before it was routed: its address is denied, its source has too much, its proxy \
             is not trusted, its PROXY header or TLS hello is invalid, no route takes its name, or too many clients \
             had yet to show themselves.",
            "For `denied`: `rondel access --check ADDRESS`. For `source_limit` and `source_rate`: `limits`. For \
             headers: `proxy_protocol.from`, and whether what connects sends one: `nc` and port checks do not. For \
             hellos: `routes`, `unknown`, and a route with `tls: none` for what is not TLS. For `opening_full`: a \
             flood of silent clients, or `opening.connections`.",
        ),
        row(
            "cR",
            "The client had yet to show itself when `opening.timeout` was over.",
            "Whether the proxy in front sends the PROXY header; whether clients wait for the server to speak first, \
             which `silent: pool` allows; otherwise it is a silent or slow client.",
        ),
        row(
            "CR",
            "The client left before it had shown itself.",
            "Nothing, unless there are many: port checks and scans do this.",
        ),
        row("KR", "An operator ended it before the client had shown itself.", "As for `KQ`."),
        row(
            "CQ",
            "The client left while it was held or queued.",
            "Whether clients wait too long: `rondel backends`, `max_connections` and `queue`, or why there \
             is no primary.",
        ),
        row(
            "CC",
            "The client left while its backend was being connected.",
            "Whether backends are slow to accept: the connect times of the pool, and `connect_timeout`.",
        ),
        row(
            "CD",
            "The client reset the connection, or vanished, during data transfer.",
            "The client and the network path; many clients, among them probes and browsers, end \
             connections by a reset. This is also an ordinary end of PostgreSQL over TLS.",
        ),
        row(
            "CL",
            "The client reset the connection, or vanished, after the backend had finished.",
            "The client: it did not take the rest, or did not close after it.",
        ),
        row(
            "SC",
            "No backend took the connection: they refused, could not be reached, or none was available.",
            "Whether the backends listen and can be reached from this host, and their state in `rondel \
             backends`.",
        ),
        row(
            "SD",
            "The backend reset the connection, or vanished, during data transfer.",
            "The log of the backend: a crash, a restart, a limit or a timeout. Without these it is an \
             ordinary end: a server that closes before it has read everything resets, as PostgreSQL does \
             over TLS.",
        ),
        row(
            "SL",
            "The backend had finished, and then reset the connection, or vanished, while the client still \
             sent.",
            "Whether the backend closes without reading all that clients send; PostgreSQL does so over TLS.",
        ),
        row(
            "sC",
            "The backend did not answer within `connect_timeout`.",
            "A firewall that drops, a host that is down, or a backend whose queue of connections is full.",
        ),
        row(
            "sD",
            "The backend had to answer, and the connection made no progress for `idle_timeout` or \
             `half_closed_timeout`.",
            "Whether the backend hangs, or needs longer than `idle_timeout` or `half_closed_timeout` for \
             an answer.",
        ),
        row(
            "cD",
            "The client had to send, and the connection made no progress for `idle_timeout`.",
            "Whether clients keep idle connections for longer than `idle_timeout`; keepalive on their side \
             helps.",
        ),
        row(
            "cL",
            "The backend had finished, and the client made no progress for `half_closed_timeout`.",
            "Whether clients close once they have their answer; and `half_closed_timeout`.",
        ),
        row(
            "sQ",
            "The client was held or queued for as long as the limit allows.",
            "Queued: `max_connections` of the backends, and how long they take. Held: `rondel backends`, \
             and `hold`.",
        ),
        row(
            "PQ",
            "The client was rejected, because the hold or the queue was full.",
            "As for `sQ`, and whether `queue.size` or `hold.connections` is too small.",
        ),
        row(
            "RC",
            "This host had no file descriptor, memory, source address or source port for it, and the \
             client was reset.",
            "The limit of open files (`LimitNOFILE=`), `ip_local_port_range`, and memory. It should not \
             happen.",
        ),
        row(
            "KQ",
            "An operator ended it while the client was held or queued: by a drain, by a reload, or by \
             `rondel close`.",
            "The command in the log; `drain_timeout` and `on_remove_timeout` bound the time of clients.",
        ),
        row("KC", "The same, while its backend was being connected.", "As for `KQ`."),
        row(
            "KD",
            "The same, during data transfer: the time that a drain or a reload gives was over, or none was \
             given.",
            "As for `KQ`, and whether those times are long enough for what clients do.",
        ),
        row(
            "KL",
            "The same, after the backend had finished and before the client had.",
            "As for `KD`, and whether clients close once they have their answer.",
        ),
        row(
            "DC",
            "The backend went down, or lost the role of the primary, while it was being connected, and \
             there was no other.",
            "The error of its probe, in `rondel backends` and the log.",
        ),
        row(
            "DD",
            "The backend went down, or lost the role of the primary, and the pool closes connections then.",
            "The error of its probe, in `rondel backends` and the log; `on_down` and `on_role_loss`.",
        ),
        row("DL", "The same, after the backend had finished.", "As for `DD`."),
        row(
            "UC",
            "The tier of the backend stopped serving while it was being connected, and there was no other.",
            "Whether it should have: `min_active` and `failback`.",
        ),
        row(
            "UD",
            "The tier of the backend stopped serving, and the pool closes connections then.",
            "Whether it should: `min_active`, `failback` and `on_demotion`.",
        ),
        row("UL", "The same, after the backend had finished.", "As for `UD`."),
    ];
}

const fn row(code: &'static str, text: &'static str, check: &'static str) -> Termination {
    Termination { code, text, check }
}

/// What ended it.
fn cause(reason: CloseReason, stage: Stage) -> u8 {
    match reason {
        CloseReason::Done => b'-',
        CloseReason::ClientReset | CloseReason::ClientLost => b'C',
        CloseReason::BackendReset
        | CloseReason::BackendLost
        | CloseReason::ConnectRefused
        | CloseReason::ConnectUnreachable
        | CloseReason::NoBackend => b'S',
        CloseReason::ConnectTimedOut | CloseReason::NoPrimary | CloseReason::QueueTimedOut => b's',
        CloseReason::Idle | CloseReason::HalfClosedTimeout if is_turn_of_backend(stage) => b's',
        CloseReason::Idle | CloseReason::HalfClosedTimeout | CloseReason::OpeningTimedOut => b'c',
        CloseReason::HoldFull
        | CloseReason::QueueFull
        | CloseReason::UntrustedProxy
        | CloseReason::ProxyInvalid
        | CloseReason::HelloInvalid
        | CloseReason::NoRoute
        | CloseReason::OpeningFull
        | CloseReason::Denied
        | CloseReason::SourceLimit
        | CloseReason::SourceRate => b'P',
        CloseReason::NoSourceAddress
        | CloseReason::NoSourcePort
        | CloseReason::NoResources
        | CloseReason::NoDescriptor => b'R',
        CloseReason::Drained
        | CloseReason::Removed
        | CloseReason::BackendDrained
        | CloseReason::ClosedByOperator => b'K',
        CloseReason::BackendDown | CloseReason::RoleLost => b'D',
        CloseReason::Demoted => b'U',
    }
}

/// Whether it was the backend that should have gone on.
fn is_turn_of_backend(stage: Stage) -> bool {
    match stage {
        Stage::Accepted | Stage::Opening | Stage::Waiting | Stage::Connecting => false,
        Stage::Relaying { finished: Some(finished), .. } => finished == Direction::ToBackend,
        Stage::Relaying { finished: None, last } => last == Direction::ToBackend,
    }
}

/// How far it was.
fn position(reason: CloseReason, stage: Stage) -> u8 {
    let position = match stage {
        Stage::Accepted | Stage::Waiting => b'Q',
        Stage::Opening => b'R',
        Stage::Connecting => b'C',
        Stage::Relaying { finished: Some(Direction::ToClient), .. } => b'L',
        Stage::Relaying { .. } => b'D',
    };
    let relayed = matches!(stage, Stage::Relaying { .. });
    match reason {
        CloseReason::Done => b'-',
        // Wherever the client was when the last attempt had failed, or none could be made.
        CloseReason::ConnectRefused
        | CloseReason::ConnectTimedOut
        | CloseReason::ConnectUnreachable
        | CloseReason::NoBackend
        | CloseReason::NoSourceAddress
        | CloseReason::NoSourcePort
        | CloseReason::NoResources
        | CloseReason::NoDescriptor => b'C',
        CloseReason::NoPrimary
        | CloseReason::HoldFull
        | CloseReason::QueueFull
        | CloseReason::QueueTimedOut => b'Q',
        CloseReason::UntrustedProxy
        | CloseReason::ProxyInvalid
        | CloseReason::HelloInvalid
        | CloseReason::NoRoute
        | CloseReason::OpeningTimedOut
        | CloseReason::OpeningFull
        | CloseReason::Denied
        | CloseReason::SourceLimit
        | CloseReason::SourceRate => b'R',
        // An attempt that was evicted, without a backend to try instead.
        CloseReason::BackendDown | CloseReason::Demoted | CloseReason::RoleLost if !relayed => b'C',
        CloseReason::ClientReset
        | CloseReason::ClientLost
        | CloseReason::BackendReset
        | CloseReason::BackendLost
        | CloseReason::Idle
        | CloseReason::HalfClosedTimeout
        | CloseReason::Drained
        | CloseReason::BackendDown
        | CloseReason::Demoted
        | CloseReason::RoleLost
        | CloseReason::Removed
        | CloseReason::BackendDrained
        | CloseReason::ClosedByOperator => position,
    }
}
