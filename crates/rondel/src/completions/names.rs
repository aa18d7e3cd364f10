//! Candidates for arguments: names of the running process, and words of the access log.
//!
//! A completion is silent: without a process, without the permission to ask it, or without an answer in time there are
//! no candidates.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use api::{AccessQuery, AccessView, PoolStatus, RemovedKind, Status};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use config::show_addresses;
use connection::{CloseReason, Termination};

use crate::admin::AdminClient;
use crate::text::overrides;

/// Names of pools.
pub(crate) fn pools() -> ArgValueCompleter {
    completer(|status, _| status.pools.iter().map(pool).collect())
}

/// Names of listeners.
pub(crate) fn listeners() -> ArgValueCompleter {
    completer(|status, _| {
        let listeners = status.listeners.iter();
        listeners
            .map(|listener| {
                let pools = listener.pools().join(", ");
                let addresses = show_addresses(&listener.addresses);
                (listener.name.clone(), format!("{addresses} to pool {pools}"))
            })
            .collect()
    })
}

/// Backends of the configuration, as `POOL/BACKEND`.
pub(crate) fn backends() -> ArgValueCompleter {
    completer(backends_of)
}

/// The same, and backends that a reload removed and that still have connections.
pub(crate) fn backends_and_removed() -> ArgValueCompleter {
    completer(|status, current| {
        let removed = status.removed.iter().filter(|removed| removed.kind == RemovedKind::Backend);
        let removed = removed.map(|backend| {
            (
                format!("{}/{}", backend.pool, backend.name),
                format!("{}, removed", show_addresses(&backend.addresses)),
            )
        });
        backends_of(status, current).into_iter().chain(removed).collect()
    })
}

/// Names of access lists.
pub(crate) fn access_lists() -> ArgValueCompleter {
    of_access(0, |view| {
        let named = view.lists.into_iter().filter_map(|list| Some((list.name?, list.listeners)));
        named.map(|(name, listeners)| (name, format!("of {}", listeners.join(", ")))).collect()
    })
}

/// Names of limits of sources.
pub(crate) fn limits() -> ArgValueCompleter {
    completer(|status, _| {
        status.limits.iter().map(|limits| (limits.name.clone(), "limits of sources".to_owned())).collect()
    })
}

/// Prefixes that operators denied or allowed.
pub(crate) fn said_prefixes() -> ArgValueCompleter {
    of_access(SAID_LISTED_MAX, |view| {
        let said = view.overrides.into_iter();
        said.map(|said| (said.prefix.to_string(), format!("{} {}", said.action, said.why))).collect()
    })
}

/// Codes of the access log, and close reasons.
pub(crate) fn codes_and_reasons() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let codes = Termination::ALL.iter().map(|known| (known.code.to_owned(), known.text.to_owned()));
        let reasons =
            CloseReason::ALL.iter().map(|reason| (reason.name().to_owned(), reason.meaning().to_owned()));
        matching(current, codes.chain(reasons).collect())
    })
}

/// A candidate, and what is shown beside it.
type Named = (String, String);

fn completer(names: fn(&Status, &str) -> Vec<Named>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let Ok(status) = client().status_within(ANSWER_TIME_MAX) else { return Vec::new() };
        matching(current, names(&status, &current.to_string_lossy()))
    })
}

/// Candidates of an answer about access lists, with so much of what operators say.
fn of_access(limit: u32, names: fn(AccessView) -> Vec<Named>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let query = AccessQuery { limit: Some(limit), ..AccessQuery::default() };
        let answer = client().query_within(ANSWER_TIME_MAX, "/access", &query);
        answer.map_or_else(|_| Vec::new(), |view| matching(current, names(view)))
    })
}

fn client() -> AdminClient {
    AdminClient::at(socket(env::args_os(), env::var_os("RONDEL_SOCKET")))
}

fn matching(current: &OsStr, names: Vec<Named>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let names = names.into_iter().filter(|(name, _)| name.starts_with(&*current));
    names.map(|(name, about)| CompletionCandidate::new(name).help(Some(about.into()))).collect()
}

fn pool(pool: &PoolStatus) -> Named {
    let available = pool.backends.iter().filter(|backend| backend.is_available()).count();
    (pool.name.clone(), format!("{available} of {} backends available", pool.backends.len()))
}

/// The backends; first the pools alone, if there are more backends than a list can show.
fn backends_of(status: &Status, current: &str) -> Vec<Named> {
    let matches = |pool: &&PoolStatus| format!("{}/", pool.name).starts_with(current);
    let number: usize = status.pools.iter().filter(matches).map(|pool| pool.backends.len()).sum();
    if number > BACKENDS_LISTED_MAX && !status.pools.iter().any(|pool| current == format!("{}/", pool.name)) {
        let pools = status.pools.iter().filter(matches).map(pool);
        return pools.map(|(name, about)| (format!("{name}/"), about)).collect();
    }
    let backends = status.pools.iter().flat_map(|pool| {
        pool.backends.iter().map(|backend| {
            let about = match overrides(backend.overrides).as_str() {
                "-" => format!("{}, {}", backend.address, backend.state_in_words()),
                overrides => format!("{}, {}, {overrides}", backend.address, backend.state_in_words()),
            };
            (format!("{}/{}", pool.name, backend.name), about)
        })
    });
    backends.collect()
}

/// The admin socket to ask: of the line that is completed, of the environment, or the default one.
fn socket(line: impl Iterator<Item = OsString>, environment: Option<OsString>) -> PathBuf {
    let mut written = None;
    let mut is_value = false;
    // The last word is that at the cursor.
    for word in line {
        if std::mem::replace(&mut is_value, word == "--socket") {
            written = Some(word);
        } else if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--socket=")) {
            written = Some(path.into());
        }
    }
    written.or(environment).unwrap_or_else(|| config::ADMIN_SOCKET_DEFAULT.into()).into()
}

/// How long a completion waits for an answer. Then it has no candidates.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// The most prefixes that are listed.
const SAID_LISTED_MAX: u32 = 100;

/// The most backends that are listed without naming their pool first.
const BACKENDS_LISTED_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::{backends_of, socket};

    #[test]
    fn the_socket_is_that_of_the_line_or_the_environment_or_the_default() {
        let of = |line: &str, environment: Option<&str>| {
            let line = line.split(' ').map(Into::into);
            socket(line, environment.map(Into::into)).display().to_string()
        };
        assert_eq!(of("rondel -- rondel drain --socket /a web", Some("/b")), "/a");
        assert_eq!(of("rondel -- rondel drain --socket=/a web", Some("/b")), "/a");
        assert_eq!(of("rondel -- rondel drain web", Some("/b")), "/b");
        assert_eq!(of("rondel -- rondel drain web", None), config::ADMIN_SOCKET_DEFAULT);
    }

    #[test]
    fn many_backends_are_listed_pool_by_pool() {
        let mut status: api::Status = serde_json::from_str(include_str!("../top/status.json")).unwrap();
        let names = |status: &api::Status, current: &str| {
            backends_of(status, current).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&status, ""), ["app/a", "app/b"]);
        let backend = status.pools[0].backends[0].clone();
        status.pools[0].backends = vec![backend; 101];
        assert_eq!(names(&status, ""), ["app/"]);
        assert_eq!(names(&status, "ap"), ["app/"]);
        assert_eq!(names(&status, "app/").len(), 101);
        assert_eq!(names(&status, "app/a").len(), 101);
    }
}
