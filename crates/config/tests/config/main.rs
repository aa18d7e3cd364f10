//! Tests of the crate from outside: valid files, invalid files, and arbitrary bytes.

mod bad; // Each file of `bad/`, with the report it gets.
mod good; // The files of `configs/`, and the defaults.
mod mutated; // Any input gets an answer, soon, and without a panic.
