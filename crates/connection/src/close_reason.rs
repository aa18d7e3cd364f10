//! Why connections end: a closed list, so that every end is counted and none is "other".

/// Each reason once: its name in logs and counters, and its meaning.
macro_rules! reasons {
    ($($reason:ident, $name:literal: $meaning:literal;)*) => {
        /// Why a connection ended. Counted per listener and per backend.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum CloseReason {
            $(#[doc = $meaning] $reason,)*
        }

        impl CloseReason {
            /// Every reason, in the order of the declaration: `ALL[reason as usize] == reason`.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$reason),*];

            /// The reason in logs and counters, `snake_case`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)*
                }
            }

            /// What it says of the connection, as a sentence; names of settings stand between backticks.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$reason => $meaning,)*
                }
            }
        }
    };
}

reasons! {
    Done, "done": "Both sides finished sending and all of it was delivered.";
    ClientReset, "client_reset":
        "The client reset the connection; the reset was passed on, unless the backend had been sent \
         everything.";
    BackendReset, "backend_reset":
        "The backend reset the connection; the reset was passed on, unless the client had been sent \
         everything.";
    ClientLost, "client_lost":
        "The client vanished: keepalive probes or retransmissions went unanswered, or the network reported \
         it.";
    BackendLost, "backend_lost":
        "The backend vanished: keepalive probes or retransmissions went unanswered, or the network \
         reported it.";
    ConnectRefused, "connect_refused": "The last backend tried refused the connection.";
    ConnectTimedOut, "connect_timed_out": "The last backend tried did not answer within `connect_timeout`.";
    ConnectUnreachable, "connect_unreachable":
        "The last backend tried could not be reached: no route, host or network down, or a local rule \
         forbids it.";
    NoBackend, "no_backend":
        "No backend of the pool takes connections: all have the weight 0, or none is available.";
    NoSourceAddress, "no_source_address":
        "This host does not hold the address that the pool connects \
         from, its `source`.";
    NoSourcePort, "no_source_port": "No local port was free to connect from.";
    NoResources, "no_resources": "The kernel had no memory for a socket to a backend.";
    Idle, "idle":
        "No byte moved in either direction for `idle_timeout`, and no peer took any that the kernel held \
         for it.";
    HalfClosedTimeout, "half_closed_timeout":
        "One side had finished, and the other made no progress for `half_closed_timeout`, as for `idle`.";
    Drained, "drained": "The drain ran out of time, or was cut short.";
    NoDescriptor, "no_descriptor": "No descriptor was left for the client, or for a socket to a backend.";
    NoPrimary, "no_primary": "There was no primary for as long as a client is held.";
    HoldFull, "hold_full": "There was no primary, and as many clients were held as the limit allows.";
    QueueFull, "queue_full": "All backends were at their `max_connections`, and the queue was full.";
    QueueTimedOut, "queue_timed_out":
        "All backends were at their `max_connections` for as long as a client is queued.";
    BackendDown, "backend_down": "The backend went down, and `on_down` is `close`.";
    Demoted, "demoted": "The tier of the backend stopped serving, and `on_demotion` is not `keep`.";
    RoleLost, "role_lost": "The backend lost the role of the primary, and `on_role_loss` is `close`.";
    Removed, "removed":
        "A reload removed the backend, the listener or the pool, and the time of `on_remove` was over.";
    BackendDrained, "backend_drained": "The backend was drained with `--timeout`, and that time was over.";
    UntrustedProxy, "untrusted_proxy":
        "The peer is not in `proxy_protocol.from`, and `others` is `refuse`.";
    ProxyInvalid, "proxy_invalid":
        "The peer is a proxy by `proxy_protocol.from`, and what it sent is no header that is accepted, or ended \
         before the header did.";
    HelloInvalid, "hello_invalid":
        "The listener has `routes`, and what the client sent is neither a TLS hello nor anything that a route \
         takes, or ended before the hello did.";
    NoRoute, "no_route":
        "No route takes the name that the client asked for, or it asked for none, and `unknown` is `refuse`.";
    OpeningTimedOut, "opening_timed_out":
        "The client had yet to show itself, by a PROXY header or a TLS hello, when `opening.timeout` was over.";
    OpeningFull, "opening_full":
        "The client had yet to show itself, and was the oldest such one when there were `opening.connections` \
         of them.";
    Denied, "denied": "An access list, or an operator by `rondel deny`, denies the address of the client.";
    SourceLimit, "source_limit": "The source of the client had as many connections as `limits` allow.";
    SourceRate, "source_rate": "New connections of the source of the client came faster than `limits` allow.";
    ClosedByOperator, "closed_by_operator": "An operator closed the connection by `rondel close`.";
}

impl CloseReason {
    /// Whether the client was refused for its address, as many may be in a short time.
    pub fn refuses(self) -> bool {
        matches!(self, Self::Denied | Self::SourceLimit | Self::SourceRate)
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
