//! Both directions of a connection, and when it has been idle for too long.

use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::half::{Half, HalfView};

/// Both directions of bytes, which splice through pipes `P`.
#[derive(Debug)]
pub struct Relay<P> {
    halves: [Half<P>; 2],
    /// When a byte or a FIN last moved, in either direction; or when a peer last took bytes that the kernel held for
    /// it.
    active_at: Instant,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client.
    ToBackend,
    /// From the backend.
    ToClient,
}

/// How long a relay may be idle.
#[derive(Clone, Copy, Debug)]
pub struct IdleTimeouts {
    /// While both directions are open.
    pub idle: Duration,
    /// Once one direction has ended.
    pub half_closed: Duration,
}

/// Idle for so long, a stream gives its pipe back.
const QUIET_AFTER: Duration = Duration::from_secs(1);

/// How exact the kernel's word is when a peer took bytes: it counts in jiffies, of up to 10 ms. What is no later than
/// that was known when the bytes were sent.
const TAKEN_ROUGHLY: Duration = Duration::from_millis(20);

impl Direction {
    /// Both, in the order of their numbers.
    pub const BOTH: [Self; 2] = [Self::ToBackend, Self::ToClient];

    /// The opposite way.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::ToBackend => Self::ToClient,
            Self::ToClient => Self::ToBackend,
        }
    }
}

impl<P: Copy> Relay<P> {
    /// A relay that begins now.
    pub fn new(now: Instant) -> Self {
        Self { halves: [Half::default(), Half::default()], active_at: now }
    }

    /// The half of this direction.
    pub fn half(&mut self, direction: Direction) -> &mut Half<P> {
        &mut self.halves[direction as usize]
    }

    /// What the half of this direction looks like from outside.
    pub fn view(&self, direction: Direction) -> HalfView {
        self.halves[direction as usize].view()
    }

    /// A byte moved, or a FIN.
    pub fn on_active(&mut self, now: Instant) {
        self.active_at = now;
    }

    /// The kernel says when a peer last took bytes that had been sent. Says whether the relay was active for that
    /// reason, and for no other that was known.
    pub fn on_taken(&mut self, at: Instant) -> bool {
        let later = at.saturating_duration_since(self.active_at) > TAKEN_ROUGHLY;
        if later {
            self.active_at = at;
        }
        later
    }

    /// Whether both FINs were passed on.
    pub fn is_finished(&self) -> bool {
        self.halves.iter().all(Half::is_finished)
    }

    /// Whether the side that bytes of this direction go to was handed all of them, and the FIN.
    pub fn is_handed_over(&self, to: Direction) -> bool {
        self.halves[to as usize].is_finished()
    }

    /// The half that has passed its FIN on, if one alone has.
    pub fn finished_alone(&self) -> Option<Direction> {
        match &self.halves {
            [one, other] if one.is_finished() != other.is_finished() => {
                Some(if one.is_finished() { Direction::ToBackend } else { Direction::ToClient })
            }
            _ => None,
        }
    }

    /// Whether nothing moved for so long that streams give their pipes back.
    pub fn is_quiet(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.active_at) >= QUIET_AFTER
    }

    /// When to look again, or why the connection ends now.
    ///
    /// # Errors
    ///
    /// The relay was idle for longer than `timeouts` allow.
    pub fn check(&self, now: Instant, timeouts: IdleTimeouts) -> Result<Instant, CloseReason> {
        let (allowed, reason) = if self.halves.iter().any(Half::is_finished) {
            (timeouts.half_closed.min(timeouts.idle), CloseReason::HalfClosedTimeout)
        } else {
            (timeouts.idle, CloseReason::Idle)
        };
        let end = self.active_at + allowed;
        if now >= end {
            return Err(reason);
        }
        let splicing = self.halves.iter().any(Half::is_splicing);
        Ok(if splicing { end.min(now + QUIET_AFTER) } else { end })
    }
}
