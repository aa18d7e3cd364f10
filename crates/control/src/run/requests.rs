//! Requests of the admin interface: how things are, what would be, and what is to be changed.

use std::time::Duration;

use admin::AdminRequest;
use api::{Answer, BackendName, Close, Command, EventKind, LogLevel, ShortageStatus, Status};
use config::{Action, Changes, Config, Tier};
use log::Level;
use table::{BackendKey, Drain, DrainWindow, Override, Table};
use tokio::sync::oneshot;

use super::Control;
use super::logging::log_lines;
use super::phases::DRAINING;
use super::reload::tell;
use crate::access_change::dropped;
use crate::failure::Failure;
use crate::find::{Unknown, find};
use crate::monitor::now;
use crate::override_change::OverrideChange;
use crate::reload::Refusal;
use crate::reloads::{refused, unix_seconds};
use crate::route::route;
use crate::status::{StatusSources, take};
use crate::wire;

impl Control {
    /// Answers what a connection of the admin interface asks. It may have been closed meanwhile.
    pub(super) fn answer(&mut self, request: AdminRequest) {
        match request {
            AdminRequest::Phase(answer) => drop(answer.send(wire::phase(self.writer.table().phase))),
            AdminRequest::Ended(answer) => {
                let ended = self.access_log.ended();
                tokio::spawn(async move { drop(answer.send(ended.await)) });
            }
            AdminRequest::Status(answer) => drop(answer.send(Box::new(self.status()))),
            AdminRequest::History(answer) => {
                let history = self.history.to_api(&self.writer.table(), now(), unix_seconds());
                drop(answer.send(history));
            }
            AdminRequest::Route(query, answer) => {
                let found = route(&self.status_sources(&self.writer.table()), &query);
                drop(answer.send(found.map_err(Answer::refused)));
            }
            AdminRequest::Access(query, answer) => {
                let found = self.access_sources(&self.writer.table()).view(&query);
                drop(answer.send(found.map_err(Answer::refused)));
            }
            AdminRequest::Sources(query, answer) => self.list_sources(&query, answer),
            AdminRequest::Connections(query, answer) => self.list_connections(&query, answer),
            AdminRequest::Command(command, peer, answer) => {
                let text = format!("admin: {peer}: {command}");
                match command.event_kind() {
                    Some(kind) => self.note_command(kind, self.pool_of(&command), text),
                    None => log::info!("{text}"),
                }
                self.on_command(command, &peer, answer);
            }
        }
    }

    fn note_command(&mut self, kind: EventKind, pool: Option<String>, text: String) {
        match pool {
            Some(pool) => self.event_log.note_of(&pool, Level::Info, kind, text),
            None => self.event_log.note(Level::Info, kind, text),
        }
    }

    /// The pool that a command is about; none if it is about the process, or there is no such pool.
    fn pool_of(&self, command: &Command) -> Option<String> {
        match command {
            Command::Drain { backend, .. }
            | Command::Undrain { backend }
            | Command::Disable { backend }
            | Command::Enable { backend }
            | Command::Weight { backend, .. }
            | Command::Close(Close::Backend(backend)) => Some(self.find_backend(backend).ok()?.0),
            Command::Failback { pool } => self.writer.table().pool(pool).map(|pool| pool.name.clone()),
            Command::Reload
            | Command::Reopen
            | Command::Plan { .. }
            | Command::Close(Close::Connection(_) | Close::Client(_))
            | Command::Deny(_)
            | Command::Allow(_)
            | Command::Forget { .. }
            | Command::LogLevel { .. } => None,
        }
    }

    fn status(&self) -> Status {
        take(&self.status_sources(&self.writer.table()))
    }

    fn current_shortages(&self) -> Vec<ShortageStatus> {
        let mut current = self.sources.missing(self.writer.config().written(), now());
        current.extend(self.shortages.current(now()));
        current
    }

