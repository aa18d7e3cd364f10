//! Reads the file of the configuration on a thread of its own: a file system may hang, and the one writer must not.
//!
//! ```text
//!        ask                          the read ends
//! idle ───────▶ reading, for requests ──────────────▶ Read: idle, or reading again if requested meanwhile
//!   ▲               │ READ_TIME_MAX
//!   │               ▼
//!   └────────── hanging: requests are refused
//!     Late
//! ```
//!
//! One read is under way at most. Requests that come while one is count as one, and get a read of their own,
//! because the file may have changed since.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use access_log::{OpenError, Prepared};
use api::Answer;
use config::{AdminToken, Config, LogTarget, Warning};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;

/// Where the result of a reload goes.
pub(crate) type Requester = oneshot::Sender<Answer>;

/// What was read: the configuration, and what it names that has to be opened.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The access log, if it is another than before.
    pub(crate) access_log: Option<Prepared>,
    /// The token of the admin interface, if clients need one, and a warning about its file.
    pub(crate) token: Option<(AdminToken, Option<Warning>)>,
}

/// The read that is under way, if one is.
pub(crate) struct Reading<T = Loaded>(Option<UnderWay<T>>);

struct UnderWay<T> {
    begun: Instant,
    read: oneshot::Receiver<Result<T, Failure>>,
    requesters: Vec<Requester>,
    /// Those that requested another read since it began; none if none did.
    next: Option<Vec<Requester>>,
    hangs: bool,
}

/// The result of a request to read.
pub(crate) enum Asked {
    /// A read begins.
    Begun,
    /// One is under way, and another follows.
    Queued,
    /// One has been under way for so long that it hangs. Returns the requester.
    Hangs(Duration, Option<Requester>),
}

/// The result of a read.
pub(crate) enum Done<T = Loaded> {
    /// It ended in time.
    Read {
        /// What was read.
        read: Result<T, Failure>,
        /// When it began.
        begun: Instant,
        /// Those that wait for it.
        requesters: Vec<Requester>,
        /// Those that wait for another one; none if there is to be none.
        next: Option<Vec<Requester>>,
    },
    /// It did not end in time, and goes on. These wait for it.
    Overdue(Vec<Requester>),
    /// One that hung has ended after so long. What it read is not used: its requests were answered.
    Late(Duration),
}

impl<T: Send + 'static> Reading<T> {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    /// Has `read` done, on a thread of its own, unless another read is under way.
    pub(crate) fn ask(
        &mut self,
        requesters: impl IntoIterator<Item = Requester>,
        read: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Asked {
        let requesters = requesters.into_iter();
        match &mut self.0 {
            None => {
                let (begun, requesters) = (Instant::now(), requesters.collect());
                self.0 = Some(UnderWay { begun, read: spawn(read), requesters, next: None, hangs: false });
                Asked::Begun
            }
            Some(UnderWay { hangs: true, begun, .. }) => Asked::Hangs(begun.elapsed(), requesters.last()),
            Some(UnderWay { next, .. }) => {
                next.get_or_insert_default().extend(requesters);
                Asked::Queued
            }
        }
    }

    /// Waits until there is something to say of the read that is under way.
    ///
    /// It may be dropped and called again at any time.
    pub(crate) async fn next(&mut self) -> Done<T> {
        let Some(under_way) = &mut self.0 else { return std::future::pending().await };
        let begun = under_way.begun;
        if under_way.hangs {
            let _ = (&mut under_way.read).await;
            self.0 = None;
            return Done::Late(begun.elapsed());
        }
        let read = timeout_at(begun + READ_TIME_MAX, &mut under_way.read).await;
        let requesters = std::mem::take(&mut under_way.requesters);
        let next = under_way.next.take();
        let Ok(read) = read else {
            under_way.hangs = true;
            return Done::Overdue(requesters.into_iter().chain(next.into_iter().flatten()).collect());
        };
        self.0 = None;
        let read = read.unwrap_or_else(|_| Err(Failure::Runtime("no thread reads the file".to_owned())));
        Done::Read { read, begun, requesters, next }
    }

    /// The requests that wait, to be refused.
    pub(crate) fn give_up(&mut self) -> Vec<Requester> {
        let Some(under_way) = &mut self.0 else { return Vec::new() };
        let requesters = std::mem::take(&mut under_way.requesters);
        requesters.into_iter().chain(under_way.next.take().into_iter().flatten()).collect()
    }
}

