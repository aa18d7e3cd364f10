//! The buffers that the kernel receives into: one pool per ring, a short part of it posted.
//!
//! The pool is large and costs memory only where it was touched; what is given back first goes out first
//! again, so a small hot set serves ordinary traffic. The kernel takes posted buffers in the order of
//! posting, which is why the posted window is kept short: a long one would walk through the whole cache.
//! What is given back beyond [`WARM_MAX`] loses its memory: a crowd of slow readers costs memory only while it lasts.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::driver::{BUFFER_SIZE, BUFFERS_MAX, BufferId};

/// A pool of buffers and the ring through which the kernel takes them.
pub(super) struct Buffers {
    /// `count` buffers of [`BUFFER_SIZE`] bytes, [`BUFFER_STRIDE`] apart.
    memory: Mapping,
    /// [`POSTED_MAX`] entries shared with the kernel.
    ring: Mapping,
    /// Entries posted since the start, modulo 2^16; what the kernel has seen of it is in the ring.
    tail: u16,
    /// Entries that the kernel may still take.
    posted: u16,
    /// Buffers given back, to be posted again; the last one first. At most [`WARM_MAX`].
    warm: Vec<u16>,
    /// Buffers given back beyond that, without memory.
    cold: Vec<u16>,
    /// Buffers from this number on were never used.
    fresh: u32,
    count: u32,
    /// One bit per buffer that is with the worker. It makes giving back twice a panic instead of one client
    /// reading another's bytes.
    out: Box<[u64]>,
}

/// How many buffers a pool has at least: as many as are posted to the kernel at a time.
pub const BUFFERS_MIN: u32 = POSTED_MAX as u32;

/// Bytes of address space that a buffer takes.
pub const BUFFER_BYTES: usize = BUFFER_STRIDE;

/// The buffer group that the pool is registered as; a ring has just this one.
pub(super) const BUFFER_GROUP: u16 = 0;

/// How many buffers are posted at once. One multishot receive takes at most 32 a wake-up, and the kernel runs
/// about 40 a turn (Linux 6.13 on), so more would only cool the cache.
const POSTED_MAX: u16 = 128;

/// How many buffers keep their memory when they are given back: more than streams have on the way at once, so that
/// only a crowd that leaves pays for it. With their pages, 36 MiB.
const WARM_MAX: usize = 1024;

/// Distance between buffers: a page more than they hold, so that each has pages of its own, and room for its skew.
const BUFFER_STRIDE: usize = BUFFER_SIZE as usize + PAGE;

/// Bytes of a page on most hosts; where pages are larger, buffers share them and keep them.
const PAGE: usize = 4096;

/// Bytes of a line of the cache.
const CACHE_LINE: usize = 64;

impl Buffers {
    /// A pool of `count` buffers, registered with the ring behind `submitter`; fewer on a host that commits to
    /// all memory that is mapped (`vm.overcommit_memory` = 2) and has not so much.
    pub(super) fn register(submitter: &Submitter<'_>, mut count: u32) -> io::Result<Self> {
        assert!(count >= u32::from(POSTED_MAX) && count <= BUFFERS_MAX);
        let memory = loop {
            match Mapping::new(count as usize * BUFFER_STRIDE) {
                Ok(memory) => break memory,
                Err(error) if count / 2 < u32::from(POSTED_MAX) => return Err(error),
                Err(_) => count /= 2,
            }
        };
        let ring = Mapping::new(usize::from(POSTED_MAX) * size_of::<BufRingEntry>())?;
        // SAFETY: the ring's memory is zeroed, page aligned, of `POSTED_MAX` entries, and unmapped only when
        // `Buffers` is dropped, which its owner does after the io_uring is dropped.
        unsafe {
            submitter.register_buf_ring_with_flags(ring.base.as_ptr() as u64, POSTED_MAX, BUFFER_GROUP, 0)?;
        };
        let mut buffers = Self {
            memory,
            ring,
            tail: 0,
            posted: 0,
            warm: Vec::with_capacity(WARM_MAX.min(count as usize)),
            cold: Vec::with_capacity((count as usize).saturating_sub(WARM_MAX)),
            fresh: 0,
            count,
            out: vec![0; count.div_ceil(64) as usize].into(),
        };
        buffers.post();
        Ok(buffers)
    }

