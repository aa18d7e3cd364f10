//! Says who of a group may be written to, at most one, and who may be read from.
//!
//! ```text
//!                    all were asked; claims alone, or a newer history than all others
//!   no writer ───────────────────────────────────────────────────────▶ writer
//!       ▲                                                                │   while it holds the role, no other claim counts
//!       └────────────────────────────────────────────────────────────────┘   but an heir's, to whom the role passes
//!             says "not primary" once, is down, or has left the group
//! ```
//!
//! It asks nobody, and it is no fence: of what the servers say it makes the safest that can be made. Whether there are two
//! primaries is decided by who promotes them.

use std::cmp::Ordering;

use config::LagMax;

pub use crate::answer::Times;
use crate::answer::{History, Role};
use crate::lag::{Lags, ReplicaAnswer};
use crate::rise_fall::Verdict;

/// What is known of one server of a group. `K` names it.
///
/// A server that an operator took out of service is no member.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a, K> {
    /// Its name.
    pub key: K,
    /// Whether it is well.
    pub verdict: Verdict,
    /// Whether any probe of it that asks for its role has ended, with an answer or without.
    pub probed: bool,
    /// What it said last; none if it never answer.
    pub role: Option<&'a Role>,
    /// When it said so; of no meaning without a role.
    pub times: Times,
    /// Whether it said so in the last probe, rather than in one before some that failed.
    pub fresh: bool,
    /// Whether probes have confirmed it since, whatever kept them from it.
    pub confirmed: Confirmed,
}

/// Whether a server still says what it answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// It was its answer to the last probe.
    Now,
    /// Some probes since have no answer.
    Lately,
    /// So many in a row have none that it may be another by now: as many as take a server down.
    LongAgo,
}

/// Who has which role in one group of servers.
#[derive(Clone, Debug)]
pub struct Roles<K> {
    writer: Option<K>,
    /// How many said that they are the primary.
    claims: usize,
    lags: Lags<K>,
}

/// What came of what the servers answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<K> {
    /// The one that may be written to.
    pub writer: Option<K>,
    /// Replicas that may be read from, in the order of the members.
    pub readers: Vec<K>,
    /// Replicas that are too far behind, in the order of the members; for who would rather read old data than none.
    pub lagging: Vec<K>,
    /// All that say they are the primary, if that is more than one: an error to be raised.
    pub conflict: Vec<K>,
}

impl<K: Copy + Ord> Roles<K> {
    /// Nobody has a role yet.
    pub fn new(lag_max: LagMax) -> Self {
        Self { writer: None, claims: 0, lags: Lags::new(lag_max) }
    }

    /// Replicas may be so far behind from the next decision on. Who holds the role, and what replicas were measured
    /// against, stays.
    pub fn set_lag_max(&mut self, lag_max: LagMax) {
        self.lags.set_max(lag_max);
    }

    /// Whether a server that is well said that it is the primary, when it was last decided.
    pub fn is_claimed(&self) -> bool {
        self.claims > 0
    }

