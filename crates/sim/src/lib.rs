//! A kernel that is made of one number: the worker's, its clients' and its backends' world, simulated.
//!
//! From a seed come a configuration, peers and what they do, faults of the kernel and the network, reloads and the
//! end; and the order of all that. The workers are the real ones, on [`Kernel`] in place of a ring. A reference
//! model, spread over what it watches (`links`, `picks`, `descriptors`, `check`), says whether every byte, FIN,
//! RST, descriptor, buffer and count came out right. The same seed is the same run, bit for bit.

mod control;
mod health; // the states of backends in it,
mod run; // How a run goes. Start here.
mod scenario; // What it is made of, // and what control does.

mod check; // What must hold,
mod check_end; // and what at the end.
mod coverage;
mod expected; // What tables must be like.

mod stage; // For tests that say themselves what happens.

mod kernel; // What the worker sees,
mod ring;
mod world; // and what is behind it.

mod addresses;
mod agenda;
mod buffers;
mod bytes;
mod descriptors;
mod drain_windows;
mod faults;
mod guards;
mod headers;
mod hellos;
mod link;
mod links;
mod peers;
mod picks;
mod pipes;
mod queries;
mod queues;
mod random;
mod routings;
mod trace;

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

pub use crate::coverage::{Coverage, Transition};
pub use crate::hellos::hello;
pub use crate::kernel::Kernel;
pub use crate::stage::{Peer, Read, Stage};

use crate::run::Run;
use crate::trace::Trace;

/// A run in which everything held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// A sum over everything the workers were told, and when.
    pub hash: u64,
    /// The transitions it saw.
    pub coverage: Coverage,
}

/// A run in which something did not hold.
#[derive(Clone, Debug)]
pub struct Failed {
    /// What it was made of.
    pub seed: u64,
    /// What did not hold.
    pub what: String,
    /// What happened last.
    pub trace: Vec<String>,
}

/// Does the run that `seed` stands for.
///
/// # Errors
///
/// Something did not hold, or a worker panicked. The run is done twice then, the second time with its trace.
pub fn run(seed: u64) -> Result<Passed, Failed> {
    let first = run_once(seed, Trace::default());
    if first.is_ok() {
        return first;
    }
    match run_once(seed, Trace::kept()) {
        Ok(_) => first.map_err(|failed| Failed { what: failed.what + ", but not in a second run", ..failed }),
        second => second,
    }
}

fn run_once(seed: u64, trace: Trace) -> Result<Passed, Failed> {
    let trace = Rc::new(RefCell::new(trace));
    let kept = Rc::clone(&trace);
    let coverage = catch_unwind(AssertUnwindSafe(move || {
        let mut run = Run::new(seed, trace);
        run.go_to_the_end();
        run.check_end();
        run.coverage
    }));
    let trace = kept.borrow();
    coverage.map(|coverage| Passed { hash: trace.hash(), coverage }).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Failed {
            seed,
            what: text.unwrap_or("a panic without a word").to_owned(),
            trace: trace.lines().map(str::to_owned).collect(),
        }
    })
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        write!(f, "again: RONDEL_SEED={} cargo test -p sim --test seeds", self.seed)
    }
}
