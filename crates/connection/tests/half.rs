//! A half against a kernel that does what kernels may: whatever the order and the sizes, the bytes that come out
//! are those that went in, and the FIN comes after the last of them.

use connection::{Chunk, Chunks, Fault, Half, Next, Spliced};
use proptest::collection::vec;
use proptest::prelude::*;

const BUFFER: u32 = 16 * 1024;
/// The pipe, by number, and its capacity.
const PIPE: u8 = 7;
const CAPACITY: u32 = 256 * 1024;
const BUFFERS: u16 = 64;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn delivers_all_of_it_in_order(
        bursts in vec(prop_oneof![1_u32..200, 1_u32..40_000, 100_000_u32..2_000_000], 1..12),
        seed in any::<u64>(),
        resets in any::<bool>(),
    ) {
        let mut world = World::new(bursts, seed, resets);
        let mut steps = 0;
        while world.step() {
            steps += 1;
            prop_assert!(steps < 500_000, "the half makes no progress: {world:?}");
        }
        prop_assert_eq!(world.delivered, world.total);
        prop_assert_eq!(world.end, Some(if resets { Next::Abort(Fault::Reset) } else { Next::Finish }));
        prop_assert_eq!(world.free.len(), usize::from(BUFFERS), "every buffer is back");
        prop_assert!(!world.pipe_taken, "the pipe is back");
    }
}

/// In the long lane, a thousand times as many. What failed once is kept in `half.proptest-regressions`, and tried
/// first.
fn cases() -> u32 {
    if std::env::var_os("RONDEL_LONG").is_some() { 2_000_000 } else { 2000 }
}

#[test]
fn a_stream_is_spliced() {
    let mut world = World::new(vec![2_000_000], 1, false);
    while world.step() {}
    assert!(world.spliced > 1_000_000, "{} bytes were spliced", world.spliced);
}

#[test]
fn one_that_calms_down_is_copied_again() {
    let (mut half, chunks) = splicing();
    for _ in 0..8 {
        assert_eq!(half.next(&chunks), Some(Next::Fill(PIPE, CAPACITY)));
        half.on_filled(Spliced::Moved(10));
        assert_eq!(half.next(&chunks), Some(Next::Flush(PIPE, 10)));
        half.on_flushed(Some(10));
        match half.next(&chunks) {
            Some(Next::WaitReadable) => half.on_ready(),
            next => assert_eq!(next, Some(Next::GivePipe(PIPE))),
        }
    }
    assert!(!half.is_splicing());
    assert_eq!(half.next(&chunks), Some(Next::Receive { first: true }));
}

#[test]
fn an_idle_one_gives_its_pipe_back() {
    let (mut half, chunks) = splicing();
    assert_eq!(half.next(&chunks), Some(Next::Fill(PIPE, CAPACITY)));
    half.on_filled(Spliced::Blocked);
    assert_eq!(half.next(&chunks), Some(Next::WaitReadable));
    assert!(half.on_quiet());
    assert!(!half.on_quiet(), "once is enough");
    assert_eq!(half.next(&chunks), None, "the wait is in flight still");
    half.on_ready();
    assert_eq!(half.next(&chunks), Some(Next::GivePipe(PIPE)));
    assert_eq!(half.next(&chunks), Some(Next::Receive { first: true }));
}

#[test]
fn a_full_output_stops_the_filling() {
    let (mut half, chunks) = splicing();
    assert_eq!(half.next(&chunks), Some(Next::Fill(PIPE, CAPACITY)));
    half.on_filled(Spliced::Moved(100_000));
    assert_eq!(half.next(&chunks), Some(Next::Flush(PIPE, 100_000)));
    half.on_flushed(Some(60_000));
    assert_eq!(half.next(&chunks), Some(Next::Flush(PIPE, 40_000)));
    half.on_flushed(None);
    assert_eq!(half.next(&chunks), Some(Next::WaitWritable));
    assert!(!half.on_quiet(), "bytes in the pipe stay there until they can go");
    half.on_ready();
    assert_eq!(half.next(&chunks), Some(Next::Flush(PIPE, 40_000)));
}

#[test]
fn a_reader_that_stops_stops_the_receiving() {
    let mut half = Half::<u8>::default();
    let mut chunks = Chunks::new(BUFFERS.into());
    assert_eq!(half.next(&chunks), Some(Next::Receive { first: true }));
    for buffer in 0..8 {
        half.on_received(&mut chunks, buffer, 1, false, true);
        if buffer == 0 {
            assert_eq!(half.next(&chunks), Some(send(0, false)));
            assert_eq!(half.on_sent(&mut chunks, 0), None);
            assert_eq!(half.next(&chunks), Some(Next::WaitWritable));
        }
    }
    assert_eq!(half.next(&chunks), Some(Next::StopReceive));
    assert_eq!(half.next(&chunks), None, "asked once");
    half.on_stopped();
    assert_eq!(half.next(&chunks), None, "nothing moves until the reader reads");
    half.on_ready();
    for buffer in 0..8 {
        assert_eq!(
            half.next(&chunks),
            Some(send(buffer, buffer < 7)),
            "all but the last are followed by another"
        );
        assert_eq!(half.on_sent(&mut chunks, 1), Some(buffer));
    }
    assert_eq!(half.next(&chunks), Some(Next::Receive { first: false }));
}

