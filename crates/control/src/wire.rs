//! The words of the admin interface for the values of the other crates.

use api::{AccessAction, BackendRole, Balance, ListenerRole, LogLevel, Phase, Tier, Verdict};
use config::TargetRole;
use table::Role;

pub(crate) fn phase(phase: table::Phase) -> Phase {
    match phase {
        table::Phase::Serving => Phase::Serving,
        table::Phase::Draining => Phase::Draining,
        table::Phase::Ending => Phase::Ending,
    }
}

pub(crate) fn action(action: config::Action) -> AccessAction {
    match action {
        config::Action::Allow => AccessAction::Allow,
        config::Action::Deny => AccessAction::Deny,
    }
}

pub(crate) fn action_of(action: AccessAction) -> config::Action {
    match action {
        AccessAction::Allow => config::Action::Allow,
        AccessAction::Deny => config::Action::Deny,
    }
}

pub(crate) fn tier(tier: config::Tier) -> Tier {
    match tier {
        config::Tier::Active => Tier::Active,
        config::Tier::Backup => Tier::Backup,
    }
}

pub(crate) fn balance(balance: config::Balance) -> Balance {
    match balance {
        config::Balance::RoundRobin => Balance::RoundRobin,
        config::Balance::First => Balance::First,
        config::Balance::LeastConnections => Balance::LeastConnections,
        config::Balance::Random => Balance::Random,
        config::Balance::Maglev => Balance::Maglev,
    }
}

pub(crate) fn listener_role(role: TargetRole) -> Option<ListenerRole> {
    match role {
        TargetRole::Any => None,
        TargetRole::Primary(_) => Some(ListenerRole::Primary),
        TargetRole::Replica(_) => Some(ListenerRole::Replica),
    }
}

pub(crate) fn backend_role(role: Role) -> BackendRole {
    match role {
        Role::Primary => BackendRole::Primary,
        Role::Replica { lags: false } => BackendRole::Replica,
        Role::Replica { lags: true } => BackendRole::Lagging,
    }
}

pub(crate) fn verdict(verdict: health::Verdict) -> Verdict {
    match verdict {
        health::Verdict::Unknown => Verdict::Unknown,
        health::Verdict::Up => Verdict::Up,
        health::Verdict::Down => Verdict::Down,
    }
}

pub(crate) fn log_level(filter: log::LevelFilter) -> LogLevel {
    match filter {
        log::LevelFilter::Off => LogLevel::Off,
        log::LevelFilter::Error => LogLevel::Error,
        log::LevelFilter::Warn => LogLevel::Warn,
        log::LevelFilter::Info => LogLevel::Info,
        log::LevelFilter::Debug => LogLevel::Debug,
        log::LevelFilter::Trace => LogLevel::Trace,
    }
}

pub(crate) fn log_filter(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::Off => log::LevelFilter::Off,
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
        LogLevel::Trace => log::LevelFilter::Trace,
    }
}
