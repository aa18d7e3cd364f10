//! The status of one server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::answer::{ProbeError, Role, Times};
use crate::rise_fall::Verdict;
use crate::roles::{Confirmed, Member};

/// The status of one server.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its health.
    pub verdict: Verdict,
    /// When the verdict last changed.
    pub since: Instant,
    /// How often it went down.
    pub downs: u64,
    /// How long it was down in total, without the time since `since`.
    pub down_before: Duration,
    /// The role it reported last; none if it never did, or since it is down.
    pub role: Option<Role>,
    /// When it reported it; meaningless without a role.
    pub role_times: Times,
    /// The role it reports while it is down.
    pub(crate) role_while_down: Option<Role>,
    /// Whether a probe of this kind has ended: one that asks for the role, if its probe does.
    pub(crate) probed: bool,
    /// Consecutive probes that ended without an answer.
    pub(crate) unanswered: u32,
    /// Whether there are so many of them that the role may have changed.
    pub(crate) stale: bool,
    /// Why the last probe has no answer; none if it has one.
    pub error: Option<ProbeError>,
    /// How long the last probe took; none before the first.
    pub latency: Option<Duration>,
    /// The delay of the start of the last probe, because too many ran or this process had no CPU.
    pub late: Duration,
    /// The number of passed probes.
    pub passed: u64,
    /// The number of probes that count against the server.
    pub failed: u64,
    /// The number of probes that say nothing about the server, see [`ProbeError::blames_server`].
    pub inconclusive: u64,
    /// The number of probes without an answer, by [`ProbeError::name`]; errors that never occurred are missing.
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

    /// What decisions on roles depend on, except for the position.
    pub(crate) fn essence(&self) -> (Verdict, Option<&'static str>, bool, Option<Confirmed>, bool) {
        let role = self.role.as_ref().map(Role::name);
        // It matters only for a claim.
        let confirmed = matches!(self.role, Some(Role::Primary(_))).then(|| self.confirmed());
        (self.verdict, role, self.is_fresh(), confirmed, self.probed)
    }

    /// How long it was down in total.
    pub fn down_time(&self, now: Instant) -> Duration {
        match self.verdict {
            Verdict::Down => self.down_before + now.saturating_duration_since(self.since),
            Verdict::Unknown | Verdict::Up => self.down_before,
        }
    }

    /// The status as a member of a group, for [`Roles::decide`](crate::roles::Roles::decide).
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

    /// A probe that could not be made does not make an earlier answer stale.
    fn is_fresh(&self) -> bool {
        !self.error.as_ref().is_some_and(ProbeError::blames_server)
    }
}
