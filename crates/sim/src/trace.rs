//! What happened last, in lines, to find a bug by.

use std::collections::VecDeque;
use std::fmt::Arguments;

/// The last lines of a run; none, and no cost, unless they are kept.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<VecDeque<String>>,
    /// A sum over all that happened: two runs of one seed have the same.
    hash: u64,
}

/// How many lines are kept.
const LINES_MAX: usize = 1000;

impl Trace {
    pub(crate) fn kept() -> Self {
        Self { lines: Some(VecDeque::new()), hash: 0 }
    }

    pub(crate) fn note(&mut self, now: u64, line: Arguments<'_>) {
        let Some(lines) = &mut self.lines else { return };
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        let (micros, nanos) = (now / 1000, now % 1000);
        lines.push_back(format!("{micros:>10}.{nanos:03} us  {line}"));
    }

    /// Mixes a number into the sum of what happened.
    pub(crate) fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().flatten().map(String::as_str)
    }
}
