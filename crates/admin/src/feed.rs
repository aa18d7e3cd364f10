//! `/events`: a stream of the status, once a second, to every viewer.
//!
//! Once a second the feed requests one status for all viewers; without viewers it requests none. Each viewer has
//! a queue of [`FRAMES_MAX`] frames. A viewer whose queue is full is disconnected, so it never delays the others.

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

use crate::request::AdminRequest;

/// The viewers of the stream.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// At most [`VIEWERS_MAX`].
    viewers: Mutex<Vec<Viewer>>,
    /// A viewer has subscribed.
    subscribed: Notify,
}

#[derive(Debug)]
struct Viewer {
    frames: mpsc::Sender<Bytes>,
    purpose: watch::Sender<Purpose>,
}

/// The purpose of a connection, which decides how long it may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// One request.
    Request,
    /// The stream, without a time limit.
    Stream,
    /// The stream of a viewer that did not read: the connection is to be closed.
    Lagged,
}

/// The frames of one viewer, as the body of a response.
#[derive(Debug)]
pub(crate) struct Frames(mpsc::Receiver<Bytes>);

/// The feed has [`VIEWERS_MAX`] viewers already.
#[derive(Debug)]
pub(crate) struct Full;

impl Feed {
    /// Subscribes a connection to the stream, whose first frame is `first`.
    pub(crate) fn subscribe(&self, first: Status, purpose: watch::Sender<Purpose>) -> Result<Frames, Full> {
        let (sender, receiver) = mpsc::channel(FRAMES_MAX);
        let frame = format!("retry: {}\n\n{}", RETRY_AFTER.as_millis(), frame(first, 0));
        sender.try_send(frame.into()).expect("an empty queue has room");
        let mut viewers = self.viewers();
        viewers.retain(|viewer| !viewer.frames.is_closed());
        if viewers.len() == VIEWERS_MAX {
            return Err(Full);
        }
        purpose.send_replace(Purpose::Stream);
        viewers.push(Viewer { frames: sender, purpose });
        self.subscribed.notify_one();
        Ok(Frames(receiver))
    }

    /// Sends the status to all viewers once a second, until control has ended.
    pub(crate) async fn run(self: Arc<Self>, requests: mpsc::Sender<AdminRequest>) {
        loop {
            self.subscribed.notified().await;
            if self.send_to_viewers(&requests).await.is_none() {
                return;
            }
        }
    }

    /// Sends the status to all viewers once a second while there are viewers. `None`: control has ended.
    async fn send_to_viewers(&self, requests: &mpsc::Sender<AdminRequest>) -> Option<()> {
        let mut seconds = interval(INTERVAL);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first viewer has got the events before it subscribed, and skips those with a known number.
        let mut last_sent = 0;
        // The first tick completes immediately; the new viewer has its first frame already.
        seconds.tick().await;
        loop {
            seconds.tick().await;
            // After the tick, so that no status is requested for a viewer that has left since the last one.
            if !self.has_viewers() {
                return Some(());
            }
            let status = request_status(requests).await?;
            let last = status.events.last().map_or(last_sent, |event| event.number);
            self.send(&frame(*status, last_sent).into());
            last_sent = last;
        }
    }

    fn has_viewers(&self) -> bool {
        let mut viewers = self.viewers();
        viewers.retain(|viewer| !viewer.frames.is_closed());
        !viewers.is_empty()
    }

    fn send(&self, frame: &Bytes) {
        self.viewers().retain(|viewer| {
            let is_sent = viewer.frames.try_send(frame.clone()).is_ok();
            if !is_sent {
                viewer.purpose.send_replace(Purpose::Lagged);
            }
            is_sent
        });
    }

