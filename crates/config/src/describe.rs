//! A configuration in words, with defaults: the output of `rondel check`.

use std::fmt::{self, Display};
use std::net::SocketAddr;

use crate::access::{AccessList, Refusal, Refuse, SourceLimits};
use crate::config::{
    ADMIN_SOCKET_DEFAULT, AccessLog, Admin, AdminSocket, Backend, Backups, Balance, Config, ConnectionsMax,
    Eject, Failback, Fallback, Keepalive, LagMax, Listener, OnAllDown, OnDemotion, OnLoss, OnRemove, Pool,
    Runtime, TargetRole, Tier, Waiting, Workers, show_fields,
};
use crate::duration::show;
use crate::escaped;
use crate::probe::{Http, Kind, Login, Probe, Question, Rhythm, Secret, Thresholds, Tls};
use crate::route::{Route, Routing, Silent, Unknown};
use crate::sentences::counted;

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.runtime.describe(f)?;
        self.admin.describe(f)?;
        describe_access_log(self.access_log.as_ref(), f)?;
        self.access.iter().try_for_each(|list| list.describe(f))?;
        self.limits.iter().try_for_each(|limits| limits.describe(f))?;
        for listener in &self.listeners {
            listener.describe(self, f)?;
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
        setting(f, "drain_timeout", show(self.drain_timeout))?;
        match &self.state {
            None => setting(f, "state", "off: what operators say ends with the process"),
            Some(folder) => setting(f, "state", folder.display()),
        }
    }
}

impl Admin {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nadmin")?;
        match &self.socket {
            AdminSocket::Auto => {
                setting(f, "socket", format_args!("auto: {ADMIN_SOCKET_DEFAULT}, if it can be made"))?;
            }
            socket => setting(f, "socket", socket)?,
        }
        match (self.http, &self.token_file) {
            (None, _) => setting(f, "http", "off"),
            (Some(http), None) => setting(f, "http", format_args!("{}, to read only", http.address)),
            (Some(http), Some(token_file)) => {
                let path = visible(&token_file.display().to_string());
                setting(f, "http", format_args!("{}, to read only, with the token in {path}", http.address))
            }
        }
    }
}

fn describe_access_log(log: Option<&AccessLog>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "\naccess_log")?;
    let Some(AccessLog { to, facility, format, fields, skip_empty }) = log else {
        return setting(f, "to", "off");
    };
    setting(f, "to", to)?;
    if to.is_syslog() {
        setting(f, "facility", facility)?;
    }
    setting(f, "format", format)?;
    if let Some(fields) = fields {
        setting(f, "fields", show_fields(fields))?;
    }
    setting(f, "skip_empty", skip_empty)
}

impl AccessList {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = counted(self.ranges.len(), "range");
        writeln!(f, "\naccess list {}: {} in {ranges}", self.name, counted(self.prefixes(), "prefix"))?;
        for (index, rule) in self.rules.iter().enumerate() {
            setting(f, &format!("rule {}", index + 1), rule)?;
        }
        setting(f, "otherwise", self.otherwise)?;
        self.refusal.describe(f)
    }
}

impl SourceLimits {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nlimits {}: {self}", self.name)?;
        self.refusal.describe(f)
    }
}

impl Refusal {
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            Refuse::Reset => "reset: by a TCP reset",
            Refuse::Drop => "drop: by a reset that ends at the first router",
        };
        setting(f, "refuse", how)?;
        if self.dry_run {
            setting(f, "dry_run", "true: what would be refused is counted and served")?;
        }
        Ok(())
    }
}

impl Listener {
    fn describe(&self, config: &Config, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pool = &config.pools[self.pool.0];
        writeln!(f, "\nlistener {} {} -> pool {}", self.name, self.shown_addresses(), pool.name)?;
        match self.target_role {
            TargetRole::Any => {}
            TargetRole::Primary(hold) => {
                setting(f, "role", "primary")?;
                setting(f, "hold", hold)?;
            }
            TargetRole::Replica(Fallback::None) => setting(f, "role", "replica")?,
            TargetRole::Replica(Fallback::Primary) => setting(f, "role", "replica, or else primary")?,
        }
        if let Some(proxy_protocol) = &self.proxy_protocol {
            setting(f, "proxy_protocol", proxy_protocol)?;
        }
        if self.opens() {
            setting(f, "opening", self.opening)?;
        }
        if let Some(access) = self.access {
            setting(f, "access", &config.access[access.0].name)?;
        }
        if let Some(limits) = self.limits {
            setting(f, "limits", &config.limits[limits.0].name)?;
        }
        if let Some(rate) = self.rate {
            setting(f, "rate", format_args!("{rate}: beyond it clients wait in the backlog"))?;
        }
        setting(f, "access_log", self.access_log)?;
        setting(f, "backlog", self.backlog)?;
        setting(f, "max_connections", self.connections_max)?;
        setting(f, "freebind", self.freebind)?;
        let mut of_ipv6 =
            self.addresses.iter().map(|listen| listen.address).filter(SocketAddr::is_ipv6).peekable();
        if of_ipv6.peek().is_some() {
            let takes_both = !self.v6only && of_ipv6.any(|address| address.ip().is_unspecified());
            let is_on =
                if takes_both { "false: takes IPv4 as well".to_owned() } else { self.v6only.to_string() };
            setting(f, "v6only", is_on)?;
        }
        self.routing.describe(&config.pools, f)
    }
}

