//! Decides which server of a group may be written to, at most one, and which may be read from.
//!
//! ```text
//!              all servers probed; the only claim, or the one with the newest history
//!   no writer ─────────────────────────────────────────────────────────────────────▶ writer
//!       ▲                                                                               │
//!       └───────────────────────────────────────────────────────────────────────────────┘
//!              does not claim the role in one answer, is down, or has left the group
//! ```
//!
//! While the writer holds the role, other claims do not count, except for that of a successor, which gets the role.
//!
//! It does no I/O, and it is not a fence: it makes the safest decision on what the servers report. Whether there
//! are two primaries is up to the tool that promotes them.

use std::cmp::Ordering;

use config::LagMax;

pub use crate::answer::Times;
use crate::answer::{History, Role};
use crate::lag::{Lags, ReplicaAnswer};
use crate::rise_fall::Verdict;

/// A server of a group. `K` identifies it.
///
/// A server that an operator disabled is not a member.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a, K> {
    /// Its identity.
    pub key: K,
    /// Its health.
    pub verdict: Verdict,
    /// Whether a probe that asks for its role has ended, with an answer or without.
    pub probed: bool,
    /// The role it reported last; none if it never did.
    pub role: Option<&'a Role>,
    /// When it reported it; meaningless without a role.
    pub times: Times,
    /// Whether the last probe confirmed it, or could not be made.
    pub fresh: bool,
    /// Whether probes have confirmed it since, regardless of why they did not.
    pub confirmed: Confirmed,
}

/// Whether a server still reports its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The last probe confirmed it.
    Now,
    /// Some probes since have had no answer.
    Lately,
    /// So many in a row have had none that it may have changed: as many as take a server down.
    LongAgo,
}

/// The roles of the servers of one group.
#[derive(Clone, Debug)]
pub struct Roles<K> {
    writer: Option<K>,
    /// How many servers claim to be the primary.
    claims: usize,
    lags: Lags<K>,
}

/// The decision on the reported roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<K> {
    /// The server that may be written to.
    pub writer: Option<K>,
    /// Replicas that may be read from, in the order of the members.
    pub readers: Vec<K>,
    /// Replicas that lag too far behind, in the order of the members; for readers that accept old data.
    pub lagging: Vec<K>,
    /// All servers that claim to be the primary, if they are more than one: an error.
    pub conflict: Vec<K>,
}

impl<K: Copy + Ord> Roles<K> {
    /// Without roles.
    pub fn new(lag_max: LagMax) -> Self {
        Self { writer: None, claims: 0, lags: Lags::new(lag_max) }
    }

    /// Changes the maximum lag from the next decision on. The writer stays, and so does what replicas are measured
    /// against.
    pub fn set_lag_max(&mut self, lag_max: LagMax) {
        self.lags.set_max(lag_max);
    }

    /// Whether a healthy server claimed to be the primary at the last decision.
    pub fn is_claimed(&self) -> bool {
        self.claims > 0
    }