    fn status_sources<'a>(&'a self, table: &'a Table) -> StatusSources<'a> {
        StatusSources {
            table,
            config: self.writer.config().written(),
            effective: self.writer.config().effective(),
            overrides: self.writer.config().overrides(),
            access: self.access_sources(table),
            inputs: self.writer.inputs(),
            monitor: &self.monitor,
            semaphore: &self.semaphore,
            connections_max: self.connections_max,
            reloads: &self.reloads,
            workers: &self.workers,
            admin_refused: self.admin.refused(),
            access_log: &self.access_log,
            event_log: &self.event_log,
            peaks: &self.peaks,
            shortages: self.current_shortages(),
            file: self.file_check.path(),
            difference: self.file_check.difference(),
            started_at: self.started_at,
            now: now(),
        }
    }

    /// Obeys at once, or begins what is answered later: a close when workers have, a reload when the file was read.
    fn on_command(&mut self, command: Command, peer: &str, answer: oneshot::Sender<Answer>) {
        let (kind, pool) = (command.event_kind(), self.pool_of(&command));
        let mut closes = None;
        let done = match command {
            Command::Close(close) => return self.close_connections(&close, answer),
            Command::Reload if self.is_serving() => return self.reload(Some(answer)),
            Command::Reload => Answer::refused(DRAINING),
            Command::LogLevel { level } => set_log_level(level),
            Command::Plan { name, text } => self.plan(&name, &text),
            // Lines are written in a drain too.
            Command::Reopen => self.reopen(),
            Command::Drain { backend, timeout_seconds } => self.drain_backend(&backend, timeout_seconds),
            Command::Undrain { backend } => self.change(&backend, |it| it.drain = None),
            Command::Disable { backend } => self.change(&backend, |it| it.disabled = true),
            Command::Enable { backend } => self.change(&backend, |it| *it = Override::default()),
            Command::Weight { backend, weight } => self.set_weight(&backend, weight),
            Command::Failback { pool } => self.fail_back(&pool),
            Command::Deny(order) => {
                closes = order.close.then_some(order.prefix);
                self.say(Action::Deny, &order, peer)
            }
            Command::Allow(order) => self.say(Action::Allow, &order, peer),
            Command::Forget { prefix, list } => self.forget(prefix, list),
        };
        if let Some(kind) = kind {
            self.note_answer(kind, pool, &done);
        }
        match closes {
            Some(prefix) => self.close_denied(prefix, done, answer),
            None => tell([answer], &done),
        }
    }

    /// Adds to the event of a command what it changed, or that it was refused.
    fn note_answer(&mut self, kind: EventKind, pool: Option<String>, answer: &Answer) {
        match answer {
            Answer::Done(lines) => self.event_log.add_details(kind, lines.iter().map(String::as_str)),
            Answer::Refused(refused) => {
                let text = format!("admin: refused: {}", refused.lines.join("; "));
                self.note_command(kind, pool, text);
            }
        }
    }

    /// What a reload would change if the file said `text`. Addresses are not bound for it.
    fn plan(&self, name: &str, text: &str) -> Answer {
        let config =
            Config::parse(name, text.as_bytes()).map_err(|error| Refusal::from(Failure::Config(error)));
        match config.and_then(|config| self.check(config)) {
            Ok(config) => {
                let changes = Changes::between(self.writer.config().written(), &config);
                let dropped = dropped(self.writer.config().access(), &config);
                Answer::Done(changes.lines().map(str::to_owned).chain(dropped).collect())
            }
            Err(refusal) => refused(&refusal),
        }
    }

    /// Reopens the access log. If this fails, lines still go to the old file.
    fn reopen(&mut self) -> Answer {
        match self.access_log.try_reopen() {
            Ok(Some(to)) => Answer::done(format!("access log: {to} was opened again")),
            Ok(None) => Answer::refused("there is no access log: `access_log` is off"),
            Err(error) => Answer::refused(format!("{error}; lines still go to the old file")),
        }
    }

