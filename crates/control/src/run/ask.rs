//! What the admin interface asks is answered: how things are, what would be, and what is to be changed.

use std::time::Duration;

use config::{Changes, Config, Tier};
use log::Level;
use table::{DrainWindow, Inputs, Phase, Table};

use super::{Control, DRAINING, log_lines};
use admin::AdminRequest;
use api::{Answer, BackendName, Command, EventKind, LogLevel, Status};

use crate::failure::Failure;
use crate::monitor::now;
use crate::overrides::{Drain, Override, Unknown};
use crate::reload::{Refusal, plan};
use crate::reloads::refused;
use crate::route::route;
use crate::status::{StatusSources, take};
use crate::wire;
use config::counted;

impl Control {
    /// Answers what a connection of the admin interface wants.
    pub(super) fn answer(&mut self, ask: AdminRequest) {
        // Who asked may have left: then there is nobody to tell.
        match ask {
            AdminRequest::Phase(answer) => drop(answer.send(wire::phase(self.published.load_full().phase))),
            AdminRequest::Ended(answer) => drop(answer.send(self.access_log.ended())),
            AdminRequest::Status(answer) => drop(answer.send(Box::new(self.status()))),
            AdminRequest::Route(query, answer) => {
                let told = route(&self.known(&self.published.load_full()), &query);
                drop(answer.send(told.map_err(Answer::refused)));
            }
            AdminRequest::Connections(query, answer) => self.list_connections(&query, answer),
            AdminRequest::Command(Command::Close(close), peer, answer) => {
                let text = format!("admin: {peer}: close {close}");
                self.chronicle.note(Level::Info, EventKind::Command, text);
                self.close_connections(&close, answer);
            }
            AdminRequest::Command(Command::Reload, peer, answer)
                if self.published.load_full().phase == Phase::Serving =>
            {
                let text = format!("admin: {peer}: {}", Command::Reload);
                self.chronicle.note(Level::Info, EventKind::Command, text);
                self.reload(Some(answer));
            }
            AdminRequest::Command(command, peer, answer) => {
                let text = format!("admin: {peer}: {command}");
                self.chronicle.note(Level::Info, EventKind::Command, text);
                let said = self.obey(command);
                if let Answer::Refused(refused) = &said {
                    let text = format!("admin: refused: {}", refused.lines.join("; "));
                    self.chronicle.note(Level::Info, EventKind::Command, text);
                }
                drop(answer.send(said));
            }
        }
    }

    fn status(&self) -> Status {
        take(&self.known(&self.published.load_full()))
    }

    fn known<'a>(&'a self, table: &'a Table) -> StatusSources<'a> {
        StatusSources {
            table,
            config: &self.config,
            effective: &self.effective,
            overrides: &self.overrides,
            health: &self.health,
            watch: &self.watch,
            gate: &self.gate,
            connections_max: self.connections_max,
            reloads: &self.reloads,
            workers: &self.workers,
            access_log: &self.access_log,
            chronicle: &self.chronicle,
            peaks: &self.peaks,
            started_at: self.started_at,
            now: now(),
        }
    }

    fn obey(&mut self, command: Command) -> Answer {
        match command {
            Command::LogLevel { level } => set_log_level(level),
            Command::Plan { name, text } => self.plan(&name, &text),
            // Lines are written in a drain too.
            Command::Reopen => self.reopen(),
            _ if self.published.load_full().phase != Phase::Serving => Answer::refused(DRAINING),
            Command::Reload => unreachable!("it is answered when the file was read"),
            Command::Drain { timeout_seconds: Some(seconds), .. } if seconds > DRAIN_SECONDS_MAX => {
                Answer::refused(format!("{seconds} seconds are out of range: at most {DRAIN_SECONDS_MAX}"))
            }
            Command::Drain { backend, timeout_seconds: None } => {
                self.change(&backend, "drained", |said| said.drain = Some(Drain::Open))
            }
            Command::Drain { backend, timeout_seconds: Some(seconds) } => {
                let notice = DrainWindow::drained(now(), Duration::from_secs(seconds.into()));
                let is = format!("drained within {}", config::show_duration(notice.until - notice.since));
                self.change(&backend, &is, |said| said.drain = Some(Drain::Until(notice)))
            }
            Command::Undrain { backend } => self.change(&backend, "not drained", |said| said.drain = None),
            Command::Disable { backend } => self.change(&backend, "disabled", |said| said.disabled = true),
            Command::Enable { backend } => {
                self.change(&backend, "as the file and its probe say", |said| *said = Override::default())
            }
            Command::Weight { weight, .. } if weight > WEIGHT_MAX => {
                Answer::refused(format!("the weight {weight} is out of range: it is 0 to {WEIGHT_MAX}"))
            }
            Command::Weight { backend, weight } => {
                self.change(&backend, &format!("of weight {weight}"), |said| said.weight = Some(weight))
            }
            Command::Failback { pool } => self.fail_back(&pool),
            Command::Close(_) => unreachable!("it is answered when workers have"),
        }
    }

