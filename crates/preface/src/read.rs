//! Reads the header that a proxy sends before a client's bytes.

use crate::fault::{Fault, Stop};
use crate::header::Header;
use crate::{v1, v2};

/// What the bytes that have arrived come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// So far it is a header, and this many bytes of it, from its first on, are needed at least: more than have
    /// arrived, and no more than a whole header has.
    Need(usize),
    /// A whole header. What follows it is the client's.
    Header(Header<'a>),
    /// It is none, whatever follows.
    Invalid(Fault),
}

/// Which versions a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Lines of text.
    pub v1: bool,
    /// Binary.
    pub v2: bool,
}

impl Versions {
    /// Each of them.
    pub const ALL: Self = Self { v1: true, v2: true };
}

/// Reads the header at the start of `bytes`, which is all that has arrived.
pub fn read(bytes: &[u8], versions: Versions) -> Step<'_> {
    let read = match bytes {
        [] => return Step::Need(1),
        [b'P', ..] if versions.v1 => v1::read(bytes),
        [b'\r', ..] if versions.v2 => v2::read(bytes),
        _ => Err(Fault::NoHeader.into()),
    };
    match read {
        Ok(header) => Step::Header(header),
        Err(Stop::Need(length)) => Step::Need(length),
        Err(Stop::Invalid(fault)) => Step::Invalid(fault),
    }
}
