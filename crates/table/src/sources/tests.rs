//! Against an exact model, and what is forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::counters::Refused;

use super::{Entry, Pace, Place, SWEEP_INTERVAL, SWEEP_PARTS, SourceBounds, SourceHash, Sources, TICK};

#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
fn now() -> Instant {
    Instant::now()
}

fn ip(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn hash_of(sources: &Sources, number: u32) -> SourceHash {
    sources.hash(sources.scope("visitors", [32, 64]), ip(number))
}

fn bounds(connections: u16, pace: Option<Pace>) -> SourceBounds {
    SourceBounds { connections: NonZeroU16::new(connections), pace }
}

/// What the table is to do, with a map that has room for all.
#[derive(Default)]
struct Model(HashMap<u32, (u32, u64)>);

impl Model {
    fn enter(&mut self, source: u32, tick: u64, most: u16, pace: Option<(u64, u64)>) -> &'static str {
        let (connections, arrival) = self.0.entry(source).or_default();
        if most > 0 && *connections >= u32::from(most) {
            return "too many";
        }
        if let Some((interval, burst)) = pace {
            if *arrival > tick + interval * (burst - 1) {
                return "too fast";
            }
            *arrival = (*arrival).max(tick) + interval;
        }
        *connections += 1;
        "entered"
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u32),
    Leave(usize),
    /// Ticks pass.
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u32..6).prop_map(Step::Enter),
        3 => any::<usize>().prop_map(Step::Leave),
        2 => (0_u64..200).prop_map(Step::Pass),
        // Several times around the wheel of ticks in a run.
        1 => (0_u64..20_000_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_source_has_what_it_may_and_no_more(
        steps in prop::collection::vec(any_step(), 1..150),
        most in 0_u16..5,
        pace in prop::option::of((1_u32..2000, 1_u32..20)),
    ) {
        let epoch = now();
        let sources = Sources::new([7, 11], 10_000);
        let period = Duration::from_secs(10);
        let of_table = bounds(most, pace.map(|(number, burst)| Pace::new(number, period, burst)));
        let of_model = pace.map(|(number, burst)| {
            (u64::from((200_000 / number).div_ceil(2)), u64::from(burst))
        });
        let (mut model, mut inside, mut tick, mut part) = (Model::default(), Vec::new(), 0_u64, 0);
        let mut due = SWEEP_INTERVAL;
        for step in steps {
            let at = epoch + TICK * u32::try_from(tick).unwrap();
            match step {
                Step::Enter(source) => {
                    let hash = hash_of(&sources, source);
                    let foretold = match of_table.refuses(sources.state(hash, at)) {
                        None => "entered",
                        Some(Refused::SourceLimit) => "too many",
                        Some(Refused::SourceRate) => "too fast",
                        Some(Refused::Denied) => "denied",
                    };
                    let said = match sources.enter(hash, at, &of_table) {
                        Entry::Entered { place, evicted } => {
                            prop_assert!(!evicted);
                            inside.push((source, place));
                            "entered"
                        }
                        Entry::TooMany => "too many",
                        Entry::TooFast => "too fast",
                        Entry::NotTracked => "not tracked",
                    };
                    prop_assert_eq!(foretold, said);
                    prop_assert_eq!(said, model.enter(source, tick, most, of_model));
                }
                Step::Leave(which) if !inside.is_empty() => {
                    let (source, place) = inside.swap_remove(which % inside.len());
                    sources.leave(place);
                    model.0.get_mut(&source).unwrap().0 -= 1;
                }
                Step::Leave(_) => {}
                Step::Pass(ticks) => {
                    tick += ticks;
                    while epoch + due <= epoch + TICK * u32::try_from(tick).unwrap() {
                        sources.sweep(part, epoch + due);
                        (part, due) = ((part + 1) % SWEEP_PARTS, due + SWEEP_INTERVAL);
                    }
                }
            }
            let at = epoch + TICK * u32::try_from(tick).unwrap();
            for (source, (connections, _)) in &model.0 {
                let state = sources.state(hash_of(&sources, *source), at);
                prop_assert_eq!(state.connections, *connections);
            }
        }
        prop_assert_eq!(sources.connections(), inside.len() as u64);
    }

    /// Far too many sources for the table: what has connections is never forgotten, and the rest is let in.
    #[test]
    fn what_is_pinned_stays(steps in prop::collection::vec((0_u32..60, any::<bool>()), 1..400)) {
        let epoch = now();
        let sources = Sources::of_words([1, 2], 16);
        let bounds = bounds(3, Some(Pace::new(10, Duration::from_secs(1), 50)));
        let mut inside: Vec<(u32, Place)> = Vec::new();
        for (number, (source, enters)) in (0_u32..).zip(steps) {
            let at = epoch + Duration::from_millis(10) * number;
            if enters {
                if let Entry::Entered { place, .. } = sources.enter(hash_of(&sources, source), at, &bounds) {
                    inside.push((source, place));
                }
            } else if let Some((_, place)) = inside.pop() {
                sources.leave(place);
            }
            for (source, _) in &inside {
                let known = sources.state(hash_of(&sources, *source), at).connections as usize;
                prop_assert_eq!(known, inside.iter().filter(|(other, _)| other == source).count());
                prop_assert!(known <= 3);
            }
            prop_assert_eq!(sources.connections(), inside.len() as u64);
        }
    }
}

