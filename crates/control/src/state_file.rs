//! What operators say about addresses survives a restart: one file, which a thread writes whole or not at all.
//!
//! ```text
//!        on_change             due: the thread begins            it has ended
//! clean ───────────▶ changed ─────────────────────▶ writing ─────────────────▶ clean, or changed
//! ```
//!
//! Times in the file are times of the day, as the clock of the process ends with it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use api::{AccessAction, FOR_SECONDS_MAX};
use config::Prefix;
use serde::{Deserialize, Serialize};
use table::{ACCESS_OVERRIDES_MAX, AccessKey, AccessOverride, AccessOverrides};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::monitor::now;
use crate::reading::spawn;
use crate::reloads::{unix_seconds, unix_seconds_at};
use crate::wire;

/// The file, and whether it is what it should be.
#[derive(Debug)]
pub(crate) struct StateFile {
    /// None if nothing survives a restart.
    path: Option<PathBuf>,
    /// Whether something has changed since the last write began.
    changed: bool,
    /// The write that is under way.
    write: Option<oneshot::Receiver<io::Result<()>>>,
    /// Before this time no other write begins.
    rests_until: Instant,
    /// Whether the last write failed, which has been said.
    failed: bool,
    /// Whether changes count. In a drain they do not: the file may be the next process's already.
    closed: bool,
}

/// What the file says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    version: u32,
    access: Vec<Entry>,
}

/// What an operator said about addresses. Times are seconds since 1970.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    prefix: String,
    list: Option<String>,
    action: AccessAction,
    since: u64,
    until: Option<u64>,
    by: String,
    why: String,
}

/// What was read at the start.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) said: Vec<(AccessKey, AccessOverride)>,
    /// How much more there was, and has ended meanwhile.
    pub(crate) ended: usize,
}

impl StateFile {
    /// That in a folder.
    pub(crate) fn new(folder: Option<&Path>, now: Instant) -> Self {
        let path = folder.map(|folder| folder.join(NAME));
        // The first write is at the start, so that a folder that is missing is noticed before it is needed.
        let changed = path.is_some();
        Self { path, changed, write: None, rests_until: now, failed: false, closed: false }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What is said has changed.
    pub(crate) fn on_change(&mut self) {
        self.changed |= self.path.is_some() && !self.closed;
    }

    /// Later changes do not count.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// When the file is to be written; none if it is what it should be, or being written.
    pub(crate) fn due(&self) -> Option<Instant> {
        (self.changed && self.write.is_none()).then_some(self.rests_until)
    }

    /// Begins to write.
    pub(crate) fn write(&mut self, state: State, now: Instant) {
        let Some(path) = self.path.clone() else { return };
        self.changed = false;
        self.rests_until = now + REST;
        self.write = Some(spawn(move || write(&path, &state)));
    }

    /// Waits for the write that is under way, if one is. Returns its result if that is to be logged: it failed, or it
    /// succeeds again.
    ///
    /// It may be dropped and called again at any time.
    pub(crate) async fn next(&mut self) -> Option<Result<(), io::Error>> {
        let Some(write) = &mut self.write else { return std::future::pending().await };
        let written = write.await.unwrap_or_else(|_| Err(io::Error::other("no thread writes it")));
        self.write = None;
        if written.is_err() {
            (self.changed, self.rests_until) = (true, now() + RETRY);
        }
        let failed = std::mem::replace(&mut self.failed, written.is_err());
        (failed != self.failed).then_some(written)
    }

    /// At the end of the process: writes what has changed, for [`END_TIME_MAX`] at most each time.
    pub(crate) async fn finish(&mut self, state: impl Fn() -> State, now: Instant) {
        while self.write.is_some() || self.changed {
            if self.write.is_none() {
                self.write(state(), now);
            }
            match timeout(END_TIME_MAX, self.next()).await {
                Ok(Some(Err(error))) => return log::error!("{}", self.failure(&error)),
                // It has been said.
                Ok(None) if self.failed => return,
                Ok(None | Some(Ok(()))) => {}
                Err(_) => return log::error!("{}", self.failure(&ErrorKind::TimedOut.into())),
            }
        }
    }

    /// That a write failed, as a sentence.
    pub(crate) fn failure(&self, error: &io::Error) -> String {
        let path = self.path.as_deref().unwrap_or(Path::new(NAME)).display();
        let cure = match error.kind() {
            ErrorKind::NotFound => "create the folder, as `StateDirectory=rondel` in the unit does",
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "let the user of the process write into the folder, as `StateDirectory=rondel` in the unit does"
            }
            _ => "it is tried again every 10s",
        };
        format!(
            "state: {path} cannot be written: {error}: a restart forgets what operators say about addresses; {cure}"
        )
    }
}

