//! The crate from outside: what is known of backends goes in, picks and fates come out.

mod demands; // Who may be picked, by what the listener wants.
mod explain; // Picks that are foretold.
mod fates; // What becomes of established connections.
mod leaving; // What becomes of those whose backend or listener leaves.
mod policies; // How one is picked: shares, counts, bounds.
mod story; // What the others tell their tests in.
mod tiers; // Which tier serves, over time.