    /// Posts free buffers until the window is full. The kernel sees them with the store of the tail.
    pub(super) fn post(&mut self) {
        if self.posted == POSTED_MAX {
            return;
        }
        while self.posted < POSTED_MAX {
            let Some(id) = self.next_free() else { break };
            let address = (self.memory.base.as_ptr().addr() + offset(id)) as u64;
            let index = usize::from(self.tail % POSTED_MAX);
            // SAFETY: the index is below the ring's number of entries, the memory is mapped and aligned, and
            // the kernel reads an entry only after the tail has passed it and before we may come round to it
            // again, as `posted` counts what it has not yet taken.
            unsafe {
                let entry = &mut *self.ring.base.cast::<BufRingEntry>().as_ptr().add(index);
                entry.set_addr(address);
                entry.set_len(BUFFER_SIZE);
                entry.set_bid(id);
            }
            self.tail = self.tail.wrapping_add(1);
            self.posted += 1;
        }
        // SAFETY: the tail is an aligned u16 inside the ring's first entry (in its reserved field), mapped as
        // long as `self`; the kernel only loads it.
        unsafe {
            let tail = BufRingEntry::tail(self.ring.base.cast().as_ptr());
            AtomicU16::from_ptr(tail.cast_mut()).store(self.tail, Ordering::Release);
        }
    }

    fn next_free(&mut self) -> Option<u16> {
        if let Some(id) = self.warm.pop().or_else(|| self.cold.pop()) {
            return Some(id);
        }
        let id = (self.fresh < self.count).then_some(self.fresh)?;
        self.fresh += 1;
        u16::try_from(id).ok()
    }

    /// Notes that the kernel took a posted buffer and that the worker has it now.
    pub(super) fn taken(&mut self, buffer: BufferId) {
        assert!(self.posted > 0, "the kernel took a buffer that was not posted");
        self.posted -= 1;
        let (word, bit) = (usize::from(buffer.0) / 64, 1_u64 << (buffer.0 % 64));
        assert!(self.out[word] & bit == 0, "the kernel handed out a buffer twice");
        self.out[word] |= bit;
    }

    pub(super) fn give_back(&mut self, buffer: BufferId) {
        let (word, bit) = (usize::from(buffer.0) / 64, 1_u64 << (buffer.0 % 64));
        assert!(self.out[word] & bit != 0, "a buffer was given back twice");
        self.out[word] &= !bit;
        if self.warm.len() < WARM_MAX {
            return self.warm.push(buffer.0);
        }
        self.memory.release(usize::from(buffer.0) * BUFFER_STRIDE, BUFFER_STRIDE);
        self.cold.push(buffer.0);
    }

    /// How many buffers are posted or could be.
    pub(super) fn available(&self) -> u32 {
        u32::from(self.posted)
            + u32::try_from(self.warm.len() + self.cold.len()).unwrap_or(u32::MAX)
            + (self.count - self.fresh)
    }

    /// What lies in a buffer that the worker has.
    pub(super) fn bytes(&self, buffer: BufferId, start: u32, length: u32) -> &[u8] {
        assert!(self.out[usize::from(buffer.0) / 64] & (1 << (buffer.0 % 64)) != 0);
        assert!(start.checked_add(length).is_some_and(|end| end <= BUFFER_SIZE));
        // SAFETY: buffer, start and length were just checked to lie inside the mapping, which began as zeroes; and the
        // kernel writes no buffer that is with the worker, where this one stays while `self` is borrowed.
        unsafe {
            let base = self.memory.base.as_ptr().add(offset(buffer.0) + start as usize);
            std::slice::from_raw_parts(base, length as usize)
        }
    }
}

/// Where a buffer begins: each a line of the cache further into its pages than the one before, so that their first
/// bytes do not all fall in the same sets of the cache.
fn offset(buffer: u16) -> usize {
    usize::from(buffer) * BUFFER_STRIDE + usize::from(buffer) % (PAGE / CACHE_LINE) * CACHE_LINE
}

/// Zeroed memory of its own pages, given to the kernel by address.
struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

impl Mapping {
    fn new(length: usize) -> io::Result<Self> {
        // SAFETY: a new anonymous mapping, at an address that the kernel chooses, aliases nothing.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // Small pages, so that a few touched buffers cost a few pages. It is advice: an error changes nothing.
        // SAFETY: the range was mapped just now.
        unsafe { libc::madvise(base, length, libc::MADV_NOHUGEPAGE) };
        let base = NonNull::new(base.cast()).expect("mmap answers MAP_FAILED, not null, when it fails");
        Ok(Self { base, length })
    }

    /// Gives the memory of these bytes back to the kernel, as far as they fill pages; those are zeroes again.
    fn release(&mut self, start: usize, length: usize) {
        assert!(start.checked_add(length).is_some_and(|end| end <= self.length));
        let page = rustix::param::page_size();
        let (first, end) = (start.div_ceil(page) * page, (start + length) / page * page);
        if first < end {
            // It is advice: an error changes nothing but what is saved. SAFETY: whole pages inside the mapping,
            // which is borrowed for this call alone; what lies in them is no longer of use to the caller.
            unsafe { libc::madvise(self.base.as_ptr().add(first).cast(), end - first, libc::MADV_DONTNEED) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and no reference into it outlives its owner.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}
