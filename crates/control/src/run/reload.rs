//! Another config, whole or not at all: what can fail is prepared before anything changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::{Answer, EventKind, FileDifference};
use config::{AdminToken, Changes, Config, Warning, counted};
use driver::ListenGroup;
use log::Level;
use table::Origin;

use super::Control;
use super::logging::{log_lines, warn_of, warn_of_backlogs};
use super::start::bind;
use crate::access_change::dropped;
use crate::failure::Failure;
use crate::monitor::now;
use crate::reading::{self, Asked, Done, Loaded, READ_TIME_MAX, Requester};
use crate::reload::{Refusal, refuse_restart};
use crate::reloads::{refused, unix_seconds};

/// A config that can be put in force, and all that this takes. Nothing that is left to do can fail.
pub(super) struct Prepared {
    config: Config,
    /// Where the sockets of each listener come from.
    origins: Vec<Origin>,
    sockets: Vec<Arc<ListenGroup>>,
    /// The access log, if it is another than before.
    access_log: Option<access_log::Prepared>,
    token: Option<(AdminToken, Option<Warning>)>,
}

impl Control {
    /// Begins to read the file again. [`on_read`](Self::on_read) puts it in force.
    pub(super) fn reload(&mut self, requester: Option<Requester>) {
        let Some(path) = self.source.file() else {
            log::warn!("reload: {NO_FILE}; the configuration stays");
            return tell(requester, &Answer::refused(NO_FILE));
        };
        let read = reading::load(path.clone(), self.access_log.config().cloned());
        match self.reading.ask(requester, read) {
            Asked::Begun => self.notify.reloading(),
            // Systemd is told when it begins.
            Asked::Queued => {}
            Asked::Hangs(since, requester) => {
                let refusal = unread(path, since);
                self.notify.reloading();
                let answer = self.refuse(&refusal, since);
                self.tell_ready();
                tell(requester, &answer);
            }
        }
    }

    /// A read of the file has ended, or takes too long.
    pub(super) fn on_read(&mut self, done: Done) {
        let Some(path) = self.source.file() else { return };
        if !self.is_serving() {
            // The requesters have their answer.
            return;
        }
        match done {
            Done::Read { read, begun, requesters, next } => {
                self.log_totals(Level::Debug);
                let answer = match read.map_err(Refusal::from).and_then(|loaded| self.prepare(loaded)) {
                    Ok(prepared) => {
                        let lines = self.commit(prepared);
                        self.file_check.on_loaded(self.writer.config().written());
                        self.reloads.on_applied(begun.elapsed());
                        Answer::Done(lines)
                    }
                    Err(refusal) => self.refuse(&refusal, begun.elapsed()),
                };
                self.tell_ready();
                tell(requesters, &answer);
                if let Some(requesters) = next {
                    self.read_again(requesters);
                }
            }
            Done::Overdue(requesters) => {
                let refusal = unread(path, READ_TIME_MAX);
                let answer = self.refuse(&refusal, READ_TIME_MAX);
                self.tell_ready();
                tell(requesters, &answer);
            }
            Done::Late(took) => {
                log::warn!(
                    "{}: it was read within {took:.1?}; reload again to put it in force",
                    path.display()
                );
            }
        }
    }

    /// The file has changed since it was read: says what a reload would make of it.
    pub(super) fn on_file_changed(&mut self, read: Result<Box<Config>, Failure>) {
        let difference = match read.map_err(Refusal::from).and_then(|config| self.check(*config)) {
            Ok(config) => {
                let changes = Changes::between(self.writer.config().written(), &config).lines().len();
                (changes > 0).then_some((changes, None))
            }
            Err(refusal) => Some((0, Some(refusal.summary()))),
        };
        self.file_check.set_difference(difference.map(|(changes, error)| FileDifference {
            since: unix_seconds(),
            changes: changes.try_into().unwrap_or(u64::MAX),
            error,
        }));
    }

    /// Begins another read for the requests that came while the last one was under way.
    fn read_again(&mut self, requesters: Vec<Requester>) {
        let Some(path) = self.source.file() else { return };
        let read = reading::load(path.clone(), self.access_log.config().cloned());
        self.notify.reloading();
        self.reading.ask(requesters, read);
    }

    /// Nothing changes; says why.
    fn refuse(&mut self, refusal: &Refusal, took: Duration) -> Answer {
        let lines = refusal.lines();
        match lines.as_slice() {
            [line] => {
                self.event_log.note(Level::Error, EventKind::Reload, format_args!("reload refused: {line}"));
            }
            lines => {
                for line in lines {
                    log::error!("reload refused: {line}");
                }
                let errors = counted(lines.len(), "error");
                self.event_log.note(
                    Level::Error,
                    EventKind::Reload,
                    format_args!("reload refused: {errors}"),
                );
                self.event_log.add_details(EventKind::Reload, lines.iter().map(String::as_str));
            }
        }
        log::info!("the configuration before it stays in force");
        self.reloads.on_refused(refusal, took);
        refused(refusal)
    }

    /// What `config` means on this host, if it can be put in force. Nothing is bound for this.
    pub(super) fn check(&self, config: Config) -> Result<Config, Refusal> {
        let config = super::start::adapt(config, &self.host, &self.inherited);
        refuse_restart(self.writer.config().written(), &config)?;
        host::refuse_loops(&config).map_err(Failure::Own)?;
        Ok(config)
    }

