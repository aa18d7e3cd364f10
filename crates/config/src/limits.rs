//! What a value may be at least and at most, each with the reason.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest file. A thousand pools of forty backends fit; a file beyond it was given by mistake.
pub(crate) const FILE_BYTES_MAX: usize = 1 << 20;

/// The deepest nesting. The format itself needs seven levels; the rest is room for a good message.
pub(crate) const NESTING_MAX: usize = 32;

/// The deepest nesting of brackets that the parser gets to see, for there it takes longer the deeper they are.
/// More than [`NESTING_MAX`], so that a file that is merely wrong is refused with all its levels counted.
pub(crate) const BRACKETS_MAX: usize = 2 * NESTING_MAX;

/// Keys and values of a file, those behind an alias counted each time: aliases of aliases multiply. It is more
/// than what the limits below add up to, a backend being seven of them.
pub(crate) const NODES_MAX: usize = 1 << 19;

/// How many problems one report holds. Nobody reads more before mending the first ones, and it bounds the
/// work that a hopeless file can cause.
pub(crate) const PROBLEMS_MAX: usize = 50;

/// The longest name. Names are columns in tables and labels in metrics.
pub(crate) const NAME_CHARS_MAX: usize = 64;

/// Listeners of a file. Each costs a listening socket per worker.
pub(crate) const LISTENERS_MAX: usize = 1024;

/// Pools of a file; no more than one per listener is of use.
pub(crate) const POOLS_MAX: usize = 1024;

/// Backends of one pool. Its rotation is rebuilt whenever one of them changes.
pub(crate) const BACKENDS_PER_POOL_MAX: usize = 10_000;

/// Backends of a file: what a 16-bit index can tell apart.
pub(crate) const BACKENDS_MAX: usize = 65_536;

/// Workers. Wider hosts exist, but a layer-4 balancer runs out of network card before that.
pub(crate) const WORKERS: RangeInclusive<u16> = 1..=256;

/// Connections at once. Each takes two descriptors, and `fs.nr_open` is never set past a few ten millions.
pub(crate) const CONNECTIONS: RangeInclusive<u32> = 1..=16_777_216;

/// The accept queue. Its length was 16 bits in the kernel for long, and `net.core.somaxconn` clips it anyway.
pub(crate) const BACKLOG: RangeInclusive<u32> = 1..=65_535;

/// Attempts for one connection. More of them only keep a client waiting that could try elsewhere.
pub(crate) const ATTEMPTS: RangeInclusive<u8> = 1..=16;

/// The weight of a backend. It bounds the length of a rotation.
pub(crate) const WEIGHT: RangeInclusive<u16> = 0..=256;

/// `MAX_TCP_KEEPCNT` of the kernel.
pub(crate) const KEEPALIVE_PROBES: RangeInclusive<u8> = 1..=127;

/// `MAX_TCP_KEEPIDLE` and `MAX_TCP_KEEPINTVL` of the kernel, which counts whole seconds.
pub(crate) const KEEPALIVE_TIME: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(32_767);

/// One attempt to connect. The kernel itself gives up after about two minutes of unanswered SYNs.
pub(crate) const CONNECT_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(300);

/// A silent connection. Below, every connection would be cut; beyond thirty days, keepalive is what tells a
/// quiet peer from a dead one.
pub(crate) const IDLE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(30 * 24 * 3600);

/// A connection with one direction ended. A day covers the slowest download after a half-close.
pub(crate) const HALF_CLOSED_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(24 * 3600);

/// The drain. Zero means: do not wait for anybody. No init system waits for a day.
pub(crate) const DRAIN_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
