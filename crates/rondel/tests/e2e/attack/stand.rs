//! The balancer under attack: with a number of workers, run by a user, and required to return to its state before.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::ops::Deref;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::access_log::AccessLog;
use crate::lb::{Lb, all_closes, total};
use crate::peers::{Backend, Client};
use crate::place::{PATIENCE, address, assert_root, eventually, holds_within, long_lane};
use crate::setup::Setup;

/// The shape of the balancer under attack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stand {
    pub(crate) workers: u16,
    user: User,
}

/// The user of the process. Limits of locked memory and of pipes, and some errors, differ for root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    /// The user that runs the tests.
    Own,
    /// An unprivileged user.
    Nobody,
}

/// Makes the fault in each stand of this lane: the short one has one stand, the long one all six.
pub(crate) fn on_each_stand(fault: impl Fn(Stand)) {
    let stands: &[Stand] = if long_lane() { &ALL } else { &ALL[..1] };
    for stand in stands {
        println!("{stand}");
        fault(*stand);
    }
}

/// The same for a fault that takes longer than the short lane allows.
pub(crate) fn on_each_stand_of_the_long_lane(fault: impl Fn(Stand)) {
    if long_lane() {
        on_each_stand(fault);
    } else {
        println!("part of the long lane only: RONDEL_LONG=1");
    }
}

const ALL: [Stand; 6] = [
    Stand { workers: 2, user: User::Own },
    Stand { workers: 1, user: User::Own },
    Stand { workers: 4, user: User::Own },
    Stand { workers: 2, user: User::Nobody },
    Stand { workers: 1, user: User::Nobody },
    Stand { workers: 4, user: User::Nobody },
];

impl Stand {
    /// Starts a balancer with this setup.
    #[track_caller]
    pub(crate) fn start(self, setup: &Setup) -> Attacked {
        self.start_with("drain_timeout: 5s", setup)
    }

    /// The same, with other process settings than the number of workers.
    #[track_caller]
    pub(crate) fn start_with(self, runtime: &str, setup: &Setup) -> Attacked {
        let echo = Backend::echo(9090);
        let access = AccessLog::new();
        let setup = access.with_all(self.complete(runtime, setup));
        let setup =
            setup.listen("others", address(OTHERS), "others", "").pool("others", "", &[echo.target()]);
        let lb = Lb::start_under(self.wrapper(), &setup);
        let mut attacked = Attacked { lb, access, _echo: echo, setup, before: Held::default(), stand: self };
        attacked.connect_to_others().echoes(b"the first connection allocates what is kept");
        eventually("the first connection is gone", || attacked.sockets() == 0);
        // With its line, the log has read what it reads once, such as the time zone: no descriptor is on its way.
        eventually("its line is written", || attacked.access.lines().len() == 1);
        attacked.before = Held::by(&attacked.lb);
        attacked
    }

    /// A setup with the settings of this stand.
    pub(crate) fn complete(self, runtime: &str, setup: &Setup) -> Setup {
        setup.clone().runtime(&format!("workers: {}, {runtime}", self.workers))
    }

    /// The wrapper that runs the balancer as the user of this stand.
    pub(crate) fn wrapper(self) -> &'static [&'static str] {
        match self.user {
            User::Own => &[],
            User::Nobody => {
                assert_root("runs the balancer as another user");
                &["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            }
        }
    }
}

impl Display for Stand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "workers: {}, user: {:?}", self.workers, self.user)
    }
}

/// A balancer that is attacked through its listener `web`, while a second listener serves other clients.
pub(crate) struct Attacked {
    lb: Lb,
    access: AccessLog,
    _echo: Backend,
    setup: Setup,
    before: Held,
    stand: Stand,
}

impl Deref for Attacked {
    type Target = Lb;

    fn deref(&self) -> &Lb {
        &self.lb
    }
}

impl Attacked {
    /// The configuration that it was started with.
    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// A client of the other listener, which has an echo behind it.
    #[track_caller]
    #[expect(clippy::unused_self, reason = "an address is the address of a balancer")]
    pub(crate) fn connect_to_others(&self) -> Client {
        Client::connect(address(OTHERS))
    }

