//! How many connections each source has and how fast new ones come, over all workers: one table of a fixed size, in
//! which a source is one number of 64 bits.
//!
//! ```text
//! word of a source   | tag: 24 | connections: 16 | arrival: 24, in ticks of 100 us, modulo 2^24 |
//!
//! hash of the source ──┬─▶ a set of 8 words, one cache line ──┐ the word with the tag, or a place
//!                      └─▶ another set of 8 words ────────────┘ in the set with more room
//! ```
//!
//! A connection enters its source when it is accepted and leaves it at its end; it keeps the place of the word. The
//! rate is a generic cell rate algorithm: `arrival` is when the next connection would come if all came evenly, and
//! a connection is refused when that is further ahead than the burst allows. One that is refused does not move it.
//!
//! # What is forgotten, and when
//!
//! A word with connections is *pinned*: it stays. A newcomer takes an empty word, else one whose arrival has passed,
//! which means nothing any more, else the unpinned one whose arrival is nearest, which forgets least. If all words of
//! both sets are pinned, the newcomer is not tracked: it is let in and counted. To refuse it would let a client that
//! fills sets lock out others. Two sources share a word by chance with 16/2^24 for each newcomer.
//!
//! An arrival that passed long ago would seem ahead again once the ticks have gone round (28 minutes). So every word
//! is [swept](Sources::sweep) before.
//!
//! # Why a source has one word
//!
//! Accesses are sequentially consistent. A worker that put in a word reads both sets again. If it finds another word
//! of the source, it takes its own back, unless another connection has entered that meanwhile, and begins again.
//! Of two workers that do so in the same moment, the one that looks second sees the word of the other. Each may take
//! its own back; then the last one of them finds no other. `scripts/interleave` tries all orders of two workers.
//!
//! The one inexactness: of three workers in the same moment, one may enter the word of the second before the third
//! puts in its own, so that neither is alone and both words stay. Until those connections leave, the source may have
//! one more for each worker.

use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

use crate::atomics::{AtomicU64, Ordering};
use crate::counters::Refused;

/// The connections and arrivals of all sources.
#[derive(Debug)]
pub struct Sources {
    key: [u64; 2],
    /// A power of two.
    sets_max: usize,
    /// They take no memory before they are needed.
    sets: OnceLock<Box<[Set]>>,
    /// What ticks are counted from: when the first connection came.
    epoch: OnceLock<Instant>,
}

/// The words that are read together.
#[derive(Debug)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS as usize]);

/// Whose sources they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    number: u64,
    bits: [u8; 2],
}

/// A source, as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceHash(u64);

/// Where a connection is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(NonZeroU32);

/// How much a source may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceBounds {
    /// Connections at once; none is no limit.
    pub connections: Option<NonZeroU16>,
    /// How fast new ones may come; none is no limit.
    pub pace: Option<Pace>,
}

/// A rate of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From one connection to the next, in ticks.
    interval: u32,
    /// How far ahead of now an arrival may be, in ticks.
    lead: u32,
}

/// What becomes of a connection that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It is counted, and has to [leave](Sources::leave).
    Entered {
        /// Where.
        place: Place,
        /// Whether a source had to be forgotten for it whose arrivals still counted.
        evicted: bool,
    },
    /// The source has as many connections as it may.
    TooMany,
    /// Connections of the source come faster than they may.
    TooFast,
    /// There was no place for it. It is let in, and not counted.
    NotTracked,
}

/// What the table knows of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceState {
    /// Its connections.
    pub connections: u32,
    /// How far ahead of now the next connection would come if all came evenly.
    pub lead: Duration,
}

/// With one word in a set, all orders of two workers can be tried.
#[cfg(not(interleave))]
const WAYS: u32 = 8;
#[cfg(interleave)]
const WAYS: u32 = 1;

/// How often a connection looks for its word again, because other workers changed it meanwhile. Beyond, it is not
/// tracked.
const TRIES_MAX: usize = 1000;

/// The least and the most words. Four words for each connection, all from sources of their own, fill the fullest of
/// 65 536 sets to five of eight; the most is 64 MiB.
const WORDS: std::ops::RangeInclusive<usize> = 65_536..=1 << 23;

/// How many words are read to estimate how many are used.
const SAMPLED_MAX: usize = 65_536;