    fn drain_backend(&mut self, backend: &BackendName, timeout_seconds: Option<u32>) -> Answer {
        let Some(seconds) = timeout_seconds else {
            return self.change(backend, |it| it.drain = Some(Drain::Open));
        };
        if seconds > DRAIN_SECONDS_MAX && self.is_serving() {
            let longest = config::show_duration(Duration::from_secs(DRAIN_SECONDS_MAX.into()));
            return Answer::refused(format!("a timeout of {seconds}s is too long: it is at most {longest}"));
        }
        let window = DrainWindow::drained(now(), Duration::from_secs(seconds.into()));
        self.change(backend, |it| it.drain = Some(Drain::Until(window)))
    }

    fn set_weight(&mut self, backend: &BackendName, weight: u16) -> Answer {
        if weight > WEIGHT_MAX && self.is_serving() {
            return Answer::refused(format!("the weight {weight} is out of range: it is 0 to {WEIGHT_MAX}"));
        }
        self.change(backend, |it| it.weight = Some(weight))
    }

    /// Changes the override of a backend, and publishes a table with it.
    fn change(&mut self, name: &BackendName, change: impl FnOnce(&mut Override)) -> Answer {
        if !self.is_serving() {
            return Answer::refused(DRAINING);
        }
        let (pool, address) = match find(self.writer.config().written(), name) {
            Ok(found) => found,
            Err(Unknown(why)) => return Answer::refused(why),
        };
        let backend = BackendKey { pool, address };
        let before = self.writer.config().overrides().of(&backend.pool, address);
        let (monitor, event_log) = (&mut self.monitor, &mut self.event_log);
        let written = self
            .writer
            .change_override(&backend, change, |config| monitor.reconfigure(config, now(), event_log));
        self.on_written(written);
        let lines = self.lines_of(&backend, name, before);
        log_lines(lines.iter().map(String::as_str), "lines");
        Answer::Done(lines)
    }

    /// What a command made of a backend, of which this was overridden before, and of its pool.
    fn lines_of(&self, backend: &BackendKey, name: &BackendName, before: Override) -> Vec<String> {
        let BackendKey { pool, address } = backend;
        let table = self.writer.table();
        let backends = &table.pool(pool).expect("the config has it").backends;
        let found = backends.iter().find(|backend| backend.address == *address);
        let change = OverrideChange {
            name: name.to_string(),
            before,
            after: self.writer.config().overrides().of(pool, *address),
            connections: found.map_or(0, |backend| backend.counters.sum(|worker| worker.active.get())),
            weight: found.map_or(0, |backend| backend.weight),
        };
        let mut lines = vec![change.to_string()];
        if backends.iter().all(|backend| backend.weight == 0) {
            lines.push(format!("no backend of pool {pool} takes new connections now"));
        }
        lines
    }

    /// Lets the active tier of a pool take over again.
    fn fail_back(&mut self, name: &str) -> Answer {
        if !self.is_serving() {
            return Answer::refused(DRAINING);
        }
        let table = self.writer.table();
        let before = table.pool(name).and_then(|pool| pool.serving_backup());
        match table.pool(name).map(|pool| pool.tier()) {
            None => return Answer::refused(self.unknown_pool(name)),
            Some(Tier::Active) => {
                return Answer::done(format!(
                    "the active tier of pool {name} serves already: nothing changed"
                ));
            }
            Some(Tier::Backup) => {}
        }
        let now = now();
        self.monitor.evaluate(now, &mut self.event_log);
        let written = self.writer.fail_back(name, self.monitor.inputs(now));
        self.on_written(written);
        let table = self.writer.table();
        let now_serving = table.pool(name).and_then(|pool| {
            let address = pool.serving_backup().filter(|address| Some(*address) != before)?;
            pool.index_of(address).map(|index| pool.backend(index).name.clone())
        });
        match (table.pool(name).map(|pool| pool.tier()), now_serving) {
            (Some(Tier::Active), _) => Answer::done(format!("the active tier of pool {name} serves")),
            (_, Some(backup)) => Answer::done(format!("backup {backup} of pool {name} serves")),
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

/// The longest drain: a day.
const DRAIN_SECONDS_MAX: u32 = 24 * 3600;

/// The largest weight, as in a file.
const WEIGHT_MAX: u16 = 256;
