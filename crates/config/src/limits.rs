//! The least and the most of each value, with the reason.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest file. A thousand pools of forty backends fit.
pub(crate) const FILE_BYTES_MAX: usize = 1 << 20;

/// The deepest nesting. The format needs seven levels; the rest leaves room for a good message.
pub(crate) const NESTING_MAX: usize = 32;

/// The deepest nesting of brackets that the parser gets, because its time grows with the depth. More than
/// [`NESTING_MAX`], so that the message for an invalid file can count all of its levels.
pub(crate) const BRACKETS_MAX: usize = 2 * NESTING_MAX;

/// Keys and values of a file. Values behind an alias count each time, because aliases of aliases multiply. It
/// exceeds the sum of the limits below, with seven nodes for each backend.
pub(crate) const NODES_MAX: usize = 1 << 19;

/// Problems in one report. More are rarely read before the first ones are fixed, and it bounds the work that an
/// invalid file can cause.
pub(crate) const PROBLEMS_MAX: usize = 50;

/// The longest name. Names are table columns and metric labels.
pub(crate) const NAME_CHARS_MAX: usize = 64;

/// Addresses to listen on, of all listeners of a file. Each costs a listening socket per worker.
pub(crate) const LISTEN_ADDRESSES_MAX: usize = 1024;

/// Pools of a file; more than one per listener is of no use.
pub(crate) const POOLS_MAX: usize = 1024;

/// Backends of one pool. The rotation is rebuilt whenever one of them changes.
pub(crate) const BACKENDS_PER_POOL_MAX: usize = 10_000;

/// Backends of a file: the range of a 16-bit index.
pub(crate) const BACKENDS_MAX: usize = 65_536;

/// Workers. Larger hosts exist, but the network card is the limit of a layer-4 balancer before that.
pub(crate) const WORKERS: RangeInclusive<u16> = 1..=256;

/// Concurrent connections. Each uses two descriptors, and `fs.nr_open` rarely exceeds a few ten millions.
pub(crate) const CONNECTIONS: RangeInclusive<u32> = 1..=16_777_216;

/// Routes of one listener. Each is a label of metrics.
pub(crate) const ROUTES_MAX: usize = 256;

/// Names of one route. They are looked up at once, so it bounds the file alone.
pub(crate) const ROUTE_NAMES_MAX: usize = 1000;

/// Protocols of one route. Each is compared with each that a client offers.
pub(crate) const ROUTE_PROTOCOLS_MAX: usize = 16;

/// The longest name of a server, RFC 1035.
pub(crate) const SERVER_NAME_CHARS_MAX: usize = 253;

/// The accept queue. The kernel stored its length in 16 bits for long, and clips it at `net.core.somaxconn` anyway.
pub(crate) const BACKLOG: RangeInclusive<u32> = 1..=65_535;

/// Attempts for one connection. More of them delay a client that could retry elsewhere.
pub(crate) const ATTEMPTS: RangeInclusive<u8> = 1..=16;

/// The weight of a backend. It bounds the length of the rotation.
pub(crate) const WEIGHT: RangeInclusive<u16> = 0..=256;

/// `MAX_TCP_KEEPCNT` of the kernel.
pub(crate) const KEEPALIVE_PROBES: RangeInclusive<u8> = 1..=127;

/// `MAX_TCP_KEEPIDLE` and `MAX_TCP_KEEPINTVL` of the kernel, which counts whole seconds.
pub(crate) const KEEPALIVE_TIME: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(32_767);

/// One connection attempt. The kernel gives up after about two minutes of unanswered SYNs.
pub(crate) const CONNECT_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(300);

/// An idle connection. With less, every connection would be closed; beyond thirty days, keepalive detects dead
/// peers.
pub(crate) const IDLE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(30 * 24 * 3600);

/// A half-closed connection. A day covers the slowest download after a half-close.
pub(crate) const HALF_CLOSED_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(24 * 3600);

/// The probe interval. With less, probes would be the load; with more, verdicts would come too late.
pub(crate) const PROBE_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3600);

/// One probe. It uses one of the few that run at once.
pub(crate) const PROBE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60);

/// Consecutive answers. With more, a verdict would take minutes.
pub(crate) const PROBE_ANSWERS: RangeInclusive<u32> = 1..=100;

/// The random variation of an interval, in percent.
pub(crate) const PROBE_JITTER_PERCENT_MAX: u8 = 50;

