//! Whether the file of the configuration, or a file of prefixes that it names, has changed since it was read, so that
//! a status can say so before a restart finds out.
//!
//! Every [`INTERVAL`] a thread asks the file system for the identities of the files, and reads them if one has
//! changed.
//! A file system that hangs holds one such thread; there is no other until that has ended.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::FileDifference;
use config::Config;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::failure::Failure;
use crate::reading::spawn;

/// The state of the checks.
#[derive(Debug)]
pub(crate) struct FileCheck {
    /// None if there is no file.
    path: Option<PathBuf>,
    /// The files of prefixes that the config in force names.
    named: Vec<PathBuf>,
    due: Instant,
    /// The check that is in progress.
    check: Option<oneshot::Receiver<Option<Changed>>>,
    /// The files that were read last; none if they are to be read again.
    seen: Seen,
    difference: Option<FileDifference>,
}

/// The file of the configuration, and those that it names.
type Seen = BTreeMap<PathBuf, Identity>;

#[derive(Debug)]
struct Changed {
    seen: Seen,
    read: Result<Box<Config>, Failure>,
}

/// Tells versions of a file apart. A file that was written again has another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileCheck {
    pub(crate) fn new(path: Option<PathBuf>, config: &Config) -> Self {
        let named = config.prefix_files().map(Path::to_owned).collect();
        Self { named, path, due: Instant::now() + INTERVAL, check: None, seen: Seen::new(), difference: None }
    }

    /// Waits until the file has changed, and returns what it says now. Without a file it never returns.
    ///
    /// It may be dropped and called again at any time.
    pub(crate) async fn next(&mut self) -> Result<Box<Config>, Failure> {
        let Some(path) = &self.path else { return std::future::pending().await };
        loop {
            if let Some(check) = &mut self.check {
                let changed = check.await;
                self.check = None;
                self.due = Instant::now() + INTERVAL;
                if let Ok(Some(Changed { seen, read })) = changed {
                    self.seen = seen;
                    return read;
                }
            } else {
                sleep_until(self.due).await;
                let (path, seen, named) = (path.clone(), self.seen.clone(), self.named.clone());
                self.check = Some(spawn(move || check(&path, &seen, &named)));
            }
        }
    }

    /// A reload has put the file in force, which is this. What a check that is in progress finds is compared with it.
    pub(crate) fn on_loaded(&mut self, config: &Config) {
        self.named = config.prefix_files().map(Path::to_owned).collect();
        self.difference = None;
        self.seen = Seen::new();
    }

    /// Sets the result of the last check. The time stays that at which a difference was noticed first.
    pub(crate) fn set_difference(&mut self, difference: Option<FileDifference>) {
        let before = self.difference.as_ref().map(|before| before.since);
        self.difference = difference.map(|it| FileDifference { since: before.unwrap_or(it.since), ..it });
    }

    /// How the file differs from the config in force; none if it does not, or the last reload was just now.
    pub(crate) fn difference(&self) -> Option<&FileDifference> {
        self.difference.as_ref()
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

/// What the file says, unless all files are those that were `seen`.
fn check(path: &Path, seen: &Seen, named: &[PathBuf]) -> Option<Changed> {
    // Before they are read, so that a change meanwhile is noticed the next time.
    let identity = match Identity::at(path) {
        Ok(identity) => identity,
        Err(error) => return Some(Changed { seen: Seen::new(), read: Err(missing(path, &error)) }),
    };
    let mut now: Seen =
        seen.keys().chain(named).filter_map(|file| Some((file.clone(), Identity::at(file).ok()?))).collect();
    now.insert(path.to_owned(), identity);
    if now == *seen {
        return None;
    }
    let read = Config::load(path).map(Box::new).map_err(Failure::Config);
    for file in read.iter().flat_map(|config| config.prefix_files()) {
        // Of a file that is named for the first time, the identity after its read has to do.
        if let (false, Ok(identity)) = (now.contains_key(file), Identity::at(file)) {
            now.insert(file.to_owned(), identity);
        }
    }
    Some(Changed { seen: now, read })
}

fn missing(path: &Path, error: &io::Error) -> Failure {
    Failure::Runtime(format!("{}: {error}", path.display()))
}

impl Identity {
    fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// How often the file is checked. A status may be this old about it.
const INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::FileCheck;
    use crate::failure::Failure;

    /// The clock advances by itself while a check waits for its time.
    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_when_it_has_changed_and_when_it_is_missing() {
        let path = std::env::temp_dir().join(format!("rondel-file-check-{}.yaml", std::process::id()));
        let text = |name: &str| {
            format!(
                "listeners: [{{ address: '127.0.0.1:80', pool: {name} }}]\n\
                 pools: [{{ name: {name}, backends: [{{ address: '10.0.0.1:80' }}] }}]\n"
            )
        };
        fs::write(&path, text("web")).unwrap();
        let mut check =
            FileCheck::new(Some(path.clone()), &crate::reload::tests::config(&["web 127.0.0.1:80"]));
        assert_eq!(check.next().await.unwrap().pools[0].name, "web");
        fs::write(&path, text("other")).unwrap();
        assert_eq!(check.next().await.unwrap().pools[0].name, "other");
        fs::write(&path, "pools: nonsense\n").unwrap();
        assert!(matches!(check.next().await, Err(Failure::Config(_))));
        fs::remove_file(&path).unwrap();
        let Err(Failure::Runtime(text)) = check.next().await else { panic!("there is no file") };
        assert!(text.ends_with(": No such file or directory (os error 2)"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_of_prefixes_is_noticed_as_well() {
        let path = std::env::temp_dir().join(format!("rondel-file-check-access-{}.yaml", std::process::id()));
        let blocked = path.with_extension("cidr");
        let text = format!(
            "access: [{{ name: all, rules: [{{ deny_file: {} }}] }}]\n\
             listeners: [{{ address: '127.0.0.1:80', pool: web, access: all }}]\n\
             pools: [{{ name: web, backends: [{{ address: '10.0.0.1:80' }}] }}]\n",
            blocked.display()
        );
        fs::write(&path, text).unwrap();
        fs::write(&blocked, "192.0.2.0/24\n").unwrap();
        let mut check =
            FileCheck::new(Some(path.clone()), &crate::reload::tests::config(&["web 127.0.0.1:80"]));
        let prefixes = |read: Result<Box<config::Config>, Failure>| read.unwrap().access[0].prefixes();
        assert_eq!(prefixes(check.next().await), 1);
        fs::write(&blocked, "192.0.2.0/24\n198.51.100.0/24\n").unwrap();
        assert_eq!(prefixes(check.next().await), 2);
        fs::write(&blocked, "nonsense\n").unwrap();
        assert!(matches!(check.next().await, Err(Failure::Config(_))));
        fs::write(&blocked, "192.0.2.0/24\n").unwrap();
        assert_eq!(prefixes(check.next().await), 1);
        fs::remove_file(&blocked).unwrap();
        assert!(matches!(check.next().await, Err(Failure::Config(_))));
        fs::remove_file(&path).unwrap();
    }
}
