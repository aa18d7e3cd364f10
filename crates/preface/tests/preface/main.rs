//! Headers of the PROXY protocol, read at every cut and written.

mod properties;
mod reading;
mod writing;
