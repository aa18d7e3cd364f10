//! One direction of a connection: bytes of its input go to its output, copied or spliced.
//!
//! ```text
//!                 it streams, and all that was received is sent
//!     Copying ──────────────────────────────────────────────────▶ Splicing
//!     receive > queue > send                               fill > pipe > flush
//!             ◀──────────────────────────────────────────────────
//!                 it calmed down, and the pipe is empty
//!
//!     the input ended  > all of it is delivered > Finish (a FIN is passed on)
//!     the input failed > all of it is delivered > Abort (a reset is passed on)
//! ```
//!
//! What happened goes in by the `on_` functions; what to do next comes out of [`Half::next`], which is asked until
//! it says nothing. It does not know sockets, buffers or pipes: buffers are numbers to it, and a pipe is a `P` that
//! it keeps.

use crate::queue::{Chunk, Chunks, Queue};

/// One direction of a connection, with the pipe `P` that it splices through.
#[derive(Debug)]
pub struct Half<P> {
    input: Input,
    path: Path<P>,
    /// Whether the FIN was passed on.
    finished: bool,
}

/// What a half wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<P> {
    /// Receive from the input; answered by `on_received`, `on_ended`, `on_failed`.
    Receive {
        /// It is the first since the half began to copy: if its peer does not speak first, nothing is there yet.
        first: bool,
    },
    /// End the receive that is armed, answered by its last completion.
    StopReceive,
    /// Send of this what the output takes now, answered by `on_sent`.
    Send {
        /// The front of the queue.
        chunk: Chunk,
        /// Whether more follows at once, the next chunk or the FIN, so that one segment can carry both.
        more: bool,
    },
    /// Answer with [`Half::splice`], if a pipe can be had, or [`Half::copy`].
    TakePipe,
    /// Take this pipe back: it is empty, and the half copies again.
    GivePipe(P),
    /// Splice up to so many bytes from the input into the pipe, answered by `on_filled`.
    Fill(P, u32),
    /// Splice so many bytes from the pipe to the output, answered by `on_flushed`.
    Flush(P, u32),
    /// Say when the input can be read, answered by `on_ready`.
    WaitReadable,
    /// Say when the output can be written, answered by `on_ready`.
    WaitWritable,
    /// Pass the FIN on: the input ended and all of it was delivered.
    Finish,
    /// End the connection: the input failed and all that came before was delivered.
    Abort(Fault),
}

/// How a socket failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer reset the connection.
    Reset,
    /// The peer or the path to it was lost.
    Lost,
}

/// What splicing into or out of the pipe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spliced {
    /// So many bytes moved, at least 1.
    Moved(u32),
    /// Nothing can move now.
    Blocked,
    /// The input ended.
    Ended,
    /// The socket failed.
    Failed(Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    Ended,
    Failed(Fault),
}

#[derive(Debug)]
enum Path<P> {
    Copying(Copying),
    Splicing(Splicing<P>),
}

#[derive(Debug, Default)]
struct Copying {
    receive: Receive,
    /// Whether it has asked to receive.
    received: bool,
    queue: Queue,
    output: Output,
    /// Full buffers received in a row: the sign of a stream.
    full: u8,
}

/// What a half that copies does at its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receive {
    /// It does not receive.
    #[default]
    Off,
    /// It receives what comes.
    Armed,
    /// It was asked to end. Until its last completion came, bytes may still arrive by it, and nothing else
    /// may read the socket.
    Stopping,
}

/// What a half that copies knows of its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// It may take bytes.
    #[default]
    Free,
    /// It took no more, or not all.
    Full,
    /// It is said when it takes more.
    Waiting,
}

#[derive(Debug)]
struct Splicing<P> {
    pipe: P,
    /// Bytes in the pipe.
    filled: u32,
    capacity: u32,
    waiting: Waiting,
    /// The input had no more when last asked.
    input_dry: bool,
    /// The output took no more when last asked.
    output_full: bool,
    /// Small fills in a row: the sign that the stream calmed down.
    small: u8,
    /// The stream was idle for a while: the pipe is better given back.
    quiet: bool,
}

/// What a half that splices waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing.
    No,
    /// That its input can be read.
    Readable,
    /// That its output can be written.
    Writable,
}

/// What a half looks like from outside, for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfView {
    /// It copies.
    Copying {
        /// What it does at its input.
        receive: Receive,
        /// What it knows of its output.
        output: Output,
        /// Bytes that were received and not sent.
        queued: u32,
        /// Whether the FIN was passed on.
        finished: bool,
    },
    /// It splices.
    Splicing {
        /// What it waits for.
        waiting: Waiting,
        /// Bytes in the pipe.
        filled: u32,
    },
}

/// With so many bytes queued, a half stops receiving: the peer's window closes and it is slowed to the speed of the
/// reader. A receive is told to end by itself after as many.
pub const QUEUE_BYTES_MAX: u32 = 64 * 1024;

/// With so many buffers queued, however little they hold, a half stops receiving. What the kernel had
/// already received when it was asked to stop, at most 32 buffers, still comes. While buffers are short
/// ([`Chunks::are_short`]), one is so many.
pub const QUEUE_BUFFERS_MAX: u32 = 8;