impl Routing {
    fn describe(&self, pools: &[Pool], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.routes.is_empty() {
            return Ok(());
        }
        let unknown = match self.unknown {
            Unknown::Pool => "pool: what no route takes goes to the pool of the listener",
            Unknown::Refuse => "refuse: what no route takes is reset",
        };
        let silent = match self.silent {
            Silent::Refuse => "refuse: a client that sends nothing is reset",
            Silent::Pool => "pool: a client that sends nothing goes to the pool of the listener",
        };
        setting(f, "unknown", unknown)?;
        setting(f, "silent", silent)?;
        let names = self.routes.iter().map(|route| route.name.len()).max().unwrap_or(0);
        for Route { name, takes, pool } in &self.routes {
            writeln!(f, "  route {name:names$}  {takes} -> pool {}", pools[pool.0].name)?;
        }
        Ok(())
    }
}

impl Pool {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let balance = match self.balance {
            Balance::RoundRobin => "round robin",
            Balance::First => "the first that is available",
            Balance::LeastConnections => "least connections",
            Balance::Random => "the better of two by chance",
            Balance::Maglev => "by the client's address (maglev)",
        };
        let backends = counted(self.backends.len(), "backend");
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
        if let Some(send_proxy) = &self.send_proxy {
            setting(f, "send_proxy", send_proxy)?;
        }
        self.describe_health(f)?;
        match self.on_remove {
            OnRemove::Drain(time) => {
                setting(f, "on_remove", format_args!("drain: connections may finish within {}", show(time)))?;
            }
            OnRemove::Keep => setting(f, "on_remove", "keep: connections live on")?,
            OnRemove::Close => setting(f, "on_remove", "close: connections are closed")?,
        }
        self.describe_backends(f)
    }

    fn describe_health(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.probe {
            None => setting(f, "probe", "none")?,
            Some(probe) => setting(f, "probe", probe)?,
        }
        match self.eject {
            None => setting(f, "eject", "off")?,
            Some(eject) => setting(f, "eject", eject)?,
        }
        if self.probe.is_none() && self.eject.is_none() {
            return Ok(());
        }
        let on_all_down = match self.on_all_down {
            OnAllDown::Open => "open: then all backends are used",
            OnAllDown::Closed => "closed: then connections are rejected",
        };
        setting(f, "on_all_down", on_all_down)?;
        // An ejection closes no connection: only a probe marks a backend down.
        if self.probe.is_some() {
            setting(f, "on_down", loss(self.on_down))?;
        }
        if !self.slow_start.is_zero() {
            setting(f, "slow_start", show(self.slow_start))?;
        }
        if self.backends.iter().any(|backend| backend.tier == Tier::Backup) {
            self.describe_tiers(f)?;
        }
        if self.probe.as_ref().is_some_and(|probe| probe.tells_roles()) {
            setting(f, "on_role_loss", loss(self.on_role_loss))?;
            match self.lag_max {
                LagMax { time: None, bytes: None } => setting(f, "max_lag", "any")?,
                lag_max => setting(f, "max_lag", lag_max)?,
            }
        }
        Ok(())
    }

    fn describe_tiers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        setting(f, "min_active", self.tiers.active_min)?;
        let backups = match self.tiers.backups {
            Backups::All => "all that are available serve together",
            Backups::First => "the first that is available serves alone",
        };
        setting(f, "backups", backups)?;
        match self.tiers.failback {
            Failback::Manual => setting(f, "failback", "manual")?,
            Failback::Auto(delay) if delay.is_zero() => setting(f, "failback", "auto: at once")?,
            Failback::Auto(delay) => setting(f, "failback", format_args!("auto: after {}", show(delay)))?,
        }
        let on_demotion = match self.tiers.on_demotion {
            OnDemotion::Keep => "keep: connections live on",
            OnDemotion::Drain => "drain: connections may finish within drain_timeout",
            OnDemotion::Close => "close: connections are closed",
        };
        setting(f, "on_demotion", on_demotion)
    }

    fn describe_backends(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.backends.iter().any(|backend| backend.connections_max.is_some()) {
            setting(f, "queue", self.queue)?;
        }
        let names = self.backends.iter().map(|backend| backend.name.len()).max().unwrap_or(0);
        let addresses =
            self.backends.iter().map(|backend| backend.address.to_string().len()).max().unwrap_or(0);
        for backend in &self.backends {
            let address = backend.address.to_string();
            writeln!(
                f,
                "  backend {:names$}  {address:addresses$}  weight {}{}",
                backend.name,
                backend.weight,
                notes(backend)
            )?;
        }
        Ok(())
    }
}