/// A table is swept in so many parts.
pub const SWEEP_PARTS: usize = 64;

/// How often a part is swept, so that the whole is after 10 min 40 s.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The most that a burst may take at its rate.
pub const BURST_TIME_MAX: Duration = Duration::from_secs(600);

const TICK: Duration = Duration::from_micros(100);

/// An arrival up to this far ahead is one; what is further ahead has passed. More than [`BURST_TIME_MAX`], as
/// intervals are rounded to ticks; and what has passed is not taken for ahead before 16 minutes.
const AHEAD_MAX: u32 = 7_000_000;

const TICKS_MASK: u64 = (1 << 24) - 1;
const ONE_CONNECTION: u64 = 1 << 24;
const CONNECTIONS_MASK: u64 = 0xffff << 24;
const TAG_SHIFT: u32 = 40;

impl Pace {
    /// So many connections in each period, and `burst` of them at once, at least 1. Intervals are rounded to 100 us.
    pub fn new(connections: u32, period: Duration, burst: u32) -> Self {
        let (period, connections) = (period.as_micros(), u128::from(connections.max(1)));
        let half_ticks = 2 * period / TICK.as_micros() / connections;
        let interval = u32::try_from(half_ticks.div_ceil(2)).unwrap_or(AHEAD_MAX / 2).clamp(1, AHEAD_MAX / 2);
        Self { interval, lead: interval.saturating_mul(burst.max(1) - 1).min(AHEAD_MAX - interval) }
    }
}

impl SourceBounds {
    /// Why another connection of a source in this state would be refused; none if it would not be.
    pub fn refuses(&self, state: SourceState) -> Option<Refused> {
        if self.connections.is_some_and(|most| state.connections >= u32::from(most.get())) {
            return Some(Refused::SourceLimit);
        }
        self.pace.is_some_and(|pace| state.lead > TICK * pace.lead).then_some(Refused::SourceRate)
    }
}

impl Default for Sources {
    /// A table for no connections, with a key that is no secret: for tests, and for tables without limits.
    fn default() -> Self {
        Self::new([0; 2], 0)
    }
}

impl Sources {
    /// An empty table for so many connections of the process, which hashes sources under `key`.
    pub fn new(key: [u64; 2], connections_max: u32) -> Self {
        let words = (connections_max as usize).saturating_mul(4).clamp(*WORDS.start(), *WORDS.end());
        Self::of_words(key, words)
    }

    /// An empty table of at least so many words. For tests: [`new`](Self::new) determines the number itself.
    pub fn of_words(key: [u64; 2], words: usize) -> Self {
        let sets_max = (words / WAYS as usize).next_power_of_two().max(2);
        Self { key, sets_max, sets: OnceLock::new(), epoch: OnceLock::new() }
    }

    /// What tells the sources of a set of limits from those of others: its name, and how many bits of an address are
    /// one source, of IPv4 and of IPv6.
    pub fn scope(&self, name: &str, bits: [u8; 2]) -> Scope {
        let text = format!("{}/{}/{name}", bits[0], bits[1]);
        let number = SipHasher13::new_with_keys(self.key[1], self.key[0]).hash(text.as_bytes());
        Scope { number, bits }
    }