#[test]
fn the_last_bytes_and_the_fin_go_together() {
    let mut half = Half::<u8>::default();
    let mut chunks = Chunks::new(BUFFERS.into());
    assert_eq!(half.next(&chunks), Some(Next::Receive { first: true }));
    half.on_received(&mut chunks, 0, 1, false, true);
    half.on_ended();
    assert_eq!(half.next(&chunks), Some(send(0, true)));
    assert_eq!(half.on_sent(&mut chunks, 1), Some(0));
    assert_eq!(half.next(&chunks), Some(Next::Finish));
    assert_eq!(half.next(&chunks), None);
}

/// Readers that stop must not take the buffers of those that do not.
#[test]
fn while_buffers_are_short_a_half_with_some_queued_gets_no_more() {
    let mut chunks = Chunks::new(4);
    let (mut stuck, mut other) = (Half::<u8>::default(), Half::<u8>::default());
    assert_eq!(stuck.next(&chunks), Some(Next::Receive { first: true }));
    stuck.on_received(&mut chunks, 0, 1, false, true);
    assert_eq!(stuck.next(&chunks), Some(send(0, false)));
    assert_eq!(stuck.on_sent(&mut chunks, 0), None);
    assert_eq!(stuck.next(&chunks), Some(Next::WaitWritable));
    stuck.on_received(&mut chunks, 1, 1, false, true);
    assert_eq!(stuck.next(&chunks), None, "half of the buffers are left");
    stuck.on_received(&mut chunks, 2, 1, false, true);
    assert_eq!(stuck.next(&chunks), Some(Next::StopReceive));
    stuck.on_stopped();
    assert_eq!(stuck.next(&chunks), None);
    // Another one receives and sends.
    assert_eq!(other.next(&chunks), Some(Next::Receive { first: true }));
    other.on_received(&mut chunks, 3, 1, false, true);
    assert_eq!(other.next(&chunks), Some(send(3, false)));
    assert_eq!(other.on_sent(&mut chunks, 1), Some(3));
    assert_eq!(other.next(&chunks), None, "it receives on");
    // And the first, once its reader has read.
    stuck.on_ready();
    for buffer in 0..3 {
        assert_eq!(stuck.next(&chunks), Some(send(buffer, buffer < 2)));
        assert_eq!(stuck.on_sent(&mut chunks, 1), Some(buffer));
    }
    assert_eq!(stuck.next(&chunks), Some(Next::Receive { first: false }));
}

/// One byte, whole.
fn send(buffer: u16, more: bool) -> Next<u8> {
    Next::Send { chunk: Chunk { buffer, start: 0, length: 1 }, more }
}

fn splicing() -> (Half<u8>, Chunks) {
    let mut half = Half::<u8>::default();
    half.splice(PIPE, CAPACITY);
    (half, Chunks::new(1))
}

/// A kernel with one input and one output, driven by chance.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a kernel's state is many small things")]
struct World {
    half: Half<u8>,
    chunks: Chunks,
    /// What is yet to come from the peer, burst by burst, the last first.
    bursts: Vec<u32>,
    /// Bytes that came and were not read.
    readable: u64,
    /// Bytes that were read: where the next one stands in the stream.
    read: u64,
    total: u64,
    /// Whether the input ends by a reset.
    resets: bool,
    delivered: u64,
    /// Which part of the stream each buffer holds.
    contents: Vec<(u64, u32)>,
    free: Vec<u16>,
    receiving: bool,
    /// What the present receive may still bring.
    limit: u64,
    stopping: bool,
    /// The last send promised that more follows.
    more: bool,
    pipe: u64,
    pipe_taken: bool,
    waiting: bool,
    spliced: u64,
    end: Option<Next<u8>>,
    seed: u64,
}

impl World {
    fn new(bursts: Vec<u32>, seed: u64, resets: bool) -> Self {
        Self {
            half: Half::default(),
            chunks: Chunks::new(BUFFERS.into()),
            total: bursts.iter().map(|burst| u64::from(*burst)).sum(),
            bursts,
            readable: 0,
            read: 0,
            resets,
            delivered: 0,
            contents: vec![(0, 0); BUFFERS.into()],
            free: (0..BUFFERS).collect(),
            receiving: false,
            limit: 0,
            stopping: false,
            more: false,
            pipe: 0,
            pipe_taken: false,
            waiting: false,
            spliced: 0,
            end: None,
            seed,
        }
    }

    fn choose(&mut self) -> u8 {
        // SplitMix64, of which one byte is enough.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 56).to_le_bytes()[0]
    }

