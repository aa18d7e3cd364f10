//! Which sources have most connections, and which were refused most.

use config::Prefix;
use serde::{Deserialize, Serialize};

/// A query for sources. As JSON, the body of `POST /sources`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourcesQuery {
    /// The name of the limits; without one, every connection counts, and each address is a source.
    pub limits: Option<String>,
    /// How many of each kind are listed at most: at most 1000, by default 20.
    pub top: Option<u32>,
}

/// The result of a [`SourcesQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesView {
    /// Sources with the most connections, those with most first.
    pub sources: Vec<SourceView>,
    /// Clients that were refused most for their address in the last minute, at whatever listener; the first ones are
    /// exact, the others may be too high.
    pub refused: Vec<SourceView>,
    /// Workers that did not answer within a second. Theirs are missing.
    pub silent_workers: Vec<usize>,
}

/// A source, and how many connections or refusals it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// The addresses that are one source.
    #[serde(with = "crate::prefix")]
    pub source: Prefix,
    /// How many.
    pub number: u64,
}

impl SourcesQuery {
    /// How many of each kind are listed.
    ///
    /// # Errors
    ///
    /// It exceeds [`TOP_MAX`].
    pub fn top(&self) -> Result<usize, String> {
        match self.top.unwrap_or(TOP_DEFAULT) {
            top if top > TOP_MAX => Err(format!("{top} sources are too many: the maximum is {TOP_MAX}")),
            top => Ok(top as usize),
        }
    }
}

const TOP_DEFAULT: u32 = 20;

/// The most sources of each kind of a query.
pub const TOP_MAX: u32 = 1000;
