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
use std::time::Instant;

use config::LagMax;

use crate::answer::{History, Role};
use crate::lag::{Lags, Said};
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
    /// What it said last; none if it never said.
    pub role: Option<&'a Role>,
    /// When it said so; of no meaning without a role.
    pub times: Times,
    /// Whether it said so in the last probe, rather than in one before some that failed.
    pub fresh: bool,
    /// Whether probes have confirmed it since, whatever kept them from it.
    pub confirmed: Confirmed,
}

/// Whether a server still says what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// It was its answer to the last probe.
    Now,
    /// Some probes since have no answer.
    Lately,
    /// So many in a row have none that it may be another by now: as many as take a server down.
    LongAgo,
}

/// When a server said something. It was so at some moment between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the probe began.
    pub asked: Instant,
    /// When the probe had ended.
    pub answered: Instant,
}

/// Who has which role in one group of servers.
#[derive(Clone, Debug)]
pub struct Roles<K> {
    writer: Option<K>,
    /// How many said that they are the primary.
    claims: usize,
    lags: Lags<K>,
}

/// What came of what the servers said.
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

        let replicas: Vec<Said<'_, K>> = replicas(members).collect();
        let all_lagging = self.lags.decide(written(members, self.writer), &replicas);
        let (lagging, readers) =
            replicas.iter().map(|said| said.key).partition(|key| all_lagging.contains(key));

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
            Some(Role::Replica(progress)) => self.lags.on_replica(Said { key, times, progress }),
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
            let heirs: Vec<_> = claims.iter().copied().filter(inherits).collect();
            return Some(newest(&heirs).unwrap_or(held).key);
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
fn replicas<'a, K: Copy>(members: &'a [Member<'a, K>]) -> impl Iterator<Item = Said<'a, K>> {
    members.iter().filter(|member| member.verdict != Verdict::Down).filter_map(|member| match member.role {
        Some(Role::Replica(progress)) => Some(Said { key: member.key, times: member.times, progress }),
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
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use config::LagMax;

    use super::Confirmed::{self, Lately, LongAgo, Now};
    use super::{Decision, Member, Roles, Times};
    use crate::answer::{Claim, History, Progress, Role};
    use crate::rise_fall::Verdict;
    use crate::samples::origin;

    /// One group over time: each string is what is known of the servers a, b, c at one time, and who is the writer then.
    ///
    /// `P` primary, `R` replica, `N` neither, `-` never said; `p` and `r` the same, but silent since; `D` down, last a
    /// primary. A `!` says that a conflict is raised.
    #[track_caller]
    fn check(story: &[(&str, &str)]) {
        let mut roles = Roles::new(LagMax::default());
        for (index, (known, expected)) in story.iter().enumerate() {
            let decision = decide(&mut roles, &known.chars().map(server).collect::<Vec<_>>());
            let writer = decision.writer.map_or('-', |key| char::from(b'a' + key)).to_string();
            let told = if decision.conflict.is_empty() { writer } else { writer + "!" };
            assert_eq!(&told, expected, "{known} at {index}");
        }
    }

    type Server = (Verdict, Option<Role>, bool);

    fn server(known: char) -> Server {
        let role = match known {
            'P' | 'p' | 'D' => Some(Role::Primary(Claim::default())),
            'R' | 'r' => Some(Role::Replica(Progress::default())),
            'N' => Some(Role::Neither),
            _ => None,
        };
        let verdict = if known == 'D' { Verdict::Down } else { Verdict::Up };
        (verdict, role, known.is_ascii_uppercase() && known != 'D')
    }

    fn decide(roles: &mut Roles<u8>, servers: &[Server]) -> Decision<u8> {
        // All have answered just now.
        let now = origin();
        let members: Vec<_> = (0..).zip(servers).map(|(key, server)| member(key, server, now)).collect();
        roles.decide(&members)
    }

    fn member(key: u8, (verdict, role, fresh): &Server, answered: Instant) -> Member<'_, u8> {
        let times = Times { asked: answered, answered };
        let role = role.as_ref();
        Member {
            key,
            verdict: *verdict,
            probed: true,
            role,
            times,
            fresh: *fresh,
            confirmed: if *fresh { Confirmed::Now } else { Confirmed::Lately },
        }
    }

    #[test]
    fn the_one_that_claims_is_the_writer() {
        check(&[("---", "-"), ("RPR", "b"), ("-P-", "b")]);
        check(&[("RRR", "-"), ("NNN", "-")]);
    }

    #[test]
    fn a_switchover_takes_effect_at_the_first_answer() {
        check(&[("PRR", "a"), ("RRR", "-"), ("RPR", "b")]);
        check(&[("PRR", "a"), ("RPR", "b")]);
        check(&[("PRR", "a"), ("NPR", "b")]);
    }

    #[test]
    fn silence_takes_effect_when_it_is_down() {
        check(&[("PRR", "a"), ("pRR", "a"), ("DRR", "-"), ("DPR", "b")]);
        check(&[("PRR", "a"), ("pPR", "a"), ("DPR", "b")]);
    }

    #[test]
    fn of_two_that_claim_the_one_that_held_it_keeps_it() {
        check(&[("PRR", "a"), ("PPR", "a!"), ("PPP", "a!"), ("PRR", "a")]);
        // The old one comes back and has not heard of its fall.
        check(&[("PRR", "a"), ("DRR", "-"), ("DPR", "b"), ("PPR", "b!"), ("RPR", "b")]);
        check(&[("PPR", "-!"), ("PRR", "a")]);
    }

    #[test]
    fn who_leaves_the_group_leaves_the_role() {
        check(&[("PPR", "-!"), ("P", "a")]);
        check(&[("RRP", "c"), ("PR", "a")]);
    }

    #[test]
    fn the_newer_history_breaks_a_tie() {
        let timeline = |system, timeline| Some(History::Timeline { system, timeline });
        let redis = |id: &str, continued: Option<&str>, offset| {
            Some(History::Replication { id: id.into(), continued: continued.map(str::to_owned), offset })
        };
        let source = |follows| Some(History::Source { follows });
        for (histories, writer) in [
            (vec![timeline(7, 1), timeline(7, 2)], Some(1)),
            (vec![timeline(7, 3), timeline(7, 2), timeline(7, 1)], Some(0)),
            (vec![timeline(7, 2), timeline(7, 2)], None),
            (vec![timeline(7, 1), timeline(8, 2)], None),
            (vec![timeline(7, 1), None], None),
            (vec![redis("x", None, 90), redis("y", Some("x"), 50)], Some(1)),
            (vec![redis("x", None, 90), redis("x", None, 50)], Some(0)),
            (vec![redis("x", None, 90), redis("y", Some("z"), 50)], None),
            (vec![source(true), source(false), source(true)], Some(1)),
            (vec![source(false), source(false)], None),
            (vec![source(false), timeline(7, 1)], None),
        ] {
            let mut roles = Roles::new(LagMax::default());
            let claim = |history: &Option<History>| {
                let claim = Claim { history: history.clone(), position: None };
                (Verdict::Up, Some(Role::Primary(claim)), true)
            };
            let decision = decide(&mut roles, &histories.iter().map(claim).collect::<Vec<_>>());
            assert_eq!(decision.writer, writer, "{histories:?}");
            assert_eq!(decision.conflict.len(), histories.len(), "it is raised all the same");
        }
    }

    /// Who holds the role is `a`, of the history `x`; what `b` says then and now, and who is the writer then.
    #[test]
    fn the_role_passes_to_a_replica_that_was_promoted_out_of_the_history_of_its_holder() {
        let claims = |id: &str, continued: Option<&str>, offset| {
            let history =
                History::Replication { id: id.into(), continued: continued.map(str::to_owned), offset };
            (Verdict::Up, Some(Role::Primary(Claim { history: Some(history), position: Some(offset) })), true)
        };
        let follows = |position| (Verdict::Up, Some(Role::Replica(Progress { position, lag: None })), true);
        let down = (Verdict::Down, None, false);
        for (before, after, passes) in [
            (follows(Some(50)), claims("y", Some("x"), 60), true),
            (follows(Some(50)), claims("y", Some("x"), 50), true),
            // It was started from an old snapshot.
            (follows(Some(50)), claims("y", Some("x"), 49), false),
            (follows(None), claims("y", Some("x"), 60), false),
            // It never followed the one that holds the role.
            (follows(Some(50)), claims("y", Some("z"), 60), false),
            (follows(Some(50)), claims("y", None, 60), false),
            // Nobody saw when it was promoted.
            (down.clone(), claims("y", Some("x"), 60), false),
            ((Verdict::Up, Some(Role::Neither), true), claims("y", Some("x"), 60), false),
            (claims("z", None, 50), claims("y", Some("x"), 60), false),
        ] {
            let mut roles = Roles::new(LagMax::default());
            let held = claims("x", None, 90);
            assert_eq!(decide(&mut roles, &[held.clone(), down.clone()]).writer, Some(0));
            assert_eq!(decide(&mut roles, &[held.clone(), before]).writer, Some(0));
            let told = format!("{after:?}");
            let decision = decide(&mut roles, &[held.clone(), after.clone()]);
            assert_eq!(decision.writer, Some(u8::from(passes)), "{told}");
            assert_eq!(decision.conflict, [0, 1], "it is raised all the same");
            // However often both say it again.
            assert_eq!(decide(&mut roles, &[held, after]).writer, Some(u8::from(passes)), "{told}");
        }
    }

    #[test]
    fn of_two_heirs_neither_inherits() {
        let claims = |id: &str, continued: Option<&str>| {
            let history =
                History::Replication { id: id.into(), continued: continued.map(str::to_owned), offset: 60 };
            (Verdict::Up, Some(Role::Primary(Claim { history: Some(history), position: None })), true)
        };
        let follows = || (Verdict::Up, Some(Role::Replica(Progress { position: Some(50), lag: None })), true);
        let mut roles = Roles::new(LagMax::default());
        decide(&mut roles, &[claims("x", None), follows(), follows()]);
        let both = [claims("x", None), claims("y", Some("x")), claims("z", Some("x"))];
        assert_eq!(decide(&mut roles, &both).writer, Some(0));
    }

    #[test]
    fn nobody_gets_the_role_before_all_were_asked() {
        let claims = |timeline| {
            let history = Some(History::Timeline { system: 7, timeline });
            (Verdict::Up, Some(Role::Primary(Claim { history, position: None })), true)
        };
        let (new, old) = (claims(2), claims(1));
        let unheard = (Verdict::Unknown, None, true);
        let now = origin();
        let mut roles = Roles::new(LagMax::default());
        let mut decide = |first: &Server, second: &Server| {
            let each = [(0, first), (1, second)];
            let members = each.map(|(key, server)| Member {
                probed: server.0 != Verdict::Unknown,
                ..member(key, server, now)
            });
            roles.decide(&members).writer
        };
        assert_eq!(decide(&unheard, &unheard), None);
        assert_eq!(decide(&unheard, &old), None, "the other one may be newer");
        assert_eq!(decide(&new, &old), Some(0));
        // A server that joins does not take the role from its holder.
        assert_eq!(decide(&new, &unheard), Some(0));
        assert_eq!(decide(&unheard, &old), None);
        // It was asked in vain.
        assert_eq!(decide(&(Verdict::Down, None, false), &old), Some(1));
    }

    #[test]
    fn another_lag_max_takes_the_role_from_nobody() {
        let replica = |lag| {
            let progress = Progress { position: None, lag: Some(Duration::from_secs(lag)) };
            (Verdict::Up, Some(Role::Replica(progress)), true)
        };
        let servers = [server('P'), server('P'), replica(6)];
        let limit = |seconds| LagMax { time: Some(Duration::from_secs(seconds)), bytes: None };
        let mut roles = Roles::new(limit(5));
        decide(&mut roles, &[server('P'), server('R'), replica(6)]);
        assert_eq!(decide(&mut roles, &servers).lagging, [2]);
        for (max, readers) in [(limit(10), vec![2]), (limit(5), vec![]), (LagMax::default(), vec![2])] {
            roles.set_lag_max(max);
            let decision = decide(&mut roles, &servers);
            assert_eq!((decision.writer, decision.readers), (Some(0), readers), "{max:?}");
        }
    }

    /// The holder `a` has answered nothing but errors of the probe for so long; `b` claims as it says. Who is the
    /// writer then.
    #[test]
    fn a_claim_that_nothing_confirms_loses_to_one_of_a_later_history() {
        let timeline = |timeline| Some(History::Timeline { system: 7, timeline });
        let redis = |id: &str, continued: Option<&str>, offset| {
            Some(History::Replication { id: id.into(), continued: continued.map(str::to_owned), offset })
        };
        let source = |follows| Some(History::Source { follows });
        let claims = |history| (Verdict::Up, Some(Role::Primary(Claim { history, position: None })), true);
        for (held, other, passes) in [
            (timeline(1), timeline(2), true),
            (timeline(2), timeline(1), false),
            (timeline(1), timeline(1), false),
            (redis("x", None, 90), redis("y", Some("x"), 50), true),
            (redis("y", Some("x"), 50), redis("x", None, 90), false),
            // How far it was may be long ago.
            (redis("x", None, 50), redis("x", None, 90), false),
            (redis("x", None, 50), redis("y", Some("z"), 90), false),
            (source(true), source(false), true),
            (source(false), source(false), false),
            (None, None, false),
        ] {
            let now = origin();
            let (a, b) = (claims(held.clone()), claims(other.clone()));
            let decided = |held: Confirmed, other: Confirmed| {
                let mut roles = Roles::new(LagMax::default());
                roles.decide(&[member(0, &a, now), member(1, &server('-'), now)]);
                assert_eq!(roles.decide(&[member(0, &a, now), member(1, &b, now)]).writer, Some(0));
                let members = [
                    Member { confirmed: held, ..member(0, &a, now) },
                    Member { confirmed: other, ..member(1, &b, now) },
                ];
                let writer = roles.decide(&members).writer;
                // The holder can be asked again.
                let members = [member(0, &a, now), member(1, &b, now)];
                assert_eq!(roles.decide(&members).writer, writer, "nothing is taken back");
                writer
            };
            assert_eq!(decided(LongAgo, Now), Some(u8::from(passes)), "{held:?} {other:?}");
            for (a, b) in [(Lately, Now), (Now, Now), (LongAgo, Lately), (LongAgo, LongAgo)] {
                assert_eq!(decided(a, b), Some(0), "{held:?} {a:?}, {other:?} {b:?}");
            }
        }
    }

    #[test]
    fn replicas_too_far_behind_are_not_read_from_until_they_caught_up() {
        let lag_max = LagMax { time: Some(Duration::from_secs(10)), bytes: None };
        let mut roles = Roles::new(lag_max);
        // One lag after the other of the same replica; whether it may be read from.
        for (lag, reads) in [
            (Some(10), true),
            (Some(11), false),
            (Some(10), false),
            (Some(6), false),
            (Some(5), true),
            (Some(10), true),
            (None, false),
            (Some(0), true),
        ] {
            let progress = Progress { position: None, lag: lag.map(Duration::from_secs) };
            let decision = decide(&mut roles, &[(Verdict::Up, Some(Role::Replica(progress)), true)]);
            assert_eq!(!decision.readers.is_empty(), reads, "{lag:?}");
            assert_eq!(decision.lagging.is_empty(), reads, "{lag:?}");
        }
    }

    #[test]
    fn bytes_behind_are_counted_from_the_writer_or_else_the_furthest_replica() {
        let lag_max = LagMax { time: None, bytes: Some(100) };
        let primary = |verdict, position| {
            let claim = Claim { history: None, position: Some(position) };
            (verdict, Some(Role::Primary(claim)), true)
        };
        let replica = |position| {
            let progress = Progress { position, lag: None };
            (Verdict::Up, Some(Role::Replica(progress)), true)
        };
        for (servers, readers) in [
            (
                vec![primary(Verdict::Up, 1000), replica(Some(900)), replica(Some(899)), replica(None)],
                vec![1],
            ),
            (vec![primary(Verdict::Up, 1000), replica(Some(1200))], vec![1]),
            (
                vec![primary(Verdict::Down, 1000), replica(Some(500)), replica(Some(450)), replica(Some(1))],
                vec![1, 2],
            ),
        ] {
            assert_eq!(decide(&mut Roles::new(lag_max), &servers).readers, readers, "{servers:?}");
        }
    }

    /// What is known of a server: a letter as for [`check`], and how far it is.
    fn server_at((known, position): (char, u64)) -> Server {
        let (verdict, mut role, fresh) = server(known);
        match &mut role {
            Some(Role::Primary(claim)) => claim.position = Some(position),
            Some(Role::Replica(progress)) => {
                *progress = Progress { position: Some(position), lag: Some(Duration::from_secs(position)) };
            }
            Some(Role::Neither) | None => {}
        }
        (verdict, role, fresh)
    }

    proptest! {
        /// Whoever goes by it decides the same as who decides each time.
        #[test]
        fn a_decision_stands_only_if_it_would_be_the_same(
            mut known in prop::collection::vec((prop::sample::select(vec!['P', 'p', 'R', 'R', 'R', 'N', '-', 'D']), 0u64..20), 3),
            answers in prop::collection::vec((0usize..3, 0u64..20), 1..40),
            time in prop::option::of(0u64..20), bytes in prop::option::of(0u64..20),
        ) {
            let mut roles = Roles::new(LagMax { time: time.map(Duration::from_secs), bytes });
            let begin = origin();
            let mut at = [Times { asked: begin, answered: begin }; 3];
            let decide = |roles: &mut Roles<u8>, servers: &[Server], at: &[Times; 3]| {
                let mut members = Vec::new();
                for ((key, server), at) in (0..).zip(servers).zip(at) {
                    members.push(Member { times: *at, ..member(key, server, at.answered) });
                }
                roles.decide(&members)
            };
            let servers = |known: &[(char, u64)]| known.iter().copied().map(server_at).collect::<Vec<Server>>();
            let mut last = decide(&mut roles, &servers(&known), &at);
            for (number, (who, position)) in (1..).zip(answers) {
                known[who].1 = position;
                let answered = begin + Duration::from_secs(number);
                // It may have been asked before the others had answered.
                let asked = begin + Duration::from_secs(number - number % 3);
                at[who] = Times { asked, answered };
                let servers = servers(&known);
                let member = member(u8::try_from(who).unwrap(), &servers[who], answered);
                let stands = roles.stands(&Member { times: at[who], ..member });
                let decision = decide(&mut roles.clone(), &servers, &at);
                if stands {
                    prop_assert_eq!(&decision, &last, "{:?}", servers);
                } else {
                    last = decide(&mut roles, &servers, &at);
                }
            }
        }

        /// Whatever the servers say: the writer is one that is well and claims, and it changes only when it has to.
        #[test]
        fn at_most_one_writer_and_it_keeps_the_role(story in prop::collection::vec("[PpRrND-]{3}", 1..40)) {
            let mut roles = Roles::new(LagMax::default());
            let mut before = None;
            for known in story {
                let known: Vec<char> = known.chars().collect();
                let decision = decide(&mut roles, &known.iter().copied().map(server).collect::<Vec<_>>());
                let claims = |key: u8| matches!(known[usize::from(key)], 'P' | 'p');
                if let Some(writer) = decision.writer {
                    prop_assert!(claims(writer));
                }
                if let Some(held) = before.filter(|held| claims(*held)) {
                    prop_assert_eq!(decision.writer, Some(held));
                }
                prop_assert!(decision.readers.iter().all(|reader| matches!(known[usize::from(*reader)], 'R' | 'r')));
                before = decision.writer;
            }
        }
    }
}