    /// Asserts that clients of the other listener are served, each request, and prints how long the slowest took.
    #[track_caller]
    pub(crate) fn serves_others(&self) {
        let mut slowest = Duration::ZERO;
        for _ in 0..10 {
            let mut client = self.connect_to_others();
            for _ in 0..100 {
                let asked = Instant::now();
                client.echoes(b"still served");
                slowest = slowest.max(asked.elapsed());
            }
        }
        println!("slowest of 1000 requests of others: {slowest:?}");
    }

    /// The current totals, without a change of the configuration.
    #[track_caller]
    pub(crate) fn totals(&self) -> String {
        let mark = self.lb.mark();
        self.lb.signal(Signal::HUP);
        // The totals are logged before the reload is done or rejected.
        self.lb.wait_for("reload", mark);
        self.lb.log_from(mark)
    }

    /// Asserts that it is back in its state before, that it serves other clients, that connections of `web` ended
    /// for exactly these reasons, by all counters, and that it shuts down when told to.
    #[track_caller]
    pub(crate) fn recovered(self, reasons: &[(&str, u64)]) {
        self.is_in_its_state_before();
        let expected = reasons.iter().map(|&(reason, count)| (reason.to_owned(), count)).collect();
        self.tells_alike(&expected);
        self.serves_others();
        self.lb.end();
    }

    /// Asserts that connections of `web` ended for exactly these reasons, by the totals, the access log, the
    /// metrics and the list of ended connections.
    #[track_caller]
    pub(crate) fn tells_alike(&self, expected: &BTreeMap<String, u64>) {
        assert_eq!(all_closes(&self.totals()), *expected, "reasons counted, and expected");
        self.access.tells_alike(expected);
    }

    /// Asserts that it is back in its state before: no connection counted, no further socket or descriptor, and the
    /// same memory except for [`WARM`] and [`MEMORY_SLACK`].
    #[track_caller]
    pub(crate) fn is_in_its_state_before(&self) {
        eventually("no socket of an ended connection is left", || self.lb.sockets() == 0);
        let bound = self.before.memory + usize::from(self.stand.workers) * WARM + MEMORY_SLACK;
        let mut held = Held::by(&self.lb);
        holds_within(PATIENCE, || {
            held = Held::by(&self.lb);
            held.descriptors == self.before.descriptors && held.memory <= bound
        });
        assert_eq!(held.descriptors, self.before.descriptors, "descriptors now, and before");
        println!("memory before: {} KiB, now: {} KiB", self.before.memory / 1024, held.memory / 1024);
        assert!(held.memory <= bound, "{} bytes of memory, at most {bound}", held.memory);
        let pipes = 2 * usize::from(self.stand.workers) * self.pipes_per_worker();
        assert!(held.pipes <= self.before.pipes + pipes, "{} ends of pipes, at most {pipes}", held.pipes);
        // A socket is closed a moment before its connection is no longer counted.
        for listener in ["listener=web", "listener=others"] {
            eventually("none is active", || total(&self.totals(), listener, "active") == 0);
        }
    }

    fn pipes_per_worker(&self) -> usize {
        let log = self.lb.log_text();
        let (_, rest) = log.split_once("pipes_per_worker=").expect("it says how many pipes");
        rest.split(' ').next().unwrap().parse().unwrap()
    }
}

/// What the process holds.
#[derive(Default)]
struct Held {
    /// Open descriptors by kind, without pipes.
    descriptors: BTreeMap<String, usize>,
    /// Ends of pipes. Empty ones are kept for the next stream, up to a limit.
    pipes: usize,
    memory: usize,
}

impl Held {
    fn by(lb: &Lb) -> Self {
        let mut descriptors = lb.descriptors();
        let pipes = descriptors.remove("pipe").unwrap_or(0);
        Self { descriptors, pipes, memory: lb.memory() }
    }
}

/// The port of the other listener.
const OTHERS: u16 = 8090;

/// The memory of the buffers that a worker keeps warm.
const WARM: usize = 36 << 20;

/// How much more memory it may have than before besides: slots and timers that were used once.
const MEMORY_SLACK: usize = 4 << 20;