/// What reads the configuration at `path` and the token that it names, and opens its access log if that is another
/// than `before`.
pub(crate) fn load(
    path: PathBuf,
    before: Option<config::AccessLog>,
) -> impl FnOnce() -> Result<Loaded, Failure> + Send + 'static {
    move || {
        let config = Config::load(&path).map_err(Failure::Config)?;
        if let Some(config::AccessLog { to: to @ LogTarget::File(log), .. }) = &config.access_log
            && is_same(&path, log)
        {
            let error = io::Error::other("it is the file of the configuration");
            return Err(Failure::AccessLog(OpenError { to: to.to_string(), error }));
        }
        let token = config.admin.token_file.as_deref().map(AdminToken::read).transpose()?;
        let is_other = config.access_log != before;
        let access_log = is_other.then(|| Prepared::new(config.access_log.as_ref())).transpose()?;
        Ok(Loaded { config, access_log, token })
    }
}

/// Whether both paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// A thread, and what it says at its end. The process does not wait for it.
pub(crate) fn spawn<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("rondel-read".to_owned()).spawn(move || {
        // It fails at the end of the process.
        let _ = sender.send(read());
    });
    if let Err(error) = spawned {
        log::error!("no thread to read the file with: {error}");
    }
    receiver
}

/// How long the file may take. A command waits for twice as long.
pub(crate) const READ_TIME_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::{Asked, Done, READ_TIME_MAX, Reading, load};
    use api::Answer;

    /// While a read hangs the clock goes on by itself, because all else waits.
    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_is_given_up_and_the_next_request_is_refused_at_once() {
        let mut reading = Reading::new();
        let (release, released) = mpsc::channel::<()>();
        let hangs = move || {
            let _ = released.recv();
            Ok("late")
        };
        let [first, second, third] = [(); 3].map(|()| oneshot::channel::<Answer>().0);
        assert!(matches!(reading.ask([first], hangs), Asked::Begun));
        assert!(matches!(reading.ask([second], || panic!("a second read")), Asked::Queued));
        let Done::Overdue(requesters) = reading.next().await else { panic!("it hangs") };
        assert_eq!(requesters.len(), 2);
        let asked = reading.ask([third], || panic!("a second read"));
        assert!(matches!(asked, Asked::Hangs(since, Some(_)) if since >= READ_TIME_MAX));

        // What it reads in the end is not used, and the next request reads again.
        drop(release);
        assert!(matches!(reading.next().await, Done::Late(_)));
        assert!(matches!(reading.ask([], || Ok("next")), Asked::Begun));
    }

    #[test]
    fn an_access_log_is_not_written_into_the_configuration() {
        let path = std::env::temp_dir().join(format!("rondel-reading-{}.yaml", std::process::id()));
        let text = format!(
            "access_log: {}\nlisteners: [{{ address: '127.0.0.1:80', pool: web }}]\n\
             pools: [{{ name: web, backends: [{{ address: '10.0.0.1:80' }}] }}]\n",
            path.display()
        );
        std::fs::write(&path, &text).unwrap();
        let refused = load(path.clone(), None)().err().unwrap().to_string();
        assert!(refused.contains("it is the file of the configuration"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn requests_that_come_while_a_read_is_under_way_share_the_next_one() {
        let mut reading = Reading::new();
        let (release, released) = mpsc::channel();
        let waits = move || Ok(released.recv().unwrap());
        let requester = || oneshot::channel::<Answer>().0;
        assert!(matches!(reading.ask([requester()], waits), Asked::Begun));
        for _ in 0..3 {
            assert!(matches!(reading.ask([requester()], || Ok("other")), Asked::Queued));
        }
        release.send("first").unwrap();
        let Done::Read { read, requesters, next, .. } = reading.next().await else { panic!("it was read") };
        assert_eq!((read.unwrap(), requesters.len(), next.unwrap().len()), ("first", 1, 3));
    }

    #[tokio::test]
    async fn waiting_requests_are_returned_when_the_read_is_given_up() {
        let mut reading = Reading::new();
        let (release, released) = mpsc::channel();
        let waits = move || Ok(released.recv().is_ok());
        reading.ask([oneshot::channel::<Answer>().0], waits);
        reading.ask([oneshot::channel::<Answer>().0], || Ok(true));
        assert_eq!(reading.give_up().len(), 2);
        release.send(()).unwrap();
        let Done::Read { requesters, next, .. } = reading.next().await else { panic!("it was read") };
        assert!(requesters.is_empty() && next.is_none());
    }
}
