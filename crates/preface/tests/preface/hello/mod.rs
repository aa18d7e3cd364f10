//! Hellos of TLS clients.

mod properties;
mod reading;
mod written;
