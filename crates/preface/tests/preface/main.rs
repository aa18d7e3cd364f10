//! Headers of the PROXY protocol, read at every cut and written, and hellos, read at every cut.

mod hello;
mod properties;
mod reading;
mod writing;
