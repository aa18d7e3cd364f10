//! What was received and not yet sent: a queue of buffers per half, all linked through one arena.
//!
//! A buffer is in at most one queue, so one link per buffer serves every queue, and queueing asks for no
//! memory.

/// A part of a receive buffer that holds bytes to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The number of the buffer.
    pub buffer: u16,
    /// Where the bytes begin in it.
    pub start: u32,
    /// How many there are, at least 1.
    pub length: u32,
}

/// The links between queued buffers and how much each holds, by buffer number.
#[derive(Debug)]
pub struct Chunks {
    length: Box<[u32]>,
    next: Box<[u16]>,
    /// How many buffers are in queues.
    queued: usize,
}

impl Chunks {
    /// An arena for `buffers` buffers. Its memory is touched where buffers are used.
    pub fn new(buffers: u32) -> Self {
        Self { length: vec![0; buffers as usize].into(), next: vec![0; buffers as usize].into(), queued: 0 }
    }

    /// Whether so many buffers are queued that a half with some queued should not ask for more: the other half of the
    /// buffers is for halves that have none.
    pub fn are_short(&self) -> bool {
        self.queued > self.length.len() / 2
    }
}

/// Buffers in the order they came; the first may be sent in part.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Queue {
    head: u16,
    tail: u16,
    /// Bytes of the first buffer that were sent.
    sent: u32,
    /// How many buffers are queued; `head` and `tail` mean something only above 0.
    count: u32,
    bytes: u32,
}

impl Queue {
    /// Appends a buffer that holds `length` bytes.
    pub fn push(&mut self, chunks: &mut Chunks, buffer: u16, length: u32) {
        debug_assert!(length > 0);
        chunks.length[usize::from(buffer)] = length;
        if self.count == 0 {
            self.head = buffer;
        } else {
            chunks.next[usize::from(self.tail)] = buffer;
        }
        self.tail = buffer;
        self.count += 1;
        self.bytes += length;
        chunks.queued += 1;
    }

    /// What is to be sent next.
    pub fn front(&self, chunks: &Chunks) -> Option<Chunk> {
        (self.count > 0).then(|| Chunk {
            buffer: self.head,
            start: self.sent,
            length: chunks.length[usize::from(self.head)] - self.sent,
        })
    }

    /// Notes that `length` bytes of the front were sent; hands the buffer back once it is sent whole.
    pub fn sent(&mut self, chunks: &mut Chunks, length: u32) -> Option<u16> {
        assert!(self.count > 0);
        self.sent += length;
        self.bytes -= length;
        assert!(self.sent <= chunks.length[usize::from(self.head)]);
        if self.sent < chunks.length[usize::from(self.head)] {
            return None;
        }
        self.sent = 0;
        Some(self.drop_front(chunks))
    }

    /// Takes the front buffer out unsent.
    pub fn pop(&mut self, chunks: &mut Chunks) -> Option<u16> {
        if self.count == 0 {
            return None;
        }
        self.bytes -= chunks.length[usize::from(self.head)] - self.sent;
        self.sent = 0;
        Some(self.drop_front(chunks))
    }

    fn drop_front(&mut self, chunks: &mut Chunks) -> u16 {
        let buffer = self.head;
        self.count -= 1;
        chunks.queued -= 1;
        if self.count > 0 {
            self.head = chunks.next[usize::from(buffer)];
        }
        buffer
    }

    /// How many buffers are queued.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many bytes are queued.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }
}
