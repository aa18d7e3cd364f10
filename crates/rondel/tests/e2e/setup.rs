//! A configuration as tests write it, and its YAML for the binary.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

use crate::place::address;

/// The port of the first listener in most tests.
pub(crate) const PORT: u16 = 8080;

/// The content of the generated file. Other settings have the defaults of the binary.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    runtime: String,
    /// Settings of the admin interface; off by default, because there is only one default socket on a host.
    admin: Option<String>,
    access_log: Option<String>,
    /// The access lists and the limits, whole.
    guards: Vec<String>,
    listeners: Vec<String>,
    pools: Vec<String>,
}

/// A backend of a pool.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) weight: u16,
    /// Further settings: `", tier: backup"`.
    settings: String,
}

/// `name`, at `port` of this process's address, with weight 1.
pub(crate) fn target(name: &str, port: u16) -> Target {
    target_at(name, address(port))
}

/// The same at any address.
pub(crate) fn target_at(name: &str, address: SocketAddr) -> Target {
    Target { name: name.into(), address, weight: 1, settings: String::new() }
}

impl Target {
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// With further settings: `"tier: backup, max_connections: 2"`.
    pub(crate) fn with(mut self, settings: &str) -> Self {
        self.settings = format!(", {settings}");
        self
    }

    pub(crate) fn weighing(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }
}

impl Setup {
    /// Without a listener or a pool.
    pub(crate) fn empty() -> Self {
        Self::default().runtime("workers: 2, drain_timeout: 5s")
    }

    /// One listener, at [`PORT`], with one pool of these backends; both are named `web`.
    pub(crate) fn to<'a>(backends: impl IntoIterator<Item = &'a Target>) -> Self {
        Self::to_with("", backends)
    }

    /// The same, with further settings of the pool: `"idle_timeout: 1s, attempts: 2"`.
    pub(crate) fn to_with<'a>(settings: &str, backends: impl IntoIterator<Item = &'a Target>) -> Self {
        Self::empty().listen("web", address(PORT), "web", "").pool("web", settings, backends)
    }

    /// Replaces the settings of the process.
    pub(crate) fn runtime(mut self, settings: &str) -> Self {
        self.runtime = settings.into();
        self
    }

    /// Replaces the settings of the admin interface.
    pub(crate) fn admin(mut self, settings: &str) -> Self {
        self.admin = Some(settings.into());
        self
    }

    /// With an access log: `"{ to: /tmp/access.log, format: json }"`.
    pub(crate) fn access_log(mut self, log: &str) -> Self {
        self.access_log = Some(log.into());
        self
    }

    /// Adds an access list, without its name: `"internet"`, `"rules: [{ deny: 10.0.0.0/8 }]"`.
    pub(crate) fn access(mut self, name: &str, settings: &str) -> Self {
        self.guards.push(format!("access: [{{ name: {name}, {settings} }}]"));
        self
    }

    /// Adds limits, without their name: `"visitors"`, `"connections: 5"`.
    pub(crate) fn limits(mut self, name: &str, settings: &str) -> Self {
        self.guards.push(format!("limits: [{{ name: {name}, {settings} }}]"));
        self
    }

    /// Adds a listener, with further settings: `"max_connections: 2"`.
    pub(crate) fn listen(mut self, name: &str, address: SocketAddr, pool: &str, settings: &str) -> Self {
        self.listeners.push(format!("{{ name: {name}, address: \"{address}\", pool: {pool}, {settings} }}"));
        self
    }

    /// Adds a listener of several addresses: `"[:80, 127.0.0.1:90-99]"`.
    pub(crate) fn listen_at(mut self, name: &str, addresses: &[&str], pool: &str, settings: &str) -> Self {
        self.listeners.push(format!("{{ name: {name}, address: {addresses:?}, pool: {pool}, {settings} }}"));
        self
    }

    /// Without its listeners, for a test that adds its own.
    pub(crate) fn without_listeners(mut self) -> Self {
        self.listeners.clear();
        self
    }

    /// Adds a pool.
    pub(crate) fn pool<'a>(
        mut self,
        name: &str,
        settings: &str,
        backends: impl IntoIterator<Item = &'a Target>,
    ) -> Self {
        let backends: Vec<_> = backends.into_iter().map(ToString::to_string).collect();
        self.pools.push(format!("{{ name: {name}, backends: [{}], {settings} }}", backends.join(", ")));
        self
    }
}

impl Display for Setup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "version: 1")?;
        writeln!(f, "runtime: {{ {} }}", self.runtime)?;
        writeln!(f, "admin: {{ {} }}", self.admin.as_deref().unwrap_or("socket: off"))?;
        if let Some(log) = &self.access_log {
            writeln!(f, "access_log: {log}")?;
        }
        self.guards.iter().try_for_each(|guard| writeln!(f, "{guard}"))?;
        writeln!(f, "listeners:")?;
        self.listeners.iter().try_for_each(|listener| writeln!(f, "  - {listener}"))?;
        writeln!(f, "pools:")?;
        self.pools.iter().try_for_each(|pool| writeln!(f, "  - {pool}"))
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, address, weight, settings } = self;
        write!(f, "{{ name: {name}, address: \"{address}\", weight: {weight}{settings} }}")
    }
}