/// Texts that a probe sends or expects, in bytes. The first 64 KiB of the answer are searched.
pub(crate) const PROBE_TEXT_BYTES_MAX: usize = 4096;

/// Ranges of statuses; there are 500 statuses.
pub(crate) const STATUSES_MAX: usize = 64;

/// Consecutive connection failures that eject a backend.
pub(crate) const EJECT_FAILURES: RangeInclusive<u32> = 1..=1000;

/// The duration of an ejection. A day is for backends that are repaired by hand.
pub(crate) const EJECT_TIME: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Waiting clients. Each holds a descriptor.
pub(crate) const WAITING: RangeInclusive<u32> = 0..=1_000_000;

/// The longest wait of a client. Clients have timeouts of their own, mostly of a minute or less.
pub(crate) const WAITING_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(600);

/// Prefixes of proxies of one listener. Each is compared for each connection.
pub(crate) const PROXY_PREFIXES_MAX: usize = 256;

/// Access lists of a file.
pub(crate) const ACCESS_LISTS_MAX: usize = 256;

/// Rules of an access list. Each has a counter for each worker; addresses go into prefixes, not into rules.
pub(crate) const ACCESS_RULES_MAX: usize = 1000;

/// Prefixes written out in a rule. For more there are files.
pub(crate) const RULE_PREFIXES_MAX: usize = 10_000;

/// A file of prefixes. A line is rarely longer than 64 bytes.
pub(crate) const PREFIX_FILE_BYTES_MAX: usize = 64 << 20;

/// Prefixes of a file. All of them together are two million ranges at most, in 20 MB.
pub(crate) const PREFIX_FILE_LINES_MAX: usize = 1_000_000;

/// Limits of a file.
pub(crate) const SOURCE_LIMITS_MAX: usize = 256;

/// Connections of one source: the range of their count.
pub(crate) const SOURCE_CONNECTIONS: RangeInclusive<u16> = 1..=u16::MAX;

/// The time from one new connection of a source to the next, on average. It is counted in 100 us.
pub(crate) const SOURCE_RATE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// New connections of a source at once.
pub(crate) const SOURCE_BURST: RangeInclusive<u32> = 1..=100_000;

/// How long a burst may take at its rate. It bounds how long a source is remembered.
pub(crate) const BURST_TIME_MAX: Duration = Duration::from_secs(600);

/// Bits of an address that are one source.
pub(crate) const SOURCE_V4: RangeInclusive<u8> = 1..=32;
pub(crate) const SOURCE_V6: RangeInclusive<u8> = 1..=128;

/// Prefixes that do not count.
pub(crate) const EXEMPT_PREFIXES_MAX: usize = 10_000;

/// The time from one new connection of a listener to the next, on average. A tenth of a second's may come at once.
pub(crate) const LISTENER_RATE: RangeInclusive<Duration> = Duration::from_micros(1)..=Duration::from_secs(60);

/// How long a client may take to show itself. With less, one lost segment would end it; more is for nothing but
/// silence.
pub(crate) const OPENING_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);

/// Clients that have yet to show themselves. Each holds a descriptor.
pub(crate) const OPENINGS: RangeInclusive<u32> = 1..=1_000_000;

/// How long the active tier must be able to serve before it takes over.
pub(crate) const FAILBACK_DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);

/// The time for connections of what a reload removed. Zero would be `close`.
pub(crate) const ON_REMOVE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// The number of backends of the active tier that must be available.
pub(crate) const MIN_ACTIVE: RangeInclusive<u16> = 1..=10_000;

/// How long a backend gets less than its share. An hour warms any cache.
pub(crate) const SLOW_START: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// The maximum lag of a replica in time.
pub(crate) const LAG: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);

/// Connections of one backend; 0 is no limit.
pub(crate) const BACKEND_CONNECTIONS: RangeInclusive<u32> = 0..=*CONNECTIONS.end();

/// The path of a socket, in bytes. The kernel allows 107; the rest is for its temporary name while it is created.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 90;

/// Characters of the token of `admin.http`. Fewer could be guessed; more do not fit beside other headers.
pub(crate) const TOKEN_CHARS: RangeInclusive<usize> = 16..=1024;

/// The shutdown timeout. Zero closes connections at once. No init system waits for a day.
pub(crate) const DRAIN_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
