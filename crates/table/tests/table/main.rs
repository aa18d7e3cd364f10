//! The crate from outside: inputs go in, picks and evictions come out.

mod access; // Who may connect: rules, what operators say before them, and limits.
mod evictions; // Which established connections are closed because of the state of their backend.
mod explain; // Where a client would be routed, and why.
mod policies; // How one is picked: shares, counts, bounds.
mod removed; // Which established connections are closed because their backend or listener is drained or removed.
mod routes; // Which pool a connection goes to, by its hello.
mod story; // The language of these tests.
mod target_roles; // Which backends may be picked, by the target role of the listener.
mod tiers; // Which tier serves, over time.
mod writer; // What each operation of the writer publishes, keeps and stops.
