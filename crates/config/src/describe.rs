//! A configuration in words, defaults included: what `rondel check` prints.

use std::fmt::{self, Display};

use crate::config::{Balance, Config, ConnectionsMax, Keepalive, Listener, Pool, Runtime, Workers};
use crate::duration::show;

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.runtime.describe(f)?;
        for listener in &self.listeners {
            listener.describe(&self.pools[listener.pool.0], f)?;
        }
        self.pools.iter().try_for_each(|pool| pool.describe(f))
    }
}

impl Runtime {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = match self.workers {
            Workers::Auto => "auto: one for each CPU the process may run on".to_owned(),
            Workers::Number(number) => number.to_string(),
        };
        let connections_max = match self.connections_max {
            ConnectionsMax::Auto => "auto: as many as the open-file limit allows".to_owned(),
            ConnectionsMax::Number(number) => number.to_string(),
        };
        writeln!(f, "runtime")?;
        setting(f, "workers", workers)?;
        setting(f, "max_connections", connections_max)?;
        setting(f, "drain_timeout", show(self.drain_timeout))
    }
}

impl Listener {
    fn describe(&self, pool: &Pool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nlistener {} {} -> pool {}", self.name, self.address, pool.name)?;
        setting(f, "backlog", self.backlog)?;
        setting(f, "max_connections", self.connections_max)?;
        setting(f, "freebind", self.freebind)?;
        match (self.address.ip().is_unspecified(), self.address.is_ipv6(), self.v6only) {
            (true, true, false) => setting(f, "v6only", "false: takes IPv4 as well"),
            (_, true, v6only) => setting(f, "v6only", v6only),
            (_, false, _) => Ok(()),
        }
    }
}

impl Pool {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let balance = match self.balance {
            Balance::RoundRobin => "round robin",
        };
        let backends = match self.backends.len() {
            1 => "1 backend".to_owned(),
            number => format!("{number} backends"),
        };
        writeln!(f, "\npool {}: {balance} over {backends}", self.name)?;
        setting(f, "connect_timeout", format_args!("{} for each attempt", show(self.connect_timeout)))?;
        setting(f, "attempts", self.attempts)?;
        setting(f, "idle_timeout", show(self.idle_timeout))?;
        setting(f, "half_closed_timeout", show(self.half_closed_timeout))?;
        let Keepalive { idle, interval, probes } = self.keepalive;
        let keepalive = format!("after {}, every {}, {probes} times", show(idle), show(interval));
        setting(f, "keepalive", keepalive)?;
        match self.source {
            None => setting(f, "source", "chosen by the kernel")?,
            Some(source) => setting(f, "source", source)?,
        }
        let names = self.backends.iter().map(|backend| backend.name.len()).max().unwrap_or(0);
        let addresses =
            self.backends.iter().map(|backend| backend.address.to_string().len()).max().unwrap_or(0);
        for backend in &self.backends {
            let note = if backend.weight == 0 { ": takes no new connections" } else { "" };
            let address = backend.address.to_string();
            writeln!(
                f,
                "  backend {:names$}  {address:addresses$}  weight {}{note}",
                backend.name, backend.weight
            )?;
        }
        Ok(())
    }
}

fn setting(f: &mut fmt::Formatter<'_>, key: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {key:KEY_WIDTH$}  {value}")
}

/// The width of the longest key, `half_closed_timeout`.
const KEY_WIDTH: usize = 19;