    /// Does all that can fail, and changes nothing.
    fn prepare(&self, Loaded { config, access_log, token }: Loaded) -> Result<Prepared, Refusal> {
        let config = self.check(config)?;
        let origins = self.writer.origins(&config);
        let sockets = self.sockets(&config, &origins)?;
        Ok(Prepared { config, origins, sockets, access_log, token })
    }

    /// Puts in force what was prepared. Returns what is different, a line for each thing.
    fn commit(&mut self, prepared: Prepared) -> Vec<String> {
        let Prepared { config, origins, sockets, access_log, token } = prepared;
        let before = self.writer.config().written().clone();
        self.relisten(&before, &config, &origins);
        let dropped = dropped(self.writer.config().access(), &config);
        if !dropped.is_empty() {
            self.state_file.on_change();
        }
        let relocked = self.set_token(token, before.admin.token_file == config.admin.token_file);
        let changes = Changes::between(&before, &config);
        let changes: Vec<String> =
            changes.lines().map(str::to_owned).chain(relocked).chain(dropped).collect();
        let (monitor, event_log) = (&mut self.monitor, &mut self.event_log);
        let written =
            self.writer.reload(config, sockets, |config| monitor.reconfigure(config, now(), event_log));
        if let Some(prepared) = access_log {
            self.access_log.apply(prepared);
        }
        let removed = self.totals.update(&self.writer.table());
        self.on_written(written);
        self.log_commit(&before, &changes, &removed);
        changes
    }

    /// Puts the token in force. Returns what is different, if the file is the same and another token is in it.
    fn set_token(&self, token: Option<(AdminToken, Option<Warning>)>, is_same_file: bool) -> Option<String> {
        let (token, warning) = token.unzip();
        warn_of(warning.flatten().as_slice(), &[]);
        let is_other = self.admin.set_token(token);
        (is_other && is_same_file).then(|| "~ admin: another token in the same file".to_owned())
    }

    fn log_commit(&mut self, before: &Config, changes: &[String], removed: &[String]) {
        let config = self.writer.config().written();
        warn_of_backlogs(config, self.host.backlog_max);
        warn_of(&host::warnings(config), &host::warnings(before));
        log_lines(changes.iter().map(String::as_str), "changes");
        log_lines(removed.iter().map(String::as_str), "totals of what was removed");
        self.inherited.warn_of_unused(config);
        self.check_sources();
        let text = match changes.len() {
            0 => "reloaded: nothing changed".to_owned(),
            number => format!("reloaded: {}", counted(number, "change")),
        };
        self.event_log.note(Level::Info, EventKind::Reload, text);
        self.event_log.add_details(EventKind::Reload, changes.iter().map(String::as_str));
    }

    /// The sockets of each address of each listener of `config`: kept, or bound now.
    fn sockets(&self, config: &Config, origins: &[Origin]) -> Result<Vec<Arc<ListenGroup>>, Failure> {
        let table = self.writer.table();
        let new = config.listen_addresses().zip(origins).filter(|(_, origin)| **origin == Origin::Bound);
        let new: Vec<_> = new.map(|(listened, _)| listened).collect();
        let known: Vec<_> = table.sockets().collect();
        let held: Vec<_> = known.iter().filter_map(|sockets| sockets.address().ok()).collect();
        let bound = bind(config, &new, self.wakers.len(), &held, self.admin.http, &self.inherited)?;
        let mut bound = bound.into_iter().map(Arc::new);
        let origin = |origin: &Origin| match *origin {
            Origin::Kept(before) => Arc::clone(known[before]),
            Origin::Bound => bound.next().expect("one for each that is new"),
        };
        Ok(origins.iter().map(origin).collect())
    }

    /// Gives kept sockets the backlog and keepalive that they are to have.
    fn relisten(&self, before: &Config, config: &Config, origins: &[Origin]) {
        let table = self.writer.table();
        let known: Vec<_> = before.listen_addresses().zip(table.sockets()).collect();
        for ((listener, address), origin) in config.listen_addresses().zip(origins) {
            let Origin::Kept(kept) = *origin else { continue };
            let ((known, _), sockets) = known[kept];
            let options = host::options(listener, address, &config.pools[listener.pool.0]);
            let known = host::options(known, address, &before.pools[known.pool.0]);
            if (options.backlog, options.keepalive) == (known.backlog, known.keepalive) {
                continue;
            }
            for socket in sockets.iter() {
                if let Err(error) = driver::relisten(socket, options.backlog, options.keepalive) {
                    log::warn!(
                        "listener {}: backlog and keepalive stay as they were: {error}",
                        listener.name
                    );
                }
            }
        }
    }
}

/// Why a file that is still being read is not used.
fn unread(path: &Path, since: Duration) -> Refusal {
    Refusal::from(Failure::Config(Config::unread(path, Duration::from_secs(since.as_secs()))))
}

/// Answers requesters. They may have left.
pub(super) fn tell(requesters: impl IntoIterator<Item = Requester>, answer: &Answer) {
    for requester in requesters {
        let _ = requester.send(answer.clone());
    }
}

/// Why there is nothing to reload.
const NO_FILE: &str = "there is no file to read";