/// The other properties of a backend.
fn notes(backend: &Backend) -> String {
    let drained = if backend.weight == 0 { ": takes no new connections" } else { "" };
    let backup = if backend.tier == Tier::Backup { ", backup" } else { "" };
    let bound = backend
        .connections_max
        .map_or_else(String::new, |most| format!(", at most {}", counted(most.get(), "connection")));
    format!("{drained}{backup}{bound}")
}

fn loss(on_loss: OnLoss) -> &'static str {
    match on_loss {
        OnLoss::Keep => "keep: connections live on",
        OnLoss::Close => "close: connections are closed",
    }
}

impl Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.connections_max {
            0 => f.write_str("clients do not wait"),
            number => write!(f, "{} at most, each up to {}", counted(number, "client"), show(self.timeout)),
        }
    }
}

impl Display for Eject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failures, base, cap } = self;
        write!(f, "after {failures} failed connects, for {}, at most {}", show(*base), show(*cap))
    }
}

impl Display for Probe {
    /// On one line, without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rhythm { interval, interval_in_transition, timeout, jitter_percent } = self.rhythm;
        let Thresholds { rise, fall } = self.thresholds;
        self.kind.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, " at port {port}")?;
        }
        if let Some(version) = self.send_proxy {
            write!(f, " behind a PROXY header {version}")?;
        }
        write!(
            f,
            ", every {} ({} in transition, jitter {jitter_percent}%), timeout {}, rise {rise}, fall {fall}",
            show(interval),
            show(interval_in_transition),
            show(timeout)
        )
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = match self {
            Self::Tcp => return f.write_str("tcp"),
            Self::Http(http) => {
                http.fmt(f)?;
                &http.tls
            }
            Self::Exchange(exchange) => {
                let (send, expect) = (escaped::show(&exchange.send), escaped::show(&exchange.expect));
                write!(f, "exchange `{send}` for `{expect}`")?;
                &exchange.tls
            }
            Self::Postgres(postgres) => {
                write!(f, "postgres {} database {}", postgres.login, visible(&postgres.database))?;
                &postgres.tls
            }
            Self::Mysql(mysql) => {
                write!(f, "mysql {}", mysql.login)?;
                &mysql.tls
            }
            Self::Redis(redis) => {
                f.write_str("redis")?;
                redis.login.iter().try_for_each(|login| write!(f, " {login}"))?;
                &redis.tls
            }
        };
        match tls {
            None => Ok(()),
            Some(Tls { name, .. }) => write!(f, " with TLS to {}", visible(name)),
        }
    }
}

impl Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http {} ", self.method)?;
        match &self.question {
            Question::Role { primary, replica } => write!(f, "{primary} and {replica} for the role")?,
            Question::Health { path, statuses, body } => {
                let statuses: Vec<_> = statuses
                    .iter()
                    .map(|range| match (range.start(), range.end()) {
                        (first, last) if first == last => first.to_string(),
                        (first, last) => format!("{first}-{last}"),
                    })
                    .collect();
                write!(f, "{path} for {}", statuses.join(", "))?;
                if !body.is_empty() {
                    write!(f, " with `{}`", visible(body))?;
                }
            }
        }
        write!(f, " of {}", self.host)
    }
}

impl Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user.as_str() {
            "" => f.write_str("as the default user")?,
            user => write!(f, "as {}", visible(user))?,
        }
        match &self.password {
            Secret::None => f.write_str(" without password"),
            Secret::File(path) => write!(f, " with the password in {}", visible(&path.display().to_string())),
            Secret::Environment(name) => write!(f, " with the password of ${name}"),
        }
    }
}

/// Text of the operator, which must not control a terminal.
fn visible(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

fn setting(f: &mut fmt::Formatter<'_>, key: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {key:KEY_WIDTH$}  {value}")
}

/// The width of the longest key, `half_closed_timeout`.
const KEY_WIDTH: usize = 19;
