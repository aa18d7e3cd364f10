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

/// The interval of probes. More often, probes would be the load; more rarely, nobody would wait for a verdict.
pub(crate) const PROBE_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3600);

/// One probe. It holds one of the few that run at once.
pub(crate) const PROBE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60);

/// Answers in a row. Beyond, a verdict would take minutes.
pub(crate) const PROBE_ANSWERS: RangeInclusive<u32> = 1..=100;

/// How far an interval is stretched by chance, in percent.
pub(crate) const PROBE_JITTER_PERCENT_MAX: u8 = 50;

/// Words that a probe says or looks for, in bytes. The answer is looked at up to 64 KiB.
pub(crate) const PROBE_TEXT_BYTES_MAX: usize = 4096;

/// Ranges of statuses; there are 500 statuses.
pub(crate) const STATUSES_MAX: usize = 64;

/// Connects in a row that put a backend aside.
pub(crate) const EJECT_FAILURES: RangeInclusive<u32> = 1..=1000;

/// How long a backend is put aside. A day is for whoever will mend it by hand.
pub(crate) const EJECT_TIME: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Clients that wait. They hold a descriptor each.
pub(crate) const WAITING: RangeInclusive<u32> = 0..=1_000_000;

/// How long a client waits. Clients have timeouts themselves, most of a minute or less.
pub(crate) const WAITING_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(600);

/// How long the active tier has to be fit before it takes over.
pub(crate) const FAILBACK_DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);

/// How long connections of what a reload removed may take to finish. Without any time, it is `close`.
pub(crate) const ON_REMOVE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// How many backends of the active tier must be available.
pub(crate) const MIN_ACTIVE: RangeInclusive<u16> = 1..=10_000;

/// How long a backend takes less than its share. An hour warms any cache.
pub(crate) const SLOW_START: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// How far a replica may be behind in time.
pub(crate) const LAG: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);

/// Connections of one backend, 0 being no bound.
pub(crate) const BACKEND_CONNECTIONS: RangeInclusive<u32> = 0..=*CONNECTIONS.end();

/// The path of a socket, in bytes. The kernel takes 107; the rest is for the name that it has while it is made.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 90;

/// The drain. Zero means: do not wait for anybody. No init system waits for a day.
pub(crate) const DRAIN_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
