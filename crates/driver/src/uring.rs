//! The real kernel behind the seam: one io_uring, its buffers, and the calls that answer at once.

mod buffers;
mod cures;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::types::{self, CancelBuilder, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::pipe::{PipeFlags, SpliceFlags};
use socket2::SockAddr;

use self::buffers::{BUFFER_GROUP, Buffers};
use crate::driver::{BufferId, Bytes, Completion, Driver, Fd, Op, Pipe, Shortages, Token};
use crate::setup_error::SetupError;
use crate::sockets::{self, ConnectOptions, SocketKeepalive};
use crate::waker::Waker;

pub use self::buffers::{BUFFER_BYTES, BUFFERS_MIN};

/// An io_uring set up the way a worker uses it. It must be made on the thread that uses it
/// (`IORING_SETUP_SINGLE_ISSUER`).
pub struct Uring {
    io: IoUring,
    // After `io`: fields drop in order, and the kernel may write here until the ring is dropped.
    buffers: Buffers,
    /// Addresses of the connects that are queued, in order; the kernel copies each when it takes the entry.
    addresses: Vec<SockAddr>,
    wakers: Arc<[Waker]>,
    /// Which of `wakers` ends this ring's wait.
    index: usize,
    shortages: Shortages,
    /// Edge-triggered polls that are over, to be ended; kept for its memory.
    polled: Vec<u64>,
    /// Whether a poll on the waker is in flight.
    waker_armed: bool,
    /// Whether a multishot receive ends by itself after a number of bytes (Linux 6.17).
    receive_limits: bool,
}

/// Entries of the submission queue. When it is full, what is queued goes to the kernel early.
const SUBMISSIONS_MAX: u32 = 1024;

/// Entries of the completion queue. When it is full the kernel keeps the rest and ends multishot operations
/// early, which costs time but loses nothing; the worker takes all that is there once a turn.
const COMPLETIONS_MAX: u32 = 8192;

/// The size a pipe is grown to, in bytes: large enough for what a socket gathers between two wake-ups, small
/// enough to stay in the cache.
const PIPE_CAPACITY: u32 = 256 * 1024;

/// Marks, in the highest bit, the user data of completions that are not the worker's, or not yet.
const OURS: u64 = 1 << 63;

/// The user data of the poll on the waker.
const WAKE: u64 = u64::MAX;

/// The user data of operations whose completion is ignored.
const IGNORED: u64 = u64::MAX - 1;

/// What ends an edge-triggered poll. One that does not ask for `POLLOUT` does not see it.
const POLLED: u32 = (libc::POLLOUT | libc::POLLERR | libc::POLLHUP) as u32;

/// What every poll asks for, asked or not: `POLLERR`, `POLLHUP`, and a peer's FIN.
const NOTHING_MORE: u32 = 0;

impl Uring {
    /// A ring with `buffers` receive buffers, whose wait `wakers[index]` ends.
    ///
    /// What the kernel can do is found out by trying it, not by its version.
    ///
    /// # Errors
    ///
    /// The kernel lacks something, or forbids it; the error names the cause and the cure.
    pub fn new(buffers: u32, wakers: Arc<[Waker]>, index: usize) -> Result<Self, SetupError> {
        let io = build().map_err(SetupError::ring)?;
        // A descriptor of the ring's own saves a look-up at each enter (Linux 5.18).
        let _ = io.submitter().register_ring_fd();
        // Nothing that the worker submits needs the kernel's worker threads; should it ever, there is one.
        let _ = io.submitter().register_iowq_max_workers(&mut [1, 1]);
        let buffers = Buffers::register(&io.submitter(), buffers).map_err(SetupError::buffers)?;
        let mut ring = Self {
            io,
            buffers,
            addresses: Vec::with_capacity(SUBMISSIONS_MAX as usize),
            wakers,
            index,
            shortages: Shortages::default(),
            polled: Vec::new(),
            waker_armed: false,
            receive_limits: true,
        };
        ring.probe()?;
        Ok(ring)
    }

    /// Receives over a socket pair the way connections will, and learns whether limits are known.
    fn probe(&mut self) -> Result<(), SetupError> {
        match self.probe_receive() {
            Ok(()) => return Ok(()),
            // Before 6.17, the field that holds the limit had to be zero.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.receive_limits = false,
            Err(error) => return Err(SetupError::receive(error)),
        }
        self.probe_receive().map_err(SetupError::receive)
    }