    /// What a reload would change if the file said `text`. Addresses are not bound for it.
    fn plan(&self, name: &str, text: &str) -> Answer {
        let config =
            Config::parse(name, text.as_bytes()).map_err(|error| Refusal::from(Failure::Config(error)));
        let config = config.map(|config| self.adapt(config));
        let fits = |config: Config| {
            plan(&self.config, &config)?;
            host::refuse_loops(&config).map_err(Failure::Own)?;
            Ok(config)
        };
        match config.and_then(fits) {
            Ok(config) => {
                Answer::Done(Changes::between(&self.config, &config).lines().map(str::to_owned).collect())
            }
            Err(refusal) => refused(&refusal),
        }
    }

    /// Opens the access log again; where that fails, lines go on to where they went.
    fn reopen(&mut self) -> Answer {
        match self.access_log.open_again() {
            Ok(Some(to)) => Answer::done(format!("access log: {to} was opened again")),
            Ok(None) => Answer::refused("there is no access log: `access_log` is off"),
            Err(error) => Answer::refused(format!("{error}; lines go on to where they went")),
        }
    }

    /// Changes what is said of a backend, and goes by it.
    fn change(&mut self, name: &BackendName, is: &str, change: impl FnOnce(&mut Override)) -> Answer {
        let (pool, address) = match self.overrides.change(&self.config, name, change) {
            Ok(key) => key,
            Err(Unknown(why)) => return Answer::refused(why),
        };
        self.effective = self.overrides.applied_to(&self.config);
        self.watch.follow(&self.effective, &self.overrides, &mut self.chronicle);
        self.health = self.look();
        let previous = self.published.load_full();
        self.rebuild(&previous);
        let table = self.published.load_full();
        let backend = table
            .pool(&pool)
            .and_then(|pool| pool.backends.iter().find(|backend| backend.address == address));
        let active = backend.map_or(0, |backend| backend.counters.sum(|worker| worker.active.get()));
        let mut lines = vec![format!("{name} is {is}; it has {}", counted(active, "connection"))];
        if table.pool(&pool).is_some_and(|pool| pool.backends.iter().all(|backend| backend.weight == 0)) {
            lines.push(format!("no backend of pool {pool} takes new connections now"));
        }
        log_lines(lines.iter().map(String::as_str), "lines");
        Answer::Done(lines)
    }

    /// Lets the active tier of a pool take over again.
    fn fail_back(&mut self, name: &str) -> Answer {
        let previous = self.published.load_full();
        match previous.pool(name).map(|pool| pool.tier()) {
            None => return Answer::refused(self.unknown_pool(name)),
            Some(Tier::Active) => {
                return Answer::refused(format!("the active tier of pool {name} serves already"));
            }
            Some(Tier::Backup) => {}
        }
        self.health = self.look();
        let set =
            |health: &mut Inputs, told| health.pools.entry(name.to_owned()).or_default().failback = told;
        set(&mut self.health, true);
        self.rebuild(&previous);
        // It counts once.
        set(&mut self.health, false);
        match self.published.load_full().pool(name).map(|pool| pool.tier()) {
            Some(Tier::Active) => Answer::done(format!("the active tier of pool {name} serves")),
            _ => Answer::refused(format!("too few backends of the active tier of pool {name} are available")),
        }
    }
}

fn set_log_level(level: LogLevel) -> Answer {
    log::set_max_level(wire::log_filter(level));
    Answer::done(match level {
        LogLevel::Off => "the log is off".to_owned(),
        LogLevel::Error => "the log has lines of level error".to_owned(),
        LogLevel::Warn | LogLevel::Info | LogLevel::Debug | LogLevel::Trace => {
            format!("the log has lines of level {level} and above")
        }
    })
}

/// A day: longer, and nobody remembers why.
const DRAIN_SECONDS_MAX: u32 = 24 * 3600;

/// What a file allows.
const WEIGHT_MAX: u16 = 256;