    /// Does all that the half wants, then lets one thing happen; says whether there is more to come.
    fn step(&mut self) -> bool {
        while let Some(next) = self.half.next(&self.chunks) {
            self.obey(next);
            if self.end.is_some() {
                assert_eq!(self.delivered, self.total, "the end came before the last byte");
                return false;
            }
        }
        assert!(!self.more, "what was to follow did not come, and the kernel holds the last bytes back");
        // Several things may happen before the half is asked again.
        for _ in 0..=self.choose() % 3 {
            match self.choose() % 3 {
                0 => self.readable += self.bursts.pop().map_or(0, u64::from),
                1 => self.complete_receive(),
                _ => self.become_ready(),
            }
        }
        true
    }

    fn obey(&mut self, next: Next<u8>) {
        match next {
            Next::Receive { .. } => {
                assert!(!self.receiving && !self.pipe_taken, "one reader at a time");
                self.receiving = true;
                self.stopping = false;
                self.limit = if self.choose().is_multiple_of(2) { 64 * 1024 } else { u64::MAX };
            }
            Next::StopReceive => {
                assert!(self.receiving && !self.stopping);
                self.stopping = true;
            }
            Next::Send { chunk, more } => {
                assert!(!self.pipe_taken);
                self.send(chunk, more);
            }
            Next::TakePipe => {
                assert!(!self.receiving && !self.pipe_taken);
                if self.choose() % 8 == 7 {
                    self.half.copy();
                } else {
                    self.half.splice(PIPE, CAPACITY);
                    self.pipe_taken = true;
                }
            }
            Next::GivePipe(pipe) => {
                assert!(self.pipe_taken);
                assert_eq!(pipe, PIPE);
                assert_eq!(self.pipe, 0, "a pipe with bytes in it was given back");
                self.pipe_taken = false;
            }
            Next::Fill(_, length) => {
                assert_eq!(self.pipe, 0);
                let offered = 1 + u64::from(self.choose()) * 2048;
                let filled = self.readable.min(length.into()).min(offered);
                self.half.on_filled(match filled {
                    0 if !self.at_end() => Spliced::Blocked,
                    0 if self.resets => Spliced::Failed(Fault::Reset),
                    0 => Spliced::Ended,
                    moved => Spliced::Moved(small(moved)),
                });
                self.readable -= filled;
                self.read += filled;
                self.pipe += filled;
                self.spliced += filled;
            }
            Next::Flush(_, length) => {
                assert_eq!(self.pipe, u64::from(length));
                let flushed = self.pipe.min(u64::from(self.choose()) * 2048);
                self.half.on_flushed((flushed > 0).then(|| small(flushed)));
                self.pipe -= flushed;
                self.delivered += flushed;
            }
            Next::WaitReadable | Next::WaitWritable => {
                assert!(!self.waiting);
                self.waiting = true;
            }
            Next::Finish | Next::Abort(_) => {
                self.more = false;
                self.end = Some(next);
            }
        }
    }

    fn at_end(&self) -> bool {
        self.bursts.is_empty() && self.readable == 0
    }

    fn complete_receive(&mut self) {
        if !self.receiving {
            return;
        }
        if self.stopping && self.choose().is_multiple_of(3) {
            self.receiving = false;
            return self.half.on_stopped();
        }
        if self.at_end() {
            self.receiving = false;
            return if self.resets { self.half.on_failed(Fault::Reset) } else { self.half.on_ended() };
        }
        if self.readable == 0 {
            return;
        }
        let Some(buffer) = self.free.pop() else {
            self.receiving = false;
            return self.half.on_stopped();
        };
        let length = small(self.readable.min(BUFFER.into()));
        self.contents[usize::from(buffer)] = (self.read, length);
        self.readable -= u64::from(length);
        self.read += u64::from(length);
        self.limit = self.limit.saturating_sub(length.into());
        let more = self.limit > 0 && !self.choose().is_multiple_of(16);
        self.receiving = more;
        self.half.on_received(&mut self.chunks, buffer, length, length == BUFFER, more);
    }

    fn send(&mut self, chunk: Chunk, more: bool) {
        let (at, length) = self.contents[usize::from(chunk.buffer)];
        assert_eq!(at + u64::from(chunk.start), self.delivered, "out of order");
        assert_eq!(chunk.start + chunk.length, length);
        let sent = match self.choose() % 8 {
            0 => 0,
            1 => chunk.length / 2,
            _ => chunk.length,
        };
        // What the kernel holds back goes once it is full.
        self.more = more && sent == chunk.length;
        self.delivered += u64::from(sent);
        let sent = self.half.on_sent(&mut self.chunks, sent);
        self.free.extend(sent);
    }

    /// Ends a wait: the socket is ready, or the half was idle for so long that the wait is cancelled.
    fn become_ready(&mut self) {
        if !self.waiting {
            return;
        }
        if self.choose().is_multiple_of(8) {
            self.half.on_quiet();
        }
        self.waiting = false;
        self.half.on_ready();
    }
}

fn small(bytes: u64) -> u32 {
    u32::try_from(bytes).expect("no burst is larger")
}