    fn probe_receive(&mut self) -> io::Result<()> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        rustix::io::write(&theirs, b"probe")?;
        let socket = Fd(ours.into_raw_fd());
        // SAFETY: the number was taken out of its owner in the line above, and is owned again from here.
        let _ours = unsafe { OwnedFd::from_raw_fd(socket.0) };
        self.submit(Op::Receive { socket, limit: 64 * 1024, later: false }, Token::new(0, 0, 0));
        drop(theirs);
        let mut done = Vec::new();
        let mut received = 0;
        let deadline = self.now() + PROBE_TIMEOUT;
        loop {
            self.wait(Some(deadline), &mut done)?;
            for completion in done.drain(..) {
                if let Some(buffer) = completion.buffer {
                    self.give_back(buffer);
                }
                received += completion.result?;
                if !completion.more {
                    return if received == 5 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
                }
            }
            if self.now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: what `entry` points to lives until the kernel is done with it. A connect's address stays in
        // `addresses` until the kernel has taken the entry; receives name no memory but the buffer group.
        while unsafe { self.io.submission().push(entry) }.is_err() {
            self.submit_early();
        }
    }

    /// The queue is full: what is in it goes now.
    fn submit_early(&mut self) {
        self.shortages.early_submits += 1;
        // Nothing completes from this, so no error is final.
        self.enter(0, None).ok();
    }