    /// Decides again; `members` are all servers of the group.
    pub fn decide(&mut self, members: &[Member<'_, K>]) -> Decision<K> {
        let claims: Vec<&Member<'_, K>> = members.iter().filter(|member| claims(member)).collect();
        self.writer = self.choose(members, &claims);
        self.claims = claims.len();

        let replicas: Vec<ReplicaAnswer<'_, K>> = replicas(members).collect();
        let all_lagging = self.lags.decide(written(members, self.writer), &replicas);
        let (lagging, readers) =
            replicas.iter().map(|answer| answer.key).partition(|key| all_lagging.contains(key));

        // The old primary of a failover still claims the role until it is found silent; that is not a conflict.
        let fresh: Vec<K> = claims.iter().filter(|claim| claim.fresh).map(|claim| claim.key).collect();
        let conflict = if fresh.len() > 1 { fresh } else { Vec::new() };
        Decision { writer: self.writer, readers, lagging, conflict }
    }

    /// Records an answer of `member` in which only its position changed, and returns whether
    /// [`decide`](Self::decide) would give the same result. Most answers are of this kind, and a decision on the
    /// group is expensive: this reads only one member, and may return false where true is right.
    pub fn stands(&mut self, member: &Member<'_, K>) -> bool {
        let Member { key, times, .. } = *member;
        match member.role {
            _ if member.verdict == Verdict::Down => true,
            None | Some(Role::Neither) => true,
            Some(Role::Replica(progress)) => self.lags.on_replica(ReplicaAnswer { key, times, progress }),
            // Of several, the histories decide.
            Some(Role::Primary(claim)) => {
                self.claims == 1 && self.lags.on_primary(key, times, claim.position)
            }
        }
    }

    /// The server that may be written to.
    fn choose(&self, members: &[Member<'_, K>], claims: &[&Member<'_, K>]) -> Option<K> {
        if let Some(held) = claims.iter().copied().find(|claim| Some(claim.key) == self.writer) {
            let is_successor =
                |claim: &&Member<'_, K>| self.is_promoted_from(claim, held) || supersedes(claim, held);
            let successors: Vec<_> = claims.iter().copied().filter(is_successor).collect();
            return Some(newest(&successors).unwrap_or(held).key);
        }
        // A server without an answer may have the newer history, and a role that was given is not taken back. Its
        // probe ends, at its timeout at the latest.
        if members.iter().any(|member| !member.probed) {
            return None;
        }
        newest(claims).map(|claim| claim.key)
    }

    /// Whether the role passes from the server that holds it to one that claims it, although both report to be the
    /// primary.
    ///
    /// It does if rondel saw the claim being promoted from the holder's own data: in its last answer it was a
    /// replica, now its history continues the holder's, and its position is not behind where it was. Sentinel does
    /// this with `SENTINEL FAILOVER`, and operators with `REPLICAOF NO ONE`. The old primary becomes a replica only
    /// seconds later, and what is written to it until then is lost. There is still one writer, and the role never
    /// moves back: the old primary's history does not continue the new one's.
    ///
    /// A replica that is promoted by mistake while its primary lives looks the same: in both cases the old primary
    /// only has one replica less. Then writes go to the promoted server, without those that the old one
    /// acknowledged between the promotion and the answer that reported it, and an error is logged while both claim
    /// the role. Ignoring the promotion would help after such a mistake, and lose all writes of ten seconds after
    /// an intended one, which is the usual case for a server in service. A promotion that was not seen is ignored,
    /// because it may be old: a copy that was detached for a test and returns, or a server that lost its settings
    /// and was started from an old snapshot, has a history that continues the holder's, too.
    fn is_promoted_from(&self, claim: &Member<'_, K>, held: &Member<'_, K>) -> bool {
        let (
            Some(History::Replication { continued: Some(continued), offset, .. }),
            Some(History::Replication { id, .. }),
        ) = (history(claim), history(held))
        else {
            return false;
        };
        let was_at = self.lags.position(claim.key);
        continued == id && was_at.is_some_and(|position| *offset >= position)
    }
}

/// The position of the writer, if it reports one.
fn written<K: Copy + Eq>(members: &[Member<'_, K>], writer: Option<K>) -> Option<(K, Times, u64)> {
    let member = members.iter().find(|member| Some(member.key) == writer)?;
    match member.role {
        Some(Role::Primary(claim)) => Some((member.key, member.times, claim.position?)),
        Some(Role::Replica(_) | Role::Neither) | None => None,
    }
}

/// Whether it claims to be the primary and is not down.
fn claims<K>(member: &Member<'_, K>) -> bool {
    member.verdict != Verdict::Down && matches!(member.role, Some(Role::Primary(_)))
}

/// The replicas that are not down.
fn replicas<'a, K: Copy>(members: &'a [Member<'a, K>]) -> impl Iterator<Item = ReplicaAnswer<'a, K>> {
    members.iter().filter(|member| member.verdict != Verdict::Down).filter_map(|member| match member.role {
        Some(Role::Replica(progress)) => {
            Some(ReplicaAnswer { key: member.key, times: member.times, progress })
        }
        Some(Role::Primary(_) | Role::Neither) | None => None,
    })
}

/// The claim that is newer than all others, or the only one.
fn newest<'a, K>(claims: &[&'a Member<'a, K>]) -> Option<&'a Member<'a, K>> {
    claims.iter().enumerate().find_map(|(index, claim)| {
        let mut others = claims.iter().enumerate().filter(|(other, _)| *other != index);
        others.all(|(_, other)| is_newer(claim, other)).then_some(*claim)
    })
}

/// Whether the role passes from the server that holds it to one that claims it, because the holder's claim has been
/// unconfirmed for so long that a silent server would be down.
///
/// It does if the claim is current and its history is later than the holder's: the claim was promoted, and the
/// holder cannot be probed, because it is at its connection limit or rejects the probe. If nothing distinguishes
/// the histories, or only their positions do, the holder keeps the role: a primary at its connection limit is
/// common, and an old primary that returns beside it must not be written to. In that case an operator has to
/// disable one of the two.
fn supersedes<K>(claim: &Member<'_, K>, held: &Member<'_, K>) -> bool {
    let is_same = match (history(claim), history(held)) {
        (Some(History::Replication { id, .. }), Some(History::Replication { id: other, .. })) => id == other,
        _ => false,
    };
    held.confirmed == Confirmed::LongAgo
        && claim.confirmed == Confirmed::Now
        && !is_same
        && is_newer(claim, held)
}

/// The history of a server that claims to be the primary, if it reports one.
fn history<'a, K>(member: &Member<'a, K>) -> Option<&'a History> {
    match member.role {
        Some(Role::Primary(claim)) => claim.history.as_ref(),
        Some(Role::Replica(_) | Role::Neither) | None => None,
    }
}

fn is_newer<K>(claim: &Member<'_, K>, other: &Member<'_, K>) -> bool {
    let compared = history(claim).zip(history(other)).and_then(|(one, other)| compare(one, other));
    compared == Some(Ordering::Greater)
}

/// Which of two histories is newer; none if that is unknown.
fn compare(one: &History, other: &History) -> Option<Ordering> {
    match (one, other) {
        (
            History::Timeline { system, timeline },
            History::Timeline { system: other_system, timeline: other_timeline },
        ) if system == other_system => Some(timeline.cmp(other_timeline)),
        (
            History::Replication { id, continued, offset },
            History::Replication { id: other_id, continued: other_continued, offset: other_offset },
        ) => {
            if id == other_id {
                Some(offset.cmp(other_offset))
            } else if continued.as_ref() == Some(other_id) {
                Some(Ordering::Greater)
            } else if other_continued.as_ref() == Some(id) {
                Some(Ordering::Less)
            } else {
                None
            }
        }
        (History::Source { follows }, History::Source { follows: other_follows }) => {
            Some(other_follows.cmp(follows))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