/// Sources that may only be in the sets of the first of them.
fn crowd(sources: &Sources, number: usize) -> Vec<SourceHash> {
    let sets = |hash: SourceHash| {
        let mut sets: Vec<_> =
            sources.candidates(hash).map(|place| (place.0.get() - 1) / super::WAYS).collect();
        sets.sort_unstable();
        sets
    };
    let hashes = || (0..).map(|number| hash_of(sources, number));
    let of_first = sets(hashes().next().unwrap());
    hashes().filter(|hash| sets(*hash) == of_first).take(number).collect()
}

fn enter(sources: &Sources, hash: SourceHash, at: Instant) -> Entry {
    sources.enter(hash, at, &bounds(0, Some(Pace::new(1, Duration::from_secs(1), 100))))
}

fn place_of(entry: Entry) -> Place {
    match entry {
        Entry::Entered { place, .. } => place,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_newcomer_takes_the_place_that_forgets_least() {
    let epoch = now();
    let sources = Sources::of_words([3, 4], 32);
    let crowd = crowd(&sources, 18);
    // The number of its connections says how far ahead each arrives: the third is the nearest.
    for (number, hash) in crowd[..16].iter().enumerate() {
        for _ in 0..if number == 2 { 2 } else { 3 + number } {
            sources.leave(place_of(enter(&sources, *hash, epoch)));
        }
    }
    let newcomer = enter(&sources, crowd[16], epoch);
    assert!(matches!(newcomer, Entry::Entered { evicted: true, .. }), "{newcomer:?}");
    let lead = |hash, at| sources.state(hash, at).lead;
    assert_eq!(lead(crowd[2], epoch), Duration::ZERO, "it was forgotten");
    assert!([0, 1, 3, 15].iter().all(|number| lead(crowd[*number], epoch) >= Duration::from_secs(3)));
    // Once arrivals have passed, their places are free.
    let later = epoch + Duration::from_secs(60);
    let newcomer = enter(&sources, crowd[17], later);
    assert!(matches!(newcomer, Entry::Entered { evicted: false, .. }), "{newcomer:?}");
}

#[test]
fn without_a_place_it_is_let_in_and_not_counted() {
    let epoch = now();
    let sources = Sources::of_words([3, 4], 32);
    let crowd = crowd(&sources, 18);
    let places: Vec<_> = crowd[..16].iter().map(|hash| place_of(enter(&sources, *hash, epoch))).collect();
    assert_eq!(enter(&sources, crowd[16], epoch), Entry::NotTracked);
    sources.leave(places[5]);
    assert!(matches!(enter(&sources, crowd[16], epoch), Entry::Entered { evicted: true, .. }));
    assert_eq!(enter(&sources, crowd[17], epoch), Entry::NotTracked);
}

#[test]
fn newcomers_spread_over_both_of_their_sets() {
    let epoch = now();
    let sources = Sources::of_words([3, 4], 32);
    let places: Vec<_> =
        crowd(&sources, 8).iter().map(|hash| place_of(enter(&sources, *hash, epoch)).0.get()).collect();
    let in_low = places.iter().filter(|place| (**place - 1) / super::WAYS == (places[0] - 1) / super::WAYS);
    assert_eq!(in_low.count(), 4, "{places:?}");
}

/// As many connections as there may be, each of a source of its own, fill no set: the promise of the size.
#[test]
fn the_size_is_enough_for_all_connections_from_sources_of_their_own() {
    let epoch = now();
    for connections in [10_000, 200_000] {
        let sources = Sources::new([5, 6], connections);
        for number in 0..connections {
            let hash = hash_of(&sources, number);
            assert!(matches!(enter(&sources, hash, epoch), Entry::Entered { evicted: false, .. }));
        }
        assert_eq!(sources.connections(), u64::from(connections));
        let (known, all) = (sources.known(), connections as usize);
        assert!(known.abs_diff(all) <= all / 30, "{known} of {all}");
    }
}

#[test]
fn a_source_is_all_addresses_with_the_same_first_bits() {
    let sources = Sources::new([5, 6], 10);
    let hash = |name, address: &str, bits| sources.hash(sources.scope(name, bits), address.parse().unwrap());
    assert_eq!(hash("a", "2001:db8:1:2::1", [32, 64]), hash("a", "2001:db8:1:2:ffff::", [32, 64]));
    assert_ne!(hash("a", "2001:db8:1:2::1", [32, 64]), hash("a", "2001:db8:1:3::1", [32, 64]));
    assert_ne!(hash("a", "192.0.2.1", [32, 64]), hash("a", "192.0.2.2", [32, 64]));
    assert_eq!(hash("a", "192.0.2.1", [24, 64]), hash("a", "192.0.2.2", [24, 64]));
    assert_eq!(hash("a", "192.0.2.1", [32, 64]), hash("a", "::ffff:192.0.2.1", [32, 64]));
    assert_ne!(hash("a", "192.0.2.1", [32, 64]), hash("b", "192.0.2.1", [32, 64]));
    assert_eq!(hash("a", "192.0.2.1", [0, 0]), hash("a", "10.0.0.1", [0, 0]));
    assert_ne!(
        hash("a", "192.0.2.1", [32, 64]),
        hash("a", "192.0.2.1", [32, 48]),
        "another mask, another table"
    );
    assert_ne!(hash("a", "192.0.2.1", [0, 0]), hash("a", "::1", [0, 0]), "IPv4 is not IPv6");
}

#[test]
fn an_arrival_that_passed_long_ago_does_not_come_back() {
    let epoch = now();
    let sources = Sources::new([5, 6], 10);
    let hash = hash_of(&sources, 1);
    let minute = bounds(0, Some(Pace::new(10, Duration::from_secs(60), 2)));
    let place = place_of(sources.enter(hash, epoch, &minute));
    // It has a connection all the time, so its word is not forgotten; the ticks go round in 28 minutes.
    let mut at = epoch;
    for number in 0..2_000 {
        sources.sweep(number % SWEEP_PARTS, at);
        assert!(sources.state(hash, at).lead <= Duration::from_secs(6), "after {:?}", at - epoch);
        at += SWEEP_INTERVAL;
    }
    assert_eq!(sources.state(hash, at).connections, 1);
    sources.leave(place);
    for part in 0..SWEEP_PARTS {
        sources.sweep(part, at);
    }
    assert_eq!(sources.known(), 0);
}

#[test]
fn no_table_is_made_before_it_is_needed() {
    let sources = Sources::new([5, 6], 1_000_000);
    assert_eq!((sources.known(), sources.connections(), sources.capacity()), (0, 0, 4_194_304));
    sources.sweep(0, now());
    assert!(sources.sets.get().is_none());
}
