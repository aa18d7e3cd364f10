//! Asks backends what a running rondel would ask them: the probe of the pool, and a connect.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::probe::{Damping, Kind, Rhythm, Thresholds};
use config::{Backend, Config, Pool, Probe};
use health::{Outcome, ProbeError, Target, probe_with_certificate};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::certificates::Validity;

/// A backend by its pool and its place in it.
pub(super) type BackendIndex = (usize, usize);

/// What a backend answered.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// To the probe of its pool; none if the pool has none.
    pub(super) probe: Option<Result<Passed, ProbeError>>,
    /// To a connect; none if the probe goes to the same port, and so connects itself.
    pub(super) connect: Option<Result<(), ProbeError>>,
}

/// A probe that passed.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    pub(super) latency: Duration,
    /// The role that the server reports, if the probe asks for it.
    pub(super) role: Option<&'static str>,
    /// The certificate of the server, with TLS.
    pub(super) certificate: Option<Validity>,
}

/// Asks the first [`BACKENDS_MAX`] backends, at most [`RUNNING_MAX`] at a time. Those that have not answered within
/// [`TIME_MAX`] are missing.
pub(super) async fn ask_all(config: &Config) -> BTreeMap<BackendIndex, Asked> {
    let deadline = Instant::now() + TIME_MAX;
    let limit = Arc::new(Semaphore::new(RUNNING_MAX));
    let mut running = JoinSet::new();
    let pools = config.pools.iter().enumerate();
    let backends = pools.flat_map(|(number, pool)| {
        pool.backends.iter().enumerate().map(move |(index, backend)| ((number, index), pool, backend))
    });
    for (index, pool, backend) in backends.take(BACKENDS_MAX) {
        let (probe, connect) = questions(pool, backend);
        let limit = Arc::clone(&limit);
        running.spawn(async move {
            let _permit = limit.acquire().await;
            (index, ask(probe, connect).await)
        });
    }
    let mut asked = BTreeMap::new();
    while let Ok(Some(ended)) = timeout_at(deadline, running.join_next()).await {
        let (index, answers) = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        asked.insert(index, answers);
    }
    asked
}

/// The probe of a backend, and a connect to it if the probe does not connect to the same port.
fn questions(pool: &Pool, backend: &Backend) -> (Option<Target>, Option<Target>) {
    let address = backend.address;
    let probe = pool.probe.as_ref().map(|probe| Target { address, probe: Arc::clone(probe) });
    let connects = probe.as_ref().is_some_and(|probe| probe.probed_address() == address);
    // A `tcp` probe connects as clients do, and does not let MySQL count this host as one that never logs in.
    let connect = (!connects).then(|| Target { address, probe: Arc::new(connect_as(pool)) });
    (probe, connect)
}

/// A probe that connects as the pool does.
fn connect_as(pool: &Pool) -> Probe {
    let timeout = pool.connect_timeout.min(CONNECT_TIME_MAX);
    Probe {
        kind: Kind::Tcp,
        port: None,
        source: pool.source,
        send_proxy: pool.send_proxy.as_ref().map(|header| header.version),
        rhythm: Rhythm { interval: timeout, interval_in_transition: timeout, timeout, jitter_percent: 0 },
        thresholds: Thresholds { rise: 1, fall: 1 },
        damping: Damping { downs_free: 0, window: Duration::ZERO },
    }
}

async fn ask(probe: Option<Target>, connect: Option<Target>) -> Asked {
    let mut asked = Asked { probe: None, connect: None };
    if let Some(target) = &probe {
        let (Outcome { answer, latency }, certificate) = probe_with_certificate(target).await;
        asked.probe = Some(answer.map(|answer| Passed {
            latency,
            role: answer.role.as_ref().map(health::Role::name),
            certificate: certificate.and_then(|der| Validity::of(&der)),
        }));
    }
    if let Some(target) = &connect {
        asked.connect = Some(health::probe(target).await.answer.map(drop));
    }
    asked
}

/// The maximum number of backends that are asked, so that the list stays readable.
pub(super) const BACKENDS_MAX: usize = 256;

/// How many backends are asked at a time.
const RUNNING_MAX: usize = 32;

/// The time limit of all probes and connects together.
pub(super) const TIME_MAX: Duration = Duration::from_secs(60);

/// The time limit of a connect, if `connect_timeout` is longer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
