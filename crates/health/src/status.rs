//! What is known of one server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::answer::{ProbeError, Role, Times};
use crate::rise_fall::Verdict;
use crate::roles::{Confirmed, Member};

/// What is known of a server.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether it is well.
    pub verdict: Verdict,
    /// Since when it is, or is not.
    pub since: Instant,
    /// How often it went down.
    pub downs: u64,
    /// How long it was down in all, without the time since `since`.
    pub down_before: Duration,
    /// The role it last said it has; none if it never said, or since it is down.
    pub role: Option<Role>,
    /// When it last said so; of no meaning without a role.
    pub role_times: Times,
    /// The role that it says it has while it is down.
    pub(crate) role_while_down: Option<Role>,
    /// Whether a probe of this kind has ended: one that asks for the role, if its probe does.
    pub(crate) probed: bool,
    /// Probes in a row that ended without an answer.
    pub(crate) unanswered: u32,
    /// Whether so many of them did that the role may be another by now.
    pub(crate) stale: bool,
    /// Why the last probe has no answer; none if it has.
    pub error: Option<ProbeError>,
    /// How long the last probe took; none before the first.
    pub latency: Option<Duration>,
    /// How long after its time the last probe began, because too many ran or this process had no CPU.
    pub late: Duration,
    /// Probes passed.
    pub passed: u64,
    /// Probes that count against the server.
    pub failed: u64,
    /// Probes that say nothing of the server, see [`ProbeError::blames_server`].
    pub inconclusive: u64,
    /// Probes that have no answer, by [`ProbeError::name`]; without those that never occurred.
    pub errors: BTreeMap<&'static str, u64>,
}

impl Status {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            verdict: Verdict::Unknown,
            since: now,
            downs: 0,
            down_before: Duration::ZERO,
            role: None,
            role_times: Times { asked: now, answered: now },
            role_while_down: None,
            probed: false,
            unanswered: 0,
            stale: false,
            error: None,
            latency: None,
            late: Duration::ZERO,
            passed: 0,
            failed: 0,
            inconclusive: 0,
            errors: BTreeMap::new(),
        }
    }

    /// What roles are decided by, but for how far the server is.
    pub(crate) fn essence(&self) -> (Verdict, Option<&'static str>, bool, Option<Confirmed>, bool) {
        let role = self.role.as_ref().map(Role::name);
        // Of a claim alone it matters.
        let confirmed = matches!(self.role, Some(Role::Primary(_))).then(|| self.confirmed());
        (self.verdict, role, self.is_fresh(), confirmed, self.probed)
    }

    /// How long it was down in all.
    pub fn down_time(&self, now: Instant) -> Duration {
        match self.verdict {
            Verdict::Down => self.down_before + now.saturating_duration_since(self.since),
            Verdict::Unknown | Verdict::Up => self.down_before,
        }
    }

    /// The same for [`Roles::decide`](crate::roles::Roles::decide), under the name `key`.
    pub fn member<K>(&self, key: K) -> Member<'_, K> {
        Member {
            key,
            verdict: self.verdict,
            probed: self.probed,
            role: self.role.as_ref(),
            times: self.role_times,
            fresh: self.is_fresh(),
            confirmed: self.confirmed(),
        }
    }

    fn confirmed(&self) -> Confirmed {
        match self.unanswered {
            0 => Confirmed::Now,
            _ if self.stale => Confirmed::LongAgo,
            _ => Confirmed::Lately,
        }
    }

    /// A probe that could not be made says nothing against what the server said before.
    fn is_fresh(&self) -> bool {
        !self.error.as_ref().is_some_and(ProbeError::blames_server)
    }
}
