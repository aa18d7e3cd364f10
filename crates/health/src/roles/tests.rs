//! Scenarios of groups of servers, and that a decision holds for as long as [`Roles::stands`] says so.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use config::LagMax;

use super::Confirmed::{self, Lately, LongAgo, Now};
use super::{Decision, Member, Roles, Times};
use crate::answer::{Claim, History, Progress, Role};
use crate::rise_fall::Verdict;
use crate::samples::origin;

/// A group over time: each string has one letter for each of the servers a, b, c, followed by the expected writer.
///
/// `P` primary, `R` replica, `N` neither, `-` never answered; `p` and `r` the same, but silent since; `D` down,
/// last a primary. A `!` means that a conflict is reported.
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
fn the_only_claim_is_the_writer() {
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
fn a_silent_writer_keeps_the_role_until_it_is_down() {
    check(&[("PRR", "a"), ("pRR", "a"), ("DRR", "-"), ("DPR", "b")]);
    check(&[("PRR", "a"), ("pPR", "a"), ("DPR", "b")]);
}

#[test]
fn of_two_claims_the_holder_keeps_the_role() {
    check(&[("PRR", "a"), ("PPR", "a!"), ("PPP", "a!"), ("PRR", "a")]);
    // The old primary returns and still claims the role.
    check(&[("PRR", "a"), ("DRR", "-"), ("DPR", "b"), ("PPR", "b!"), ("RPR", "b")]);
    check(&[("PPR", "-!"), ("PRR", "a")]);
}

#[test]
fn a_server_that_leaves_the_group_loses_the_role() {
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
        assert_eq!(decision.conflict.len(), histories.len(), "a conflict is reported");
    }
}

/// The server `a` holds the role with the history `x`; the answers of `b` before and now, and whether it gets the
/// role.
#[test]
fn the_role_passes_to_a_replica_promoted_from_the_history_of_the_holder() {
    let claims = |id: &str, continued: Option<&str>, offset| {
        let history = History::Replication { id: id.into(), continued: continued.map(str::to_owned), offset };
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
        // It never followed the holder of the role.
        (follows(Some(50)), claims("y", Some("z"), 60), false),
        (follows(Some(50)), claims("y", None, 60), false),
        // Its promotion was not seen.
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
        assert_eq!(decision.conflict, [0, 1], "a conflict is reported");
        // The decision is the same when both claim again.
        assert_eq!(decide(&mut roles, &[held, after]).writer, Some(u8::from(passes)), "{told}");
    }
}

#[test]
fn of_two_successors_neither_gets_the_role() {
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
fn no_server_gets_the_role_before_all_were_probed() {
    let claims = |timeline| {
        let history = Some(History::Timeline { system: 7, timeline });
        (Verdict::Up, Some(Role::Primary(Claim { history, position: None })), true)
    };
    let (new, old) = (claims(2), claims(1));
    let unprobed = (Verdict::Unknown, None, true);
    let now = origin();
    let mut roles = Roles::new(LagMax::default());
    let mut decide = |first: &Server, second: &Server| {
        let each = [(0, first), (1, second)];
        let members = each
            .map(|(key, server)| Member { probed: server.0 != Verdict::Unknown, ..member(key, server, now) });
        roles.decide(&members).writer
    };
    assert_eq!(decide(&unprobed, &unprobed), None);
    assert_eq!(decide(&unprobed, &old), None, "the other one may be newer");
    assert_eq!(decide(&new, &old), Some(0));
    // A server that joins does not take the role from its holder.
    assert_eq!(decide(&new, &unprobed), Some(0));
    assert_eq!(decide(&unprobed, &old), None);
    // Its probe failed.
    assert_eq!(decide(&(Verdict::Down, None, false), &old), Some(1));
}

#[test]
fn a_changed_lag_max_keeps_the_writer() {
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

/// Probes of the holder `a` have failed for long, and `b` claims with this history. The expected writer.
#[test]
fn an_unconfirmed_claim_loses_to_one_with_a_later_history() {
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
        // Its position may be outdated.
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
            // The holder answers again.
            let members = [member(0, &a, now), member(1, &b, now)];
            assert_eq!(roles.decide(&members).writer, writer, "the role is not taken back");
            writer
        };
        assert_eq!(decided(LongAgo, Now), Some(u8::from(passes)), "{held:?} {other:?}");
        for (a, b) in [(Lately, Now), (Now, Now), (LongAgo, Lately), (LongAgo, LongAgo)] {
            assert_eq!(decided(a, b), Some(0), "{held:?} {a:?}, {other:?} {b:?}");
        }
    }
}

#[test]
fn lagging_replicas_are_not_read_from_until_they_caught_up() {
    let lag_max = LagMax { time: Some(Duration::from_secs(10)), bytes: None };
    let mut roles = Roles::new(lag_max);
    // The lags of one replica in turn, and whether it may be read from.
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
        (vec![primary(Verdict::Up, 1000), replica(Some(900)), replica(Some(899)), replica(None)], vec![1]),
        (vec![primary(Verdict::Up, 1000), replica(Some(1200))], vec![1]),
        (
            vec![primary(Verdict::Down, 1000), replica(Some(500)), replica(Some(450)), replica(Some(1))],
            vec![1, 2],
        ),
    ] {
        assert_eq!(decide(&mut Roles::new(lag_max), &servers).readers, readers, "{servers:?}");
    }
}

/// A server: a letter as for [`check`], and its position.
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
    /// Skipping decisions while `stands` returns true gives the same results as deciding each time.
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
            // Its probe may have begun before the others had answered.
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

    /// With any answers: the writer claims the role and is not down, and it changes only when it must.
    #[test]
    fn there_is_at_most_one_writer_and_it_keeps_the_role(story in prop::collection::vec("[PpRrND-]{3}", 1..40)) {
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