    /// The source that an address belongs to: all addresses with the same first bits.
    pub fn hash(&self, Scope { number: scope, bits }: Scope, address: IpAddr) -> SourceHash {
        let (number, mask) = match address.to_canonical() {
            IpAddr::V4(ip) => (ip.to_ipv6_mapped(), u32::from(bits[0].min(32)) + 96),
            IpAddr::V6(ip) => (ip, u32::from(bits[1].min(128))),
        };
        let masked = number.to_bits() & u128::MAX.checked_shl(128 - mask).unwrap_or(0);
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&Ipv6Addr::from_bits(masked).octets());
        bytes[16..].copy_from_slice(&scope.to_le_bytes());
        SourceHash(SipHasher13::new_with_keys(self.key[0], self.key[1]).hash(&bytes))
    }

    /// A connection of a source comes: counts it, if it may.
    pub fn enter(&self, source: SourceHash, now: Instant, bounds: &SourceBounds) -> Entry {
        let now = self.ticks(now);
        for _ in 0..TRIES_MAX {
            match self.look(source, now) {
                Look::Found(place, word) => match word.with_one_more(now, bounds) {
                    Err(refusal) => return refusal,
                    Ok(next) if self.replace(place, word, next) => {
                        return Entry::Entered { place, evicted: false };
                    }
                    Ok(_) => {}
                },
                Look::Free(place, before) => {
                    let own = Word::first(source, now, bounds);
                    if !self.replace(place, before, own) {
                        continue;
                    }
                    let is_alone = !self.has_another(source, place);
                    // Another connection that has entered it meanwhile keeps it where it is.
                    if is_alone || !self.replace(place, own, Word::EMPTY) {
                        return Entry::Entered { place, evicted: !before.has_passed(now) };
                    }
                }
                Look::Full => return Entry::NotTracked,
            }
        }
        Entry::NotTracked
    }

    /// A connection that entered there has ended.
    pub fn leave(&self, place: Place) {
        let before = Word(self.word(place).fetch_sub(ONE_CONNECTION, Ordering::SeqCst));
        assert!(before.connections() > 0, "a connection left a source that has none");
    }

    /// What is known about a source.
    pub fn state(&self, source: SourceHash, now: Instant) -> SourceState {
        let now = self.ticks(now);
        let words = self.candidates(source).map(|place| self.load(place));
        words.filter(|word| word.is_of(source)).fold(SourceState::default(), |state, word| SourceState {
            connections: state.connections + word.connections(),
            lead: state.lead.max(TICK * word.ahead(now)),
        })
    }

    /// Connections of all sources.
    pub fn connections(&self) -> u64 {
        self.words().map(|word| u64::from(word.connections())).sum()
    }

    /// How many sources are known, estimated from 65 536 words if there are more.
    pub fn known(&self) -> usize {
        let known = self.words().take(SAMPLED_MAX).filter(|word| *word != Word::EMPTY).count();
        known * (self.capacity() / SAMPLED_MAX).max(1)
    }

    /// How many sources it can know.
    pub fn capacity(&self) -> usize {
        self.sets_max * WAYS as usize
    }

    /// Forgets, in one of the [`SWEEP_PARTS`] of the table, which arrivals have passed. Each part is due before ticks
    /// have gone round: every [`SWEEP_INTERVAL`] the next one.
    pub fn sweep(&self, part: usize, now: Instant) {
        let Some(sets) = self.sets.get() else { return };
        let now = self.ticks(now);
        let length = sets.len().div_ceil(SWEEP_PARTS);
        for word in sets.chunks(length).nth(part).unwrap_or_default().iter().flat_map(|set| &set.0) {
            let before = Word(word.load(Ordering::SeqCst));
            if before != Word::EMPTY && before.has_passed(now) {
                let next = if before.connections() == 0 { Word::EMPTY } else { before.arriving(now) };
                // If it has changed meanwhile, it has a new arrival.
                let _ = word.compare_exchange(before.0, next.0, Ordering::SeqCst, Ordering::SeqCst);
            }
        }
    }

    fn ticks(&self, now: Instant) -> u32 {
        let epoch = *self.epoch.get_or_init(|| now);
        let ticks = now.saturating_duration_since(epoch).as_micros() / TICK.as_micros();
        u32::try_from(ticks & u128::from(TICKS_MASK)).expect("masked")
    }

    fn sets(&self) -> &[Set] {
        let set = |_| Set(std::array::from_fn(|_| AtomicU64::new(0)));
        self.sets.get_or_init(|| (0..self.sets_max).map(set).collect())
    }

    /// All words; none before one was needed.
    fn words(&self) -> impl Iterator<Item = Word> {
        let sets = self.sets.get().map_or(&[][..], |sets| sets);
        sets.iter().flat_map(|set| &set.0).map(|word| Word(word.load(Ordering::SeqCst)))
    }

    /// The places that a source may have.
    fn candidates(&self, SourceHash(hash): SourceHash) -> impl Iterator<Item = Place> {
        let mask = self.sets_max as u64 - 1;
        let first = hash & mask;
        // The two are never the same.
        let second = match hash >> 20 & mask {
            second if second == first => first ^ 1,
            second => second,
        };
        let place = |set: u64, way: u32| {
            let number = u32::try_from(set).expect("there are fewer sets") * WAYS + way;
            Place(NonZeroU32::MIN.saturating_add(number))
        };
        [first, second].into_iter().flat_map(move |set| (0..WAYS).map(move |way| place(set, way)))
    }

    /// Looks for the word of a source, or else for a place where it may have one.
    fn look(&self, source: SourceHash, now: u32) -> Look {
        let mut room = [0_usize; 2];
        // In each set: how far ahead the arrival is that is forgotten by taking the place; nothing, for an empty one.
        let mut best: [Option<(u32, Place, Word)>; 2] = [None; 2];
        for (number, place) in self.candidates(source).enumerate() {
            let word = self.load(place);
            if word.is_of(source) {
                return Look::Found(place, word);
            }
            if word.connections() > 0 {
                continue;
            }
            let (set, ahead) = (number / WAYS as usize, word.ahead(now));
            room[set] += usize::from(ahead == 0);
            let cost = if word == Word::EMPTY { 0 } else { ahead + 1 };
            if best[set].is_none_or(|(least, ..)| cost < least) {
                best[set] = Some((cost, place, word));
            }
        }
        let better = match room {
            [0, 0] => best.into_iter().flatten().min_by_key(|(cost, ..)| *cost),
            [first, second] => best[usize::from(second > first)],
        };
        better.map_or(Look::Full, |(_, place, word)| Look::Free(place, word))
    }

    fn has_another(&self, source: SourceHash, own: Place) -> bool {
        self.candidates(source).any(|place| place != own && self.load(place).is_of(source))
    }

    fn word(&self, Place(number): Place) -> &AtomicU64 {
        let index = number.get() as usize - 1;
        &self.sets()[index / WAYS as usize].0[index % WAYS as usize]
    }

    fn load(&self, place: Place) -> Word {
        Word(self.word(place).load(Ordering::SeqCst))
    }

    fn replace(&self, place: Place, before: Word, next: Word) -> bool {
        self.word(place).compare_exchange(before.0, next.0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// What is found where a source may be.
enum Look {
    /// The source.
    Found(Place, Word),
    /// A place for it, and what is there.
    Free(Place, Word),
    /// All words are pinned.
    Full,
}

/// A source in 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const EMPTY: Self = Self(0);

    /// That of a source whose first connection comes.
    fn first(source: SourceHash, now: u32, bounds: &SourceBounds) -> Self {
        let interval = bounds.pace.map_or(0, |pace| pace.interval);
        Self(tag(source) << TAG_SHIFT | ONE_CONNECTION).arriving(now.wrapping_add(interval))
    }

    /// The word with one more connection, if the bounds allow it.
    fn with_one_more(self, now: u32, bounds: &SourceBounds) -> Result<Self, Entry> {
        let connections = self.connections();
        if bounds.connections.is_some_and(|most| connections >= u32::from(most.get())) {
            return Err(Entry::TooMany);
        }
        if connections == u32::from(u16::MAX) {
            return Err(Entry::NotTracked);
        }
        let one_more = Self(self.0 + ONE_CONNECTION);
        let Some(pace) = bounds.pace else { return Ok(one_more) };
        let ahead = self.ahead(now);
        if ahead > pace.lead {
            return Err(Entry::TooFast);
        }
        Ok(one_more.arriving(now.wrapping_add(ahead + pace.interval)))
    }

    fn arriving(self, arrival: u32) -> Self {
        Self(self.0 & !TICKS_MASK | u64::from(arrival) & TICKS_MASK)
    }

    fn is_of(self, source: SourceHash) -> bool {
        self.0 >> TAG_SHIFT == tag(source)
    }

    fn connections(self) -> u32 {
        u32::try_from((self.0 & CONNECTIONS_MASK) >> 24).expect("16 bits")
    }

    /// How far ahead the arrival is; 0 if it has passed, or the word is empty.
    fn ahead(self, now: u32) -> u32 {
        let ahead = u32::try_from(self.0.wrapping_sub(now.into()) & TICKS_MASK).expect("24 bits");
        if ahead <= AHEAD_MAX && self != Self::EMPTY { ahead } else { 0 }
    }

    fn has_passed(self, now: u32) -> bool {
        self.ahead(now) == 0
    }
}

/// Never 0, which is the tag of an empty word.
fn tag(SourceHash(hash): SourceHash) -> u64 {
    (hash >> TAG_SHIFT).max(1)
}

#[cfg(all(test, not(interleave)))]
mod tests;