impl State {
    /// What is said at this time.
    pub(crate) fn of(access: &AccessOverrides, now: Instant) -> Self {
        let entry = |(key, said): (&AccessKey, &AccessOverride)| Entry {
            prefix: key.prefix.to_string(),
            list: key.list.clone(),
            action: wire::action(said.action),
            since: seconds(unix_seconds_at(said.since, now)),
            until: said.until.map(|until| {
                // Rounded up, so that nothing ends early.
                seconds((unix_seconds() + until.saturating_duration_since(now).as_secs_f64()).ceil())
            }),
            by: said.by.clone(),
            why: said.why.clone(),
        };
        Self { version: VERSION, access: access.all().map(entry).collect() }
    }

    /// What of it still holds at `now`, which is `unix_now` in seconds since 1970.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn restore(self, now: Instant, unix_now: u64) -> Result<Restored, String> {
        if self.version != VERSION {
            return Err(format!("it has version {}, and this program reads version {VERSION}", self.version));
        }
        if self.access.len() > ACCESS_OVERRIDES_MAX {
            return Err(format!("it has more than {ACCESS_OVERRIDES_MAX} prefixes"));
        }
        let mut restored = Restored::default();
        for Entry { prefix, list, action, since, until, by, why } in self.access {
            let prefix = Prefix::parse(&prefix).map_err(|(wrong, _)| wrong)?;
            if until.is_some_and(|until| until <= unix_now) {
                restored.ended += 1;
                continue;
            }
            // A clock that was set back makes nothing longer than it can be said.
            let left = |until: u64| Duration::from_secs((until - unix_now).min(FOR_SECONDS_MAX.into()));
            let age = Duration::from_secs(unix_now.saturating_sub(since));
            let said = AccessOverride {
                action: wire::action_of(action),
                since: now.checked_sub(age).unwrap_or(now),
                until: until.map(|until| now + left(until)),
                by,
                why,
            };
            restored.said.push((AccessKey { list, prefix }, said));
        }
        Ok(restored)
    }
}

/// Reads the file at the start, on a thread of its own. A file that cannot be used is renamed, so that the next write
/// does not replace it.
///
/// # Errors
///
/// Why nothing is restored, as a sentence.
pub(crate) async fn restore(path: PathBuf, now: Instant) -> Result<Restored, String> {
    let shown = path.display().to_string();
    let not_used = |why: &dyn std::fmt::Display| {
        format!("state: {shown} is not used: {why}: nothing of what operators said before the start holds")
    };
    let read = spawn(move || read(&path, now));
    match timeout(READ_TIME_MAX, read).await {
        Ok(Ok(read)) => read.map_err(|why| not_used(&why)),
        Ok(Err(_)) => Err(not_used(&"no thread reads it")),
        Err(_) => Err(not_used(&format_args!("it was not read within {READ_TIME_MAX:?}"))),
    }
}

fn read(path: &Path, now: Instant) -> Result<Restored, String> {
    let bytes = match config::read_file(path, BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Restored::default()),
        Err(error) => return Err(error.to_string()),
    };
    let state = serde_json::from_slice::<State>(&bytes).map_err(|error| error.to_string());
    state.and_then(|state| state.restore(now, seconds(unix_seconds()))).map_err(|why| {
        let kept = path.with_extension("json.unreadable");
        match fs::rename(path, &kept) {
            Ok(()) => format!("{why} (it is kept as {})", kept.display()),
            Err(_) => why,
        }
    })
}

