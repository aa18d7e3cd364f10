//! `/events`: how everything is, told once a second to all who watch.
//!
//! One status is taken and written out for all of them, and none while nobody watches. A *viewer* that does not read has a few of
//! them in its queue, and is then sent away: nobody waits for it.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use api::Status;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::AdminRequest;

/// Whoever watches.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// At most [`VIEWERS_MAX`].
    viewers: Mutex<Vec<Viewer>>,
    /// There is one.
    someone: Notify,
}

#[derive(Debug)]
struct Viewer {
    frames: mpsc::Sender<Bytes>,
    errand: watch::Sender<Errand>,
}

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// To ask once.
    Request,
    /// To watch for as long as it likes.
    Watch,
    /// It watched, and did not read.
    SentAway,
}

/// What one viewer is told, as the body of an answer.
#[derive(Debug)]
pub(crate) struct Frames(mpsc::Receiver<Bytes>);

/// [`VIEWERS_MAX`] watch already.
#[derive(Debug)]
pub(crate) struct Full;

impl Feed {
    /// The connection of this errand watches from now on; it is told `first` what the status is.
    pub(crate) fn watch(&self, first: Status, errand: watch::Sender<Errand>) -> Result<Frames, Full> {
        let (sender, receiver) = mpsc::channel(FRAMES_MAX);
        let frame = format!("retry: {}\n\n{}", RETRY_AFTER.as_millis(), frame(first, 0));
        sender.try_send(frame.into()).expect("an empty queue has room");
        let mut viewers = self.viewers();
        viewers.retain(|viewer| !viewer.frames.is_closed());
        if viewers.len() == VIEWERS_MAX {
            return Err(Full);
        }
        errand.send_replace(Errand::Watch);
        viewers.push(Viewer { frames: sender, errand });
        self.someone.notify_one();
        Ok(Frames(receiver))
    }

    /// Tells all who watch, until the one writer has gone.
    pub(crate) async fn run(self: Arc<Self>, asks: mpsc::Sender<AdminRequest>) {
        loop {
            self.someone.notified().await;
            let mut seconds = interval(INTERVAL);
            seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick is at once, and who has just come was told already.
            seconds.tick().await;
            // Those who came with the first one know of all before it; they find the double by its number.
            let mut told = 0;
            while self.is_watched() {
                seconds.tick().await;
                let Some(status) = ask(&asks).await else { return };
                let last = status.events.last().map_or(told, |record| record.number);
                self.tell(&frame(*status, told).into());
                told = last;
            }
        }
    }

    fn is_watched(&self) -> bool {
        let mut viewers = self.viewers();
        viewers.retain(|viewer| !viewer.frames.is_closed());
        !viewers.is_empty()
    }

    fn tell(&self, frame: &Bytes) {
        self.viewers().retain(|viewer| {
            let told = viewer.frames.try_send(frame.clone()).is_ok();
            if !told {
                viewer.errand.send_replace(Errand::SentAway);
            }
            told
        });
    }

    fn viewers(&self) -> std::sync::MutexGuard<'_, Vec<Viewer>> {
        // Nothing that is done while it is locked leaves it half done.
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(asks: &mpsc::Sender<AdminRequest>) -> Option<Box<Status>> {
    let (sender, answer) = oneshot::channel();
    asks.send(AdminRequest::Status(sender)).await.ok()?;
    answer.await.ok()
}

/// The status without its chronicle, and of that what came after the record of the number `told`; as server-sent events, which
/// are lines, and JSON has none in it.
fn frame(mut status: Status, told: u64) -> String {
    let json = |value: serde_json::Result<String>| value.expect("maps have strings for keys");
    let mut news = std::mem::take(&mut status.events);
    news.retain(|record| record.number > told);
    let mut frame = format!("event: status\ndata: {}\n\n", json(serde_json::to_string(&status)));
    if !news.is_empty() {
        write!(frame, "event: events\ndata: {}\n\n", json(serde_json::to_string(&news)))
            .expect("a String takes everything");
    }
    frame
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// How many may watch. Who comes at the bound is told so.
pub(crate) const VIEWERS_MAX: usize = 16;

/// What waits to be read by one viewer. At the bound it is sent away.
const FRAMES_MAX: usize = 8;

/// How often all are told. It also shows a viewer that there is somebody.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long after it lost contact a viewer is to come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::{Errand, FRAMES_MAX, Feed, Full, VIEWERS_MAX, frame};
    use crate::samples::status;

    #[test]
    fn a_frame_has_what_is_new_of_the_chronicle() {
        let whole = frame(status(), 0);
        assert!(whole.contains("\"events\":[]"), "{whole}");
        assert!(whole.contains("\n\nevent: events\ndata: [{\"number\":1,"), "{whole}");
        assert!(whole.ends_with("]\n\n") && whole.lines().count() == 6, "{whole}");
        assert!(!frame(status(), 1).contains("event: events"));
    }

    #[test]
    fn one_too_many_is_turned_away_until_another_leaves() {
        let feed = Feed::default();
        let errand = || watch::channel(Errand::Request).0;
        let mut watching: Vec<_> =
            (0..VIEWERS_MAX).map(|_| feed.watch(status(), errand()).unwrap()).collect();
        assert!(matches!(feed.watch(status(), errand()), Err(Full)));
        watching.pop();
        assert!(feed.watch(status(), errand()).is_ok());
    }

    #[test]
    fn who_does_not_read_is_sent_away_and_no_other() {
        let feed = Feed::default();
        let (idle, idle_errand) = watch::channel(Errand::Request);
        let (busy, busy_errand) = watch::channel(Errand::Request);
        let _idle = feed.watch(status(), idle).unwrap();
        let mut reads = feed.watch(status(), busy).unwrap();
        for _ in 0..FRAMES_MAX {
            assert!(reads.0.try_recv().is_ok());
            feed.tell(&"x".into());
        }
        assert_eq!(*idle_errand.borrow(), Errand::SentAway);
        assert_eq!(*busy_errand.borrow(), Errand::Watch);
        assert!(feed.is_watched());
        drop(reads);
        assert!(!feed.is_watched());
    }
}
