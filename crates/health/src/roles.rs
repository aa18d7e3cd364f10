//! Says who of a group may be written to, at most one, and who may be read from.
//!
//! ```text
//!                    claims alone, or a newer history than all others
//!   no writer ───────────────────────────────────────────────────────▶ writer
//!       ▲                                                                │   while it holds the role, no other claim counts
//!       └────────────────────────────────────────────────────────────────┘   but an heir's, to whom the role passes
//!             says "not primary" once, is down, or has left the group
//! ```
//!
//! It asks nobody, and it is no fence: of what the servers say it makes the safest that can be made. Whether there are two
//! primaries is decided by who promotes them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use config::LagMax;

use crate::answer::{History, Progress, Role};
use crate::verdict::Verdict;

/// What is known of one server of a group. `K` names it.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a, K> {
    /// Its name.
    pub key: K,
    /// Whether it is well.
    pub verdict: Verdict,
    /// What it said last; none if it never said.
    pub role: Option<&'a Role>,
    /// Whether it said so in the last probe, rather than in one before some that failed.
    pub fresh: bool,
}

/// Who has which role in one group of servers.
#[derive(Clone, Debug)]
pub struct Roles<K> {
    lag_max: LagMax,
    writer: Option<K>,
    /// Replicas that were too far behind, and have not caught up enough since.
    lagging: BTreeSet<K>,
    /// Those that follow another and are well, each with how far it was when it last said so.
    followers: BTreeMap<K, Option<u64>>,
    /// How many said that they are the primary.
    claims: usize,
    /// What replicas were measured against.
    reference: Reference,
}

/// What replicas are measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference {
    /// How far the writer has written.
    Written(u64),
    /// How far the replica is that is furthest; none where none says so.
    Furthest(Option<u64>),
}

