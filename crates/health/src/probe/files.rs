//! Reads the local files of a probe: a password, the certificates of an authority.
//!
//! They are read for each probe, because they may be renewed, and before its timeout starts, because a slow disk is
//! not the server's fault. A file system may hang, so each file is read by a separate thread. Probes of one file
//! share a read: while it hangs, no other read starts, so there is at most one thread for each file.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::answer::{ProbeError, Text};
use config::probe::{Kind, Login, Secret, Tls};

/// The contents of the files, and what the server showed in exchange.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The password; none if there is none.
    pub(super) password: Option<String>,
    /// The certificates of the authority, PEM; none without TLS.
    pub(super) authority: Option<Content>,
    /// The certificate of the server, DER, once TLS has accepted it.
    pub(super) shown: Shown,
}

/// The certificate of a server, DER, once it is known.
pub(super) type Shown = Arc<OnceLock<Vec<u8>>>;

/// The contents of a file, or why it cannot be read.
pub(super) type Content = Arc<[u8]>;
type Read = Result<Content, String>;

impl Files {
    /// Reads what a probe of this kind needs.
    pub(super) async fn read(kind: &Kind) -> Result<Self, ProbeError> {
        let (login, tls) = needs(kind);
        let password = match login {
            Some(login) => password(&login.password).await?,
            None => None,
        };
        let authority = match tls {
            Some(tls) => Some(authority(tls).await?),
            None => None,
        };
        Ok(Self { password, authority, shown: Shown::default() })
    }
}

/// The login and the TLS settings of a probe of this kind.
pub(super) fn needs(kind: &Kind) -> (Option<&Login>, Option<&Tls>) {
    match kind {
        Kind::Tcp => (None, None),
        Kind::Http(http) => (None, http.tls.as_ref()),
        Kind::Exchange(exchange) => (None, exchange.tls.as_ref()),
        Kind::Postgres(postgres) => (Some(&postgres.login), postgres.tls.as_ref()),
        Kind::Mysql(mysql) => (Some(&mysql.login), mysql.tls.as_ref()),
        Kind::Redis(redis) => (redis.login.as_ref(), redis.tls.as_ref()),
    }
}

/// The password: the first line of its file. It is kept for one probe, and no message contains it.
pub(super) async fn password(secret: &Secret) -> Result<Option<String>, ProbeError> {
    let unusable = |place: &dyn std::fmt::Display, what: &dyn std::fmt::Display| {
        unusable(&format_args!("the password in {place}"), what)
    };
    match secret {
        Secret::None => Ok(None),
        Secret::File(path) => {
            let content = read(path, SECRET_BYTES_MAX).await;
            let content = content.map_err(|error| unusable(&path.display(), &error))?;
            let text = std::str::from_utf8(&content).map_err(|error| unusable(&path.display(), &error))?;
            match text.lines().next().unwrap_or_default() {
                "" => Err(unusable(&path.display(), &"its first line is empty")),
                password => Ok(Some(password.to_owned())),
            }
        }
        Secret::Environment(name) => match env::var(name) {
            Ok(password) if password.is_empty() => Err(unusable(&format_args!("${name}"), &"it is empty")),
            Ok(password) => Ok(Some(password)),
            Err(error) => Err(unusable(&format_args!("${name}"), &error)),
        },
    }
}

/// The certificates of the authority, as in their file.
pub(super) async fn authority(Tls { authority, .. }: &Tls) -> Result<Content, ProbeError> {
    let read = read(authority, AUTHORITY_BYTES_MAX).await;
    read.map_err(|error| unusable(&authority.display(), &error))
}

fn unusable(place: &dyn std::fmt::Display, what: &dyn std::fmt::Display) -> ProbeError {
    ProbeError::Local(Text::new(format_args!("{place}: {what}")))
}

/// The contents of the file at `path`, by a running read or a new one.
async fn read(path: &Path, bytes_max: usize) -> Read {
    let read = || {
        let path = path.to_owned();
        move || config::read_file(&path, bytes_max).map(Content::from).map_err(|error| error.to_string())
    };
    shared(path, read()).await
}

/// The result of `read` for the file at `path`, or of a running read of it.
async fn shared(path: &Path, read: impl FnOnce() -> Read + Send + 'static) -> Read {
    let mut under_way = under_way(path, read)?;
    match timeout(READ_TIME_MAX, under_way.wait_for(Option::is_some)).await {
        Ok(Ok(read)) => read.clone().expect("it was waited for"),
        Ok(Err(_)) => Err("the thread that reads it ended".to_owned()),
        Err(_) => Err(format!(
            "not read within {}: its file system does not respond",
            config::show_duration(READ_TIME_MAX)
        )),
    }
}

fn under_way(
    path: &Path,
    read: impl FnOnce() -> Read + Send + 'static,
) -> Result<watch::Receiver<Option<Read>>, String> {
    let mut reads = reads();
    if let Some(read) = reads.get(path) {
        return Ok(read.clone());
    }
    let (sender, receiver) = watch::channel(None);
    let key = path.to_owned();
    let reader = thread::Builder::new().name("rondel-read".to_owned()).stack_size(STACK_BYTES);
    let spawned = reader.spawn(move || {
        let read = read();
        self::reads().remove(&key);
        sender.send_replace(Some(read));
    });
    spawned.map_err(|error| format!("no thread to read it: {error}"))?;
    reads.insert(path.to_owned(), receiver.clone());
    Ok(receiver)
}

/// Running reads, by path: at most one for each file that a configuration of this process has named.
static READS: Mutex<BTreeMap<PathBuf, watch::Receiver<Option<Read>>>> = Mutex::new(BTreeMap::new());

fn reads() -> MutexGuard<'static, BTreeMap<PathBuf, watch::Receiver<Option<Read>>>> {
    // No operation under the lock leaves it inconsistent.
    READS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The timeout of a read.
const READ_TIME_MAX: Duration = Duration::from_secs(1);

/// The largest password file.
const SECRET_BYTES_MAX: usize = 4096;

/// The largest certificate file; the bundle of a distribution has a quarter of it.
const AUTHORITY_BYTES_MAX: usize = 1 << 20;

/// The stack of a reading thread.
const STACK_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use tokio::task::yield_now;
    use tokio::time::resume;

    use super::{Content, reads, shared};

    /// The clock advances while all tasks wait.
    #[tokio::test(start_paused = true)]
    async fn a_hanging_read_blocks_no_other_and_is_the_only_one_of_its_file() {
        let path = Path::new("/hangs");
        let (release, released) = mpsc::channel::<()>();
        let hangs = move || {
            let _ = released.recv();
            Ok(Content::from(*b"late"))
        };
        let said = shared(path, hangs).await.unwrap_err();
        assert_eq!(said, "not read within 1s: its file system does not respond");
        // Another probe waits for the same read, which continues.
        assert!(reads().contains_key(path));
        let said = shared(path, || panic!("a second read")).await.unwrap_err();
        assert_eq!(said, "not read within 1s: its file system does not respond");
        // Another file is still read. That takes a thread some time.
        resume();
        assert_eq!(shared(Path::new("/other"), || Ok(Content::from(*b"text"))).await.unwrap()[..], *b"text");

        drop(release);
        while reads().contains_key(path) {
            yield_now().await;
        }
        assert_eq!(shared(path, || Ok(Content::from(*b"next"))).await.unwrap()[..], *b"next");
    }
}