    fn enter(&mut self, want: usize, timeout: Option<Duration>) -> Result<(), Errno> {
        let timeout = timeout.map(Timespec::from);
        let mut args = SubmitArgs::new();
        if let Some(timeout) = &timeout {
            args = args.timespec(timeout);
        }
        let entered = self.io.submitter().submit_with_args(want, &args);
        if self.io.submission().is_empty() {
            self.addresses.clear();
        }
        match entered.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)) {
            // The time is up; a signal came; completions must be taken first; memory is short for a moment.
            Ok(_) | Err(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn poll_edges(&mut self, socket: Fd, events: u32, token: Token) {
        let poll = opcode::PollAdd::new(types::Fd(socket.0), events).multi(true);
        self.push(&poll.build().user_data(token.to_bits() | OURS));
    }

    fn arm_waker(&mut self) {
        let waker = types::Fd(self.wakers[self.index].as_raw_fd());
        self.push(&opcode::PollAdd::new(waker, libc::POLLIN as u32).build().user_data(WAKE));
        self.waker_armed = true;
    }
}

impl Driver for Uring {
    fn submit(&mut self, op: Op, token: Token) {
        let entry = match op {
            Op::Accept { listener } => opcode::AcceptMulti::new(types::Fd(listener.0))
                .flags(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
                .build(),
            Op::Connect { socket, to } => {
                if self.addresses.len() == self.addresses.capacity() {
                    // Growing would move addresses that the kernel has yet to read.
                    self.submit_early();
                }
                assert!(self.addresses.len() < self.addresses.capacity());
                self.addresses.push(to.into());
                let address = &self.addresses[self.addresses.len() - 1];
                opcode::Connect::new(types::Fd(socket.0), address.as_ptr().cast(), address.len()).build()
            }
            Op::Receive { socket, limit, later } => {
                let mut entry = opcode::RecvMulti::new(types::Fd(socket.0), BUFFER_GROUP).build();
                if later {
                    set_poll_first(&mut entry);
                }
                if self.receive_limits {
                    set_receive_limit(&mut entry, limit);
                }
                entry
            }
            Op::PollReadable { socket } => {
                opcode::PollAdd::new(types::Fd(socket.0), (libc::POLLIN | libc::POLLRDHUP) as u32).build()
            }
            // Once the peer has sent its FIN, a one-shot poll would answer at once, writable or not. A multishot
            // one is edge-triggered: after that first answer it waits for the next event. `wait` ends it.
            Op::PollWritable { socket } => return self.poll_edges(socket, libc::POLLOUT as u32, token),
            // Edge-triggered, too: the peer may have sent its FIN, and be reset later.
            Op::PollReset { socket } => return self.poll_edges(socket, NOTHING_MORE, token),
            Op::Cancel { target } => {
                opcode::AsyncCancel2::new(CancelBuilder::user_data(target.to_bits())).build()
            }
            Op::CancelAll { fd } => {
                opcode::AsyncCancel2::new(CancelBuilder::fd(types::Fd(fd.0)).all()).build()
            }
        };
        self.push(&entry.user_data(token.to_bits()));
    }

    fn wait(&mut self, deadline: Option<Instant>, done: &mut Vec<Completion>) -> Result<(), Errno> {
        if !self.waker_armed {
            self.arm_waker();
        }
        self.buffers.post();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(self.now()));
        let want = usize::from(timeout != Some(Duration::ZERO));
        self.enter(want, timeout.filter(|timeout| !timeout.is_zero()))?;
        self.shortages.overflows += u64::from(self.io.submission().cq_overflow());
        // SAFETY: this is the only completion queue alive; `&mut self` sees to that. It is taken from a shared
        // reference to keep `buffers` free to be written meanwhile.
        let completions = unsafe { self.io.completion_shared() };
        for entry in completions {
            if entry.user_data() == WAKE {
                self.waker_armed = false;
                self.wakers[self.index].clear();
                continue;
            }
            if entry.user_data() == IGNORED {
                continue;
            }
            if entry.user_data() & OURS != 0 && cqueue::more(entry.flags()) {
                // An edge-triggered poll: is this what it waits for, or only the peer's FIN?
                if entry.result().cast_unsigned() & POLLED != 0 {
                    self.polled.push(entry.user_data());
                }
                continue;
            }
            let buffer = cqueue::buffer_select(entry.flags()).map(BufferId);
            if let Some(buffer) = buffer {
                self.buffers.taken(buffer);
            }
            let result = u32::try_from(entry.result()).map_err(|_| Errno::from_raw_os_error(-entry.result()));
            let token = Token::from_bits(entry.user_data() & !OURS);
            done.push(Completion { token, result, more: cqueue::more(entry.flags()), buffer });
        }
        while let Some(poll) = self.polled.pop() {
            let cancel = opcode::AsyncCancel2::new(CancelBuilder::user_data(poll)).build();
            self.push(&cancel.user_data(IGNORED));
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where the data plane reads the clock")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn give_back(&mut self, buffer: BufferId) {
        self.buffers.give_back(buffer);
    }

    fn buffers_free(&self) -> u32 {
        self.buffers.available()
    }

    fn shortages(&self) -> Shortages {
        self.shortages
    }

    fn open(&mut self, options: &ConnectOptions) -> Result<Fd, Errno> {
        sockets::open(options).map(own)
    }

    fn accept_now(&mut self, listener: Fd) -> Result<Fd, Errno> {
        let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
        rustix::net::accept_with(borrow(listener), flags).map(own)
    }

    fn confirm_connect(&mut self, socket: Fd, options: &ConnectOptions) -> Result<(), Errno> {
        sockets::confirm(borrow(socket), options)
    }

    fn peer(&mut self, socket: Fd) -> Option<SocketAddr> {
        socket2::SockRef::from(&borrow(socket)).peer_addr().ok()?.as_socket()
    }

    fn local(&mut self, socket: Fd) -> Option<SocketAddr> {
        socket2::SockRef::from(&borrow(socket)).local_addr().ok()?.as_socket()
    }

    fn stay_in_network(&mut self, socket: Fd) {
        sockets::stay_in_network(borrow(socket));
    }

    fn low_water(&mut self, socket: Fd, bytes: u32) {
        // It cannot fail on a TCP socket; one that has none waits for its first byte and is asked more often.
        let _ = sockets::set_low_water(borrow(socket), bytes);
    }

    fn peek(&mut self, socket: Fd, into: &mut [u8]) -> Result<usize, Errno> {
        let (_, length) = rustix::net::recv(borrow(socket), into, RecvFlags::DONTWAIT | RecvFlags::PEEK)?;
        Ok(length)
    }

    fn skip(&mut self, socket: Fd, bytes: u32) -> Result<(), Errno> {
        sockets::skip(borrow(socket), bytes)
    }

    fn random(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        // So few bytes come at once and whole, once the kernel has gathered randomness, random(7); that is long before
        // a service starts.
        let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        bytes
    }

    fn taken_ago(&mut self, socket: Fd) -> Option<Duration> {
        sockets::taken_ago(borrow(socket))
    }

    fn failure(&mut self, socket: Fd) -> Option<Errno> {
        rustix::net::sockopt::socket_error(borrow(socket)).ok()?.err()
    }

    fn keep_alive(&mut self, socket: Fd, keepalive: SocketKeepalive) {
        let socket = borrow(socket);
        // It cannot fail on a TCP socket with times that `config` lets through; without it, the idle timeout stays.
        let _ = sockets::set_keepalive(&socket2::SockRef::from(&socket), keepalive);
    }

    fn release_ack(&mut self, socket: Fd) {
        // It can only fail on a socket that is none, or no longer connected, and then there is nothing to be told.
        let _ = rustix::net::sockopt::set_tcp_quickack(borrow(socket), true);
    }

    // Called directly rather than queued: nearly all of its cost is TCP's, queued it measures the same, and its answer
    // at once makes one thing less to be in flight. (Left to wait in the ring, a send would do so by a poll that a
    // peer's FIN ends, try 128 times, and be handed to a kernel thread.)
    fn send(&mut self, socket: Fd, bytes: Bytes<'_>, more: bool) -> Result<u32, Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let flags = if more { flags | SendFlags::MORE } else { flags };
        let bytes = match bytes {
            Bytes::Received { buffer, start, length } => self.buffers.bytes(buffer, start, length),
            Bytes::Own(bytes) => bytes,
        };
        let sent = rustix::net::send(borrow(socket), bytes, flags)?;
        Ok(u32::try_from(sent).expect("send(2) takes no more than it was given"))
    }

    fn shutdown_write(&mut self, socket: Fd) -> Result<(), Errno> {
        rustix::net::shutdown(borrow(socket), rustix::net::Shutdown::Write)
    }

    fn reset_on_close(&mut self, socket: Fd) {
        // It can only fail on what is no socket, and then there is no connection to reset.
        let _ = rustix::net::sockopt::set_socket_linger(borrow(socket), Some(Duration::ZERO));
    }

    fn discard_received(&mut self, socket: Fd) {
        sockets::discard_received(borrow(socket));
    }

    fn close(&mut self, fd: Fd) {
        // SAFETY: the driver's caller owns the number and gives it up here.
        drop(unsafe { OwnedFd::from_raw_fd(fd.0) });
    }

    fn open_pipe(&mut self) -> Result<Pipe, Errno> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Past the user's budget of pages (pipe-user-pages-soft, pipe(7)) the kernel makes pipes of two
        // pages and refuses to grow them; so small, copying is better.
        let capacity = rustix::pipe::fcntl_setpipe_size(&write, PIPE_CAPACITY as usize)?;
        Ok(Pipe {
            read: own(read),
            write: own(write),
            capacity: u32::try_from(capacity).unwrap_or(PIPE_CAPACITY),
        })
    }

    fn splice(&mut self, from: Fd, to: Fd, length: u32) -> Result<u32, Errno> {
        // Without SPLICE_F_MORE: the kernel corks within one call by itself, and a cork of ours could hold the
        // last bytes back for 200 ms. That the call does not block on the socket is O_NONBLOCK's doing; the
        // flag covers the pipe.
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = rustix::pipe::splice(borrow(from), None, borrow(to), None, length as usize, flags)?;
        Ok(u32::try_from(moved).expect("splice moves no more than it was asked to"))
    }

    fn open_reserve(&mut self) -> Result<Fd, Errno> {
        use rustix::fs::{Mode, OFlags, open};
        open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map(own)
    }
}

/// How long the kernel may take to answer the probe, which needs microseconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Linux 6.1 is the oldest kernel that has all that a worker needs; newer ones save a look-up per entry.
fn build() -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(COMPLETIONS_MAX);
    let mut newest = builder.clone();
    newest.setup_no_sqarray(); // Linux 6.6.
    newest.build(SUBMISSIONS_MAX).or_else(|_| builder.build(SUBMISSIONS_MAX))
}

/// Sets the field that the crate has no setter for: `optlen`, which for a multishot receive is the number of
/// bytes after which it ends (`IORING_RECV_MSHOT_LIM`, Linux 6.17).
fn set_receive_limit(entry: &mut squeue::Entry, limit: u32) {
    const OPTLEN: usize = 44 / size_of::<u32>();
    const { assert!(size_of::<squeue::Entry>() == 64 && align_of::<squeue::Entry>() >= align_of::<u32>()) };
    // SAFETY: an entry is the kernel's 64-byte `struct io_uring_sqe` (`repr(C)` over it, its size checked
    // above), in which a u32 stands at offset 44, aligned.
    unsafe { std::ptr::from_mut(entry).cast::<u32>().add(OPTLEN).write(limit) };
}

/// Sets the flag that the crate has no setter for here: `IORING_RECVSEND_POLL_FIRST` (Linux 5.19) beside
/// `IORING_RECV_MULTISHOT`, which `RecvMulti` has set.
fn set_poll_first(entry: &mut squeue::Entry) {
    const IOPRIO: usize = 2 / size_of::<u16>();
    const POLL_FIRST: u16 = 1 << 0;
    const { assert!(size_of::<squeue::Entry>() == 64 && align_of::<squeue::Entry>() >= align_of::<u16>()) };
    // SAFETY: as for the limit above; the u16 at offset 2 holds the flags of a receive.
    unsafe {
        let flags = std::ptr::from_mut(entry).cast::<u16>().add(IOPRIO);
        flags.write(flags.read() | POLL_FIRST);
    }
}

fn own(fd: OwnedFd) -> Fd {
    Fd(fd.into_raw_fd())
}

fn borrow<'a>(fd: Fd) -> BorrowedFd<'a> {
    let raw: RawFd = fd.0;
    // SAFETY: an `Fd` is open from the call that made it until `Driver::close`, which its one owner calls last;
    // the borrow ends with the system call that it is made for.
    unsafe { BorrowedFd::borrow_raw(raw) }
}
