//! Every key of a file with its type, default, range and meaning.
//!
//! `docs/reference/configuration.md` is made of it. The parser does not read this table. The tests compare it with the
//! parser key by key: the keys are those of the sections, each default is what the parser gives, the ends of each
//! range are accepted, and what is beyond them is rejected.

mod access;
mod key;
mod pool;
mod probe;
mod process;
mod proxy;
mod route;

#[cfg(test)]
mod tests;

pub use self::key::{Absent, Key, Section, Value};

/// Every section that a file can have, from the outermost to the innermost.
pub fn sections() -> Vec<Section> {
    let mut sections = vec![
        process::file(),
        process::runtime(),
        process::admin(),
        process::admin_http(),
        process::access_log(),
        access::list(),
        access::rule(),
        access::limits(),
        access::source(),
        process::listener(),
        process::hold(),
        proxy::proxy_protocol(),
        proxy::opening(),
    ];
    sections.extend([
        route::route(),
        pool::pool(),
        pool::keepalive(),
        pool::eject(),
        pool::queue(),
        proxy::send_proxy(),
        pool::backend(),
        probe::probe(),
    ]);
    sections.extend([
        probe::http(),
        probe::expect(),
        probe::roles(),
        probe::exchange(),
        probe::postgres(),
        probe::mysql(),
        probe::redis(),
        probe::tls(),
    ]);
    sections
}