/// Writes the file under another name, and gives it its own when all of it is on the disk.
fn write(path: &Path, state: &State) -> io::Result<()> {
    let draft = path.with_extension("json.new");
    let text = serde_json::to_vec_pretty(state)?;
    // Only the user of the process may read which addresses there are.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&text)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of this century")]
fn seconds(unix: f64) -> u64 {
    unix as u64
}

/// Its name in the folder.
const NAME: &str = "state.json";

/// The version of its format.
const VERSION: u32 = 1;

/// The longest file. A hundred thousand prefixes with the longest reasons fit.
const BYTES_MAX: usize = 128 << 20;

/// How long the read at the start may take.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// The time from one write to the next while commands do not stop.
const REST: Duration = Duration::from_secs(1);

/// The time from a write that failed to the next.
const RETRY: Duration = Duration::from_secs(10);

/// How long the process waits at its end for a write.
const END_TIME_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::time::Duration;

    use config::{Action, Prefix};
    use table::{AccessKey, AccessOverride, AccessOverrides};

    use super::{State, StateFile, restore, seconds};
    use crate::monitor::now;
    use crate::reloads::unix_seconds;

    #[tokio::test]
    async fn what_was_said_is_restored_and_what_has_ended_is_not() {
        let folder = folder("restored");
        let begun = now();
        let mut file = StateFile::new(Some(&folder), begun);
        let access = said(&[("203.0.113.7", Some(600)), ("192.0.2.0/24", None), ("198.51.100.1", Some(0))]);
        file.finish(|| State::of(&access, begun), begun).await;
        assert_eq!(file.due(), None);
        // A second later: what has an end is rounded up to a second, so that nothing ends early.
        let state: State = serde_json::from_slice(&fs::read(file.path().unwrap()).unwrap()).unwrap();
        let restored = state.restore(begun, seconds(unix_seconds()) + 1).unwrap();
        assert_eq!(restored.ended, 1);
        let [(fixed, forever), (key, limited)] = &restored.said[..] else { panic!("{restored:?}") };
        assert_eq!((fixed.prefix.to_string().as_str(), forever.until), ("192.0.2.0/24", None));
        assert_eq!((key.prefix.to_string().as_str(), limited.action), ("203.0.113.7", Action::Deny));
        assert_eq!((limited.by.as_str(), limited.why.as_str()), ("uid=0 pid=1", "x"));
        let left = limited.until.unwrap() - begun;
        assert!((Duration::from_secs(598)..=Duration::from_secs(601)).contains(&left), "{left:?}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_kept_and_nothing_is_restored() {
        let folder = folder("unreadable");
        let path = folder.join("state.json");
        assert!(
            restore(path.clone(), now()).await.unwrap().said.is_empty(),
            "there is none at the first start"
        );
        for (text, why) in [
            ("", "EOF"),
            ("{", "EOF"),
            (r#"{"version":2,"access":[]}"#, "version 2"),
            (r#"{"version":1,"access":[],"more":1}"#, "unknown field"),
            (
                r#"{"version":1,"access":[{"prefix":"10.0.0.1/8","list":null,"action":"deny","since":0,"until":null,"by":"","why":""}]}"#,
                "bits beyond its prefix",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = restore(path.clone(), now()).await.unwrap_err();
            assert!(error.contains(why) && error.contains("state.json.unreadable"), "{error}");
            assert!(
                !path.exists() && fs::read_to_string(folder.join("state.json.unreadable")).unwrap() == text
            );
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn changes_share_a_write_and_a_failure_is_said_once() {
        let folder = folder("failing");
        let begun = now();
        let nothing = AccessOverrides::default();
        let mut file = StateFile::new(Some(&folder), begun);
        assert_eq!(file.due(), Some(begun), "it is written at the start");
        fs::remove_dir_all(&folder).unwrap();
        file.write(State::of(&nothing, begun), begun);
        file.on_change();
        assert_eq!(file.due(), None, "it is being written");
        let error = file.next().await.unwrap().unwrap_err();
        assert!(file.failure(&error).contains("create the folder"), "{}", file.failure(&error));
        assert_eq!(file.due(), Some(begun + Duration::from_secs(10)));
        file.write(State::of(&nothing, begun), begun);
        assert!(file.next().await.is_none(), "it is known");
        fs::create_dir(&folder).unwrap();
        file.write(State::of(&nothing, begun), begun);
        assert!(file.next().await.unwrap().is_ok());
        assert_eq!(file.due(), None);
        file.close();
        file.on_change();
        assert_eq!(file.due(), None, "the file may be another process's");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_a_folder_there_is_nothing_to_write() {
        let mut file = StateFile::new(None, now());
        file.on_change();
        assert_eq!((file.due(), file.path()), (None, None));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_longer_than_a_year() {
        let begun = now();
        let state = State::of(&said(&[("203.0.113.7", Some(600))]), begun);
        let restored = state.restore(begun, 1_000_000).unwrap();
        assert_eq!(restored.said[0].1.until.unwrap() - begun, Duration::from_secs(365 * 24 * 3600));
        assert!(seconds(unix_seconds()) > 1_000_000);
    }

    fn said(all: &[(&str, Option<u64>)]) -> AccessOverrides {
        let begun = now();
        let mut access = AccessOverrides::default();
        access.change(all.iter().map(|(prefix, left)| {
            let key = AccessKey { list: None, prefix: Prefix::parse(prefix).unwrap() };
            let until = left.map(|left| begun + Duration::from_secs(left));
            let (by, why) = ("uid=0 pid=1".to_owned(), "x".to_owned());
            (key, Some(AccessOverride { action: Action::Deny, since: begun, until, by, why }))
        }));
        access
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("rondel-state-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }
}
