//! The crate from outside: files that are right, files that are wrong, and bytes that are neither.

mod bad; // Each file of `bad/`, with the report it gets.
mod good; // The files of `configs/`, and what holds where they say nothing.
mod mutated; // Whatever comes: an answer, soon, and no panic.