    /// Decides anew; `members` are all of the group.
    pub fn decide(&mut self, members: &[Member<'_, K>]) -> Decision<K> {
        let claims: Vec<&Member<'_, K>> = members.iter().filter(|member| claims(member)).collect();
        self.writer = self.choose(members, &claims);
        self.claims = claims.len();

        let replicas: Vec<ReplicaAnswer<'_, K>> = replicas(members).collect();
        let all_lagging = self.lags.decide(written(members, self.writer), &replicas);
        let (lagging, readers) =
            replicas.iter().map(|answer| answer.key).partition(|key| all_lagging.contains(key));

        // The old primary of a failover still claims until it is found silent; that is no error.
        let fresh: Vec<K> = claims.iter().filter(|claim| claim.fresh).map(|claim| claim.key).collect();
        let conflict = if fresh.len() > 1 { fresh } else { Vec::new() };
        Decision { writer: self.writer, readers, lagging, conflict }
    }

    /// Takes note of an answer of `member` that said nothing new but how far it is, and says whether [`decide`](Self::decide)
    /// would say the same again. Most answers are such, and a group is costly to look at: this looks at the one alone, and
    /// may say no for a yes.
    pub fn stands(&mut self, member: &Member<'_, K>) -> bool {
        let Member { key, times, .. } = *member;
        match member.role {
            _ if member.verdict == Verdict::Down => true,
            None | Some(Role::Neither) => true,
            Some(Role::Replica(progress)) => self.lags.on_replica(ReplicaAnswer { key, times, progress }),
            // Of several, their histories decide.
            Some(Role::Primary(claim)) => {
                self.claims == 1 && self.lags.on_primary(key, times, claim.position)
            }
        }
    }

    /// The one that may be written to.
    fn choose(&self, members: &[Member<'_, K>], claims: &[&Member<'_, K>]) -> Option<K> {
        if let Some(held) = claims.iter().copied().find(|claim| Some(claim.key) == self.writer) {
            let inherits = |claim: &&Member<'_, K>| self.inherits(claim, held) || succeeds(claim, held);
            let successors: Vec<_> = claims.iter().copied().filter(inherits).collect();
            return Some(newest(&successors).unwrap_or(held).key);
        }
        // The one that was not heard of yet may have the newer history, and what is given is not taken back. Its probe
        // ends, at its timeout at the latest.
        if members.iter().any(|member| !member.probed) {
            return None;
        }
        newest(claims).map(|claim| claim.key)
    }

    /// Whether the role passes from who holds it to who claims it, though both say that they are the primary.
    ///
    /// It does if the claim is a promotion, out of the holder's own data, that was seen here: in its last answer it was a replica,
    /// now it says that its history continues the holder's, and it is not behind where it was. That is what Sentinel does
    /// with `SENTINEL FAILOVER`, and an operator with `REPLICAOF NO ONE`; the old primary is told only seconds later to follow, and
    /// what is written there until then is lost. There is one writer all the same, and the role never goes back and forth: the
    /// old one's history does not continue the new one's.
    ///
    /// What if somebody promotes a replica by mistake, while its primary lives? Nobody can tell that from an order, neither by the
    /// claim nor by the old primary, which in both cases knows only that it has a replica less. Then writes go to
    /// the promoted one, without those that the old one acknowledged between the promotion and the answer that told of it, and an error
    /// is logged for as long as both claim. Not to follow would spare the one who slipped, and lose all writes of ten seconds for
    /// whoever meant it, which is who promotes a server that is in service. Who was promoted unseen is not followed,
    /// because it may have been left behind long ago: a copy that was detached for a test and comes back, or a server that lost its
    /// settings and was started from an old snapshot, whose histories continue the holder's, too.
    fn inherits(&self, claim: &Member<'_, K>, held: &Member<'_, K>) -> bool {
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

/// How far the writer has written, where it says so.
fn written<K: Copy + Eq>(members: &[Member<'_, K>], writer: Option<K>) -> Option<(K, Times, u64)> {
    let member = members.iter().find(|member| Some(member.key) == writer)?;
    match member.role {
        Some(Role::Primary(claim)) => Some((member.key, member.times, claim.position?)),
        Some(Role::Replica(_) | Role::Neither) | None => None,
    }
}

/// Whether it says that it is the primary, and is well.
fn claims<K>(member: &Member<'_, K>) -> bool {
    member.verdict != Verdict::Down && matches!(member.role, Some(Role::Primary(_)))
}

/// The servers that follow another and are well.
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

/// Whether the role passes from who holds it to who claims it, because nothing has confirmed the holder's claim for
/// so long that it would be down if it were silent.
///
/// It does if the claim is of this moment and its history is a later one than the holder's: the claim was promoted,
/// and the holder cannot be asked, for it has no connection left or lets the probe in no more. Where nothing tells
/// the histories apart, or only how far they are, the holder keeps the role: a primary with all its connections taken
/// is common, and an old one that comes back beside it is not to be written to. Then it is for an operator to disable
/// one of the two.
fn succeeds<K>(claim: &Member<'_, K>, held: &Member<'_, K>) -> bool {
    let is_same = match (history(claim), history(held)) {
        (Some(History::Replication { id, .. }), Some(History::Replication { id: other, .. })) => id == other,
        _ => false,
    };
    held.confirmed == Confirmed::LongAgo
        && claim.confirmed == Confirmed::Now
        && !is_same
        && is_newer(claim, held)
}

/// Where the data of who claims came from, where it says so.
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

/// Which of two histories is the newer one; none where nothing says so.
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