    fn viewers(&self) -> std::sync::MutexGuard<'_, Vec<Viewer>> {
        // Every critical section leaves the list consistent.
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn request_status(requests: &mpsc::Sender<AdminRequest>) -> Option<Box<Status>> {
    let (sender, answer) = oneshot::channel();
    requests.send(AdminRequest::Status(sender)).await.ok()?;
    answer.await.ok()
}

/// Server-sent events: the status without its events, and the events with a number above `last_sent`. Each is one
/// line of JSON.
fn frame(mut status: Status, last_sent: u64) -> String {
    let json = |value: serde_json::Result<String>| value.expect("maps have strings for keys");
    let mut events = std::mem::take(&mut status.events);
    events.retain(|event| event.number > last_sent);
    let mut frame = format!("event: status\ndata: {}\n\n", json(serde_json::to_string(&status)));
    if !events.is_empty() {
        write!(frame, "event: events\ndata: {}\n\n", json(serde_json::to_string(&events)))
            .expect("writing to a String does not fail");
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

/// The maximum number of viewers. Further ones get an error.
pub(crate) const VIEWERS_MAX: usize = 16;

/// The maximum number of frames that a viewer has not read. A viewer that exceeds it is disconnected.
const FRAMES_MAX: usize = 8;

/// The interval of frames, by which a viewer also detects a lost connection.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a viewer waits before it reconnects.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::sync::{mpsc, watch};

    use super::{FRAMES_MAX, Feed, Full, Purpose, VIEWERS_MAX, frame};
    use crate::request::AdminRequest;
    use crate::samples::status;

    #[test]
    fn a_frame_has_the_new_events() {
        let whole = frame(status(), 0);
        assert!(whole.contains("\"events\":[]"), "{whole}");
        assert!(whole.contains("\n\nevent: events\ndata: [{\"number\":1,"), "{whole}");
        assert!(whole.ends_with("]\n\n") && whole.lines().count() == 6, "{whole}");
        assert!(!frame(status(), 1).contains("event: events"));
    }

    #[test]
    fn a_viewer_beyond_the_limit_is_refused_until_another_leaves() {
        let feed = Feed::default();
        let purpose = || watch::channel(Purpose::Request).0;
        let mut viewers: Vec<_> =
            (0..VIEWERS_MAX).map(|_| feed.subscribe(status(), purpose()).unwrap()).collect();
        assert!(matches!(feed.subscribe(status(), purpose()), Err(Full)));
        viewers.pop();
        assert!(feed.subscribe(status(), purpose()).is_ok());
    }

    #[test]
    fn only_a_viewer_that_does_not_read_is_disconnected() {
        let feed = Feed::default();
        let (idle, idle_purpose) = watch::channel(Purpose::Request);
        let (busy, busy_purpose) = watch::channel(Purpose::Request);
        let _idle = feed.subscribe(status(), idle).unwrap();
        let mut reads = feed.subscribe(status(), busy).unwrap();
        for _ in 0..FRAMES_MAX {
            assert!(reads.0.try_recv().is_ok());
            feed.send(&"x".into());
        }
        assert_eq!(*idle_purpose.borrow(), Purpose::Lagged);
        assert_eq!(*busy_purpose.borrow(), Purpose::Stream);
        assert!(feed.has_viewers());
        drop(reads);
        assert!(!feed.has_viewers());
    }
    #[tokio::test]
    async fn no_status_is_requested_after_the_last_viewer_has_left() {
        let feed = Feed::default();
        let (sender, mut requests) = mpsc::channel(1);
        let mut viewer = feed.subscribe(status(), watch::channel(Purpose::Request).0).unwrap();
        let mut sends = pin!(feed.send_to_viewers(&sender));
        for _ in 0..2 {
            // The first frame is that of the subscription.
            let frame = async {
                viewer.0.recv().await.unwrap();
                let Some(AdminRequest::Status(answer)) = requests.recv().await else { panic!("a status") };
                answer.send(Box::new(status())).unwrap();
            };
            tokio::select! {
                _ = &mut sends => panic!("there is a viewer"),
                () = frame => {}
            }
        }
        drop(viewer);
        tokio::select! {
            ended = &mut sends => assert_eq!(ended, Some(())),
            _ = requests.recv() => panic!("a status is requested for no viewer"),
        }
    }
}