/// With so few bytes left in the queue, a half that had stopped receives again.
const QUEUE_BYTES_LOW: u32 = 16 * 1024;

/// After so many full buffers in a row, a half is a stream and wants to splice.
const STREAM_AFTER: u8 = 2;

/// A fill of fewer bytes is small: splicing it costs more than copying it.
const FILL_SMALL: u32 = 16 * 1024;

/// After so many small fills in a row, a half copies again.
const CALM_AFTER: u8 = 8;

impl<P> Default for Half<P> {
    fn default() -> Self {
        Self { input: Input::Open, path: Path::Copying(Copying::default()), finished: false }
    }
}

impl<P: Copy> Half<P> {
    /// What to do next, or nothing until something happens. What is answered counts as begun.
    pub fn next(&mut self, chunks: &Chunks) -> Option<Next<P>> {
        match &mut self.path {
            Path::Copying(copying) => match copying.next(chunks, self.input) {
                Some(next) => Some(next),
                None if copying.is_flushed() => self.next_at_end(),
                None => None,
            },
            Path::Splicing(splicing) => {
                let next = splicing.next(self.input == Input::Open);
                if let Some(Next::GivePipe(_)) = next {
                    self.path = Path::Copying(Copying::default());
                }
                next
            }
        }
    }

    fn next_at_end(&mut self) -> Option<Next<P>> {
        match self.input {
            Input::Ended if !self.finished => {
                self.finished = true;
                Some(Next::Finish)
            }
            Input::Failed(fault) => Some(Next::Abort(fault)),
            Input::Open | Input::Ended => None,
        }
    }

    /// `length` bytes came in `buffer`, which was `full` or not; `more` may come by the same receive.
    pub fn on_received(&mut self, chunks: &mut Chunks, buffer: u16, length: u32, full: bool, more: bool) {
        let copying = self.copying();
        assert!(copying.receive != Receive::Off, "bytes came without a receive");
        copying.queue.push(chunks, buffer, length);
        copying.full = if full { copying.full.saturating_add(1) } else { 0 };
        if !more {
            copying.receive = Receive::Off;
        }
    }

    /// The receive ended without a byte, and the input lives: it was stopped, or no buffer was free.
    pub fn on_stopped(&mut self) {
        let copying = self.copying();
        assert!(copying.receive != Receive::Off);
        copying.receive = Receive::Off;
    }

    /// The receive met the end of the input.
    pub fn on_ended(&mut self) {
        self.copying().receive = Receive::Off;
        self.input = Input::Ended;
    }

    /// The receive met a fault of the input.
    pub fn on_failed(&mut self, fault: Fault) {
        self.copying().receive = Receive::Off;
        self.input = Input::Failed(fault);
    }

    /// Of the bytes given to be sent, `length` went, which may be none; hands back the buffer once it is sent whole.
    pub fn on_sent(&mut self, chunks: &mut Chunks, length: u32) -> Option<u16> {
        let copying = self.copying();
        assert!(copying.output == Output::Free, "bytes were sent without a send");
        let sent = copying.queue.sent(chunks, length);
        if sent.is_none() {
            copying.output = Output::Full;
        }
        sent
    }

    /// A pipe of `capacity` bytes, empty, was had: the half splices.
    pub fn splice(&mut self, pipe: P, capacity: u32) {
        let copying = self.copying();
        assert!(copying.receive == Receive::Off, "a receive could still take bytes past the pipe");
        assert!(copying.is_flushed(), "bytes that came before must be sent before");
        self.path = Path::Splicing(Splicing {
            pipe,
            filled: 0,
            capacity,
            waiting: Waiting::No,
            input_dry: false,
            output_full: false,
            small: 0,
            quiet: false,
        });
    }

    /// There was no pipe: the half goes on copying, and asks again if it still streams.
    pub fn copy(&mut self) {
        self.copying().full = 0;
    }

    /// What a fill came to.
    pub fn on_filled(&mut self, filled: Spliced) {
        let splicing = self.splicing();
        match filled {
            Spliced::Moved(length) => {
                assert!(length > 0 && length <= splicing.capacity);
                splicing.filled += length;
                let small = length < FILL_SMALL;
                splicing.small = if small { splicing.small.saturating_add(1) } else { 0 };
                // So little means that the socket has no more; asking again would only cost a call.
                splicing.input_dry = small;
            }
            Spliced::Blocked => splicing.input_dry = true,
            Spliced::Ended => self.input = Input::Ended,
            Spliced::Failed(fault) => self.input = Input::Failed(fault),
        }
    }

    /// What a flush came to, other than a fault.
    pub fn on_flushed(&mut self, moved: Option<u32>) {
        let splicing = self.splicing();
        match moved {
            Some(length) => {
                assert!(length <= splicing.filled, "more came out of the pipe than went in");
                splicing.filled -= length;
            }
            None => splicing.output_full = true,
        }
    }

