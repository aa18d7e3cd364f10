//! Which transitions the runs have seen, and which of those that they should see they have not.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};

use connection::{HalfView, Output, Receive, Waiting};
use worker::{Ack, ConnectionView, Mode, StateView, WaitFor, WorkerView};

/// Transitions, as they show between two turns of a worker, and how often each was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<Transition, u64>);

/// A step of a state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transition {
    machine: &'static str,
    from: &'static str,
    to: &'static str,
}

/// What a worker was last seen like.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    connections: HashMap<u32, ConnectionView>,
    acceptors: HashMap<usize, &'static str>,
    /// By slot: of its last tenant.
    generations: HashMap<u32, u32>,
}

impl Coverage {
    /// Adds what other runs have seen.
    pub fn add(&mut self, other: &Self) {
        for (transition, times) in &other.0 {
            *self.0.entry(*transition).or_default() += times;
        }
    }

    /// Of the transitions that runs are expected to see, those that none has.
    pub fn missing(&self) -> Vec<Transition> {
        expected().filter(|transition| !self.0.contains_key(transition)).collect()
    }

    /// Transitions that were seen and are not expected.
    pub fn unexpected(&self) -> Vec<Transition> {
        self.0.keys().copied().filter(|seen| !expected().any(|expected| expected == *seen)).collect()
    }

    pub(crate) fn count(&mut self, machine: &'static str, from: &'static str, to: &'static str) {
        *self.0.entry(Transition { machine, from, to }).or_default() += 1;
    }

    pub(crate) fn observe(&mut self, seen: &mut Seen, view: &WorkerView) {
        let mut connections = HashMap::new();
        for now in &view.connections {
            let before = seen.connections.remove(&now.slot);
            let before = before.filter(|before| before.generation == now.generation);
            let last = seen.generations.insert(now.slot, now.generation);
            assert!(before.is_some() || last != Some(now.generation), "a tenant has another's generation");
            self.observe_connection(before.as_ref(), now);
            connections.insert(now.slot, *now);
        }
        for removed in seen.connections.values() {
            self.count("connection", state(removed.state), NONE);
        }
        seen.connections = connections;
        let mut acceptors = HashMap::new();
        for (number, now, _) in &view.acceptors {
            let before = seen.acceptors.remove(number).unwrap_or(NONE);
            self.step("acceptor", before, mode(*now));
            acceptors.insert(*number, mode(*now));
        }
        for removed in seen.acceptors.values() {
            self.count("acceptor", removed, NONE);
        }
        seen.acceptors = acceptors;
    }

    fn observe_connection(&mut self, before: Option<&ConnectionView>, now: &ConnectionView) {
        self.step("connection", before.map_or(NONE, |before| state(before.state)), state(now.state));
        self.step("ack", before.map_or(NONE, |before| ack(before.ack)), ack(now.ack));
        if let (Some(StateView::Relaying(before)), StateView::Relaying(now)) =
            (before.map(|before| before.state), now.state)
        {
            for (before, now) in before.iter().zip(&now) {
                self.step("half", half(*before), half(*now));
            }
        }
    }

    fn step(&mut self, machine: &'static str, from: &'static str, to: &'static str) {
        if from != to {
            self.count(machine, from, to);
        }
    }
}

impl Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(transition, times)| writeln!(f, "{times:>10}  {transition}"))
    }
}

impl Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} > {}", self.machine, self.from, self.to)
    }
}

fn state(state: StateView) -> &'static str {
    match state {
        StateView::Opening => "opening",
        StateView::Connecting => "connecting",
        StateView::Waiting { wait_for: WaitFor::Primary, .. } => "held",
        StateView::Waiting { wait_for: WaitFor::Capacity, .. } => "queued",
        StateView::Relaying(_) => "relaying",
        StateView::Closing => "closing",
    }
}

fn ack(ack: Ack) -> &'static str {
    match ack {
        Ack::Sent => "sent",
        Ack::Held => "held",
        Ack::Released => "released",
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Accepting => "accepting",
        Mode::Waiting => "waiting",
        Mode::Listening => "listening",
        Mode::Paused(_) => "paused",
        Mode::Retired => "retired",
    }
}

fn half(half: HalfView) -> &'static str {
    match half {
        HalfView::Copying { finished: true, .. } => "finished",
        HalfView::Copying { receive, output, .. } => match (receive, output) {
            (Receive::Off, Output::Free) => "off",
            (Receive::Armed, Output::Free) => "armed",
            (Receive::Stopping, Output::Free) => "stopping",
            (Receive::Off, Output::Full) => "off, full",
            (Receive::Armed, Output::Full) => "armed, full",
            (Receive::Stopping, Output::Full) => "stopping, full",
            (Receive::Off, Output::Waiting) => "off, waits",
            (Receive::Armed, Output::Waiting) => "armed, waits",
            (Receive::Stopping, Output::Waiting) => "stopping, waits",
        },
        HalfView::Splicing { waiting, filled } => match (waiting, filled) {
            (Waiting::No, 0) => "splicing",
            (Waiting::No, _) => "splicing, filled",
            (Waiting::Readable, _) => "splicing, waits to read",
            (Waiting::Writable, _) => "splicing, waits to write",
        },
    }
}

/// It is not there.
const NONE: &str = "none";

/// What runs are expected to see.
fn expected() -> impl Iterator<Item = Transition> {
    EXPECTED.lines().filter_map(|line| {
        let (machine, steps) = line.split_once(": ")?;
        let (from, to) = steps.split_once(" > ")?;
        Some(Transition { machine, from, to })
    })
}

const EXPECTED: &str = include_str!("transitions.txt");