impl Reference {
    fn position(self) -> Option<u64> {
        match self {
            Self::Written(position) => Some(position),
            Self::Furthest(position) => position,
        }
    }
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
        let reference = Reference::Furthest(None);
        let (lagging, followers) = (BTreeSet::new(), BTreeMap::new());
        Self { lag_max, writer: None, lagging, followers, claims: 0, reference }
    }

    /// Decides anew; `members` are all of the group.
    pub fn decide(&mut self, members: &[Member<'_, K>]) -> Decision<K> {
        let claims: Vec<&Member<'_, K>> = members.iter().filter(|member| claims(member)).collect();
        let held = claims.iter().copied().find(|claim| Some(claim.key) == self.writer);
        let heirs: Vec<_> = held.map_or_else(Vec::new, |held| {
            claims.iter().copied().filter(|claim| self.inherits(claim, held)).collect()
        });
        self.writer = newest(&heirs).or(held).or_else(|| newest(&claims)).map(|claim| claim.key);
        self.claims = claims.len();
        self.followers = replicas(members).map(|(key, progress)| (key, progress.position)).collect();

        self.reference = self.reference(members);
        let (lagging, readers): (Vec<_>, Vec<_>) = replicas(members)
            .map(|(key, progress)| (key, self.is_too_far_behind(key, progress)))
            .partition(|(_, lags)| *lags);
        let keys = |those: Vec<(K, bool)>| those.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let (lagging, readers) = (keys(lagging), keys(readers));
        self.lagging = lagging.iter().copied().collect();

        // The old primary of a failover still claims until it is found silent; that is no error.
        let fresh: Vec<K> = claims.iter().filter(|claim| claim.fresh).map(|claim| claim.key).collect();
        let conflict = if fresh.len() > 1 { fresh } else { Vec::new() };
        Decision { writer: self.writer, readers, lagging, conflict }
    }

    /// Takes note of an answer of `member` that said nothing new but how far it is, and says whether [`decide`](Self::decide)
    /// would say the same again. Most answers are such, and a group is costly to look at: this looks at the one alone, and
    /// may say no for a yes.
    pub fn stands(&mut self, member: &Member<'_, K>) -> bool {
        match member.role {
            _ if member.verdict == Verdict::Down => true,
            None | Some(Role::Neither) => true,
            Some(Role::Replica(progress)) => {
                self.followers.insert(member.key, progress.position);
                let measured =
                    self.lag_max.bytes.is_none() || matches!(self.reference, Reference::Written(_));
                measured && self.is_too_far_behind(member.key, progress) == self.lagging.contains(&member.key)
            }
            Some(Role::Primary(claim)) => {
                let written = claim.position.map(Reference::Written);
                let measured = self.lag_max.bytes.is_none() || written == Some(self.reference);
                // Of several, their histories decide.
                measured && self.claims == 1
            }
        }
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
        let was_at = self.followers.get(&claim.key);
        continued == id && was_at.is_some_and(|was_at| was_at.is_some_and(|position| *offset >= position))
    }

    /// The writer's position, or that of the replica that is furthest.
    fn reference(&self, members: &[Member<'_, K>]) -> Reference {
        let writer = members.iter().find(|member| Some(member.key) == self.writer);
        let written = writer.and_then(|writer| match writer.role {
            Some(Role::Primary(claim)) => claim.position,
            Some(Role::Replica(_) | Role::Neither) | None => None,
        });
        let furthest = || replicas(members).filter_map(|(_, progress)| progress.position).max();
        written.map_or_else(|| Reference::Furthest(furthest()), Reference::Written)
    }

    fn is_too_far_behind(&self, key: K, progress: &Progress) -> bool {
        let bytes = match (self.reference.position(), progress.position) {
            (Some(reference), Some(position)) => Some(reference.saturating_sub(position)),
            _ => None,
        };
        // Who was too far behind has to come well within the limit, or it would leave and return all the time.
        let (time_max, bytes_max) = if self.lagging.contains(&key) {
            (self.lag_max.time.map(|time| time / 2), self.lag_max.bytes.map(|bytes| bytes / 2))
        } else {
            (self.lag_max.time, self.lag_max.bytes)
        };
        exceeds(progress.lag, time_max) || exceeds(bytes, bytes_max)
    }
}

/// Whether a lag, which is unknown if none, is above a limit, which is not set if none.
fn exceeds<T: PartialOrd>(lag: Option<T>, limit: Option<T>) -> bool {
    limit.is_some_and(|limit| lag.is_none_or(|lag| lag > limit))
}

/// Whether it says that it is the primary, and is well.
fn claims<K>(member: &Member<'_, K>) -> bool {
    member.verdict != Verdict::Down && matches!(member.role, Some(Role::Primary(_)))
}

/// The servers that follow another and are well.
fn replicas<'a, K: Copy>(members: &'a [Member<'a, K>]) -> impl Iterator<Item = (K, &'a Progress)> {
    members.iter().filter(|member| member.verdict != Verdict::Down).filter_map(|member| match member.role {
        Some(Role::Replica(progress)) => Some((member.key, progress)),
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
    use std::time::Duration;

    use proptest::prelude::*;

    use config::LagMax;

    use super::{Decision, Member, Roles};
    use crate::answer::{Claim, History, Progress, Role};
    use crate::verdict::Verdict;

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
        let members: Vec<Member<'_, u8>> = (0..)
            .zip(servers)
            .map(|(key, (verdict, role, fresh))| Member {
                key,
                verdict: *verdict,
                role: role.as_ref(),
                fresh: *fresh,
            })
            .collect();
        roles.decide(&members)
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
            let mut last = decide(&mut roles, &known.iter().copied().map(server_at).collect::<Vec<_>>());
            for (who, position) in answers {
                known[who].1 = position;
                let servers: Vec<Server> = known.iter().copied().map(server_at).collect();
                let (verdict, role, fresh) = &servers[who];
                let key = u8::try_from(who).unwrap();
                let stands = roles.stands(&Member { key, verdict: *verdict, role: role.as_ref(), fresh: *fresh });
                let decision = decide(&mut roles.clone(), &servers);
                if stands {
                    prop_assert_eq!(&decision, &last, "{:?}", servers);
                } else {
                    last = decide(&mut roles, &servers);
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