    /// The wait ended: the socket is ready, failed, or the wait was cancelled. Trying will tell.
    pub fn on_ready(&mut self) {
        match &mut self.path {
            Path::Copying(copying) => {
                assert!(copying.output == Output::Waiting, "a wait ended that did not begin");
                copying.output = Output::Free;
            }
            Path::Splicing(splicing) => {
                match splicing.waiting {
                    Waiting::No => unreachable!("a wait ended that did not begin"),
                    Waiting::Readable => splicing.input_dry = false,
                    Waiting::Writable => splicing.output_full = false,
                }
                splicing.waiting = Waiting::No;
            }
        }
    }

    /// Nothing moved for a while. Says whether the half gives its pipe back for that, in which case the wait
    /// that it is in must be cancelled.
    pub fn on_quiet(&mut self) -> bool {
        match &mut self.path {
            Path::Splicing(splicing) if splicing.waiting == Waiting::Readable && !splicing.quiet => {
                splicing.quiet = true;
                true
            }
            Path::Splicing(_) | Path::Copying(_) => false,
        }
    }

    /// Takes out a buffer that will not be sent any more; asked until there is none, when the connection has
    /// closed and nothing of it is in flight.
    pub fn discard(&mut self, chunks: &mut Chunks) -> Option<u16> {
        match &mut self.path {
            Path::Copying(copying) => copying.queue.pop(chunks),
            Path::Splicing(_) => None,
        }
    }

    /// Whether the FIN was passed on.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the input ended, and all of it was received.
    pub fn has_ended(&self) -> bool {
        self.input == Input::Ended
    }

    /// Whether it splices.
    pub fn is_splicing(&self) -> bool {
        matches!(self.path, Path::Splicing(_))
    }

    /// The pipe that it splices through, and how many bytes it holds; it is its own until [`Next::GivePipe`].
    pub fn pipe(&self) -> Option<(P, u32)> {
        match &self.path {
            Path::Splicing(splicing) => Some((splicing.pipe, splicing.filled)),
            Path::Copying(_) => None,
        }
    }

    /// What it looks like from outside.
    pub fn view(&self) -> HalfView {
        match &self.path {
            Path::Copying(copying) => HalfView::Copying {
                receive: copying.receive,
                output: copying.output,
                queued: copying.queue.bytes(),
                finished: self.finished,
            },
            Path::Splicing(splicing) => {
                HalfView::Splicing { waiting: splicing.waiting, filled: splicing.filled }
            }
        }
    }

    fn copying(&mut self) -> &mut Copying {
        match &mut self.path {
            Path::Copying(copying) => copying,
            Path::Splicing(_) => unreachable!("an answer to what only a copying half asks"),
        }
    }

    fn splicing(&mut self) -> &mut Splicing<P> {
        match &mut self.path {
            Path::Splicing(splicing) => splicing,
            Path::Copying(_) => unreachable!("an answer to what only a splicing half asks"),
        }
    }
}

impl Copying {
    fn next<P>(&mut self, chunks: &Chunks, input: Input) -> Option<Next<P>> {
        match self.output {
            Output::Free => {
                if let Some(chunk) = self.queue.front(chunks) {
                    let more = self.queue.count() > 1 || input == Input::Ended;
                    return Some(Next::Send { chunk, more });
                }
            }
            Output::Full => {
                self.output = Output::Waiting;
                return Some(Next::WaitWritable);
            }
            Output::Waiting => {}
        }
        if input != Input::Open {
            return None;
        }
        let streams = self.full >= STREAM_AFTER;
        let queued = self.queue.count();
        let overfull = self.queue.bytes() >= QUEUE_BYTES_MAX
            || queued >= QUEUE_BUFFERS_MAX
            || queued > 0 && chunks.are_short();
        match self.receive {
            Receive::Armed if streams || overfull => {
                self.receive = Receive::Stopping;
                Some(Next::StopReceive)
            }
            Receive::Off if streams => self.is_flushed().then_some(Next::TakePipe),
            Receive::Off if self.queue.bytes() <= QUEUE_BYTES_LOW && !overfull => {
                self.receive = Receive::Armed;
                let first = !std::mem::replace(&mut self.received, true);
                Some(Next::Receive { first })
            }
            Receive::Off | Receive::Armed | Receive::Stopping => None,
        }
    }

    fn is_flushed(&self) -> bool {
        self.queue.count() == 0
    }
}

impl<P: Copy> Splicing<P> {
    fn next(&mut self, open: bool) -> Option<Next<P>> {
        if self.waiting != Waiting::No {
            return None;
        }
        if self.filled > 0 {
            // Never read on while the pipe holds bytes: that the pipe is full and that the socket is
            // empty are the same EAGAIN.
            if self.output_full {
                self.waiting = Waiting::Writable;
                return Some(Next::WaitWritable);
            }
            return Some(Next::Flush(self.pipe, self.filled));
        }
        if !open || self.quiet || self.small >= CALM_AFTER {
            return Some(Next::GivePipe(self.pipe));
        }
        if self.input_dry {
            self.waiting = Waiting::Readable;
            return Some(Next::WaitReadable);
        }
        Some(Next::Fill(self.pipe, self.capacity))
    }
}
