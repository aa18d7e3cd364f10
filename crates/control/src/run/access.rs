//! What operators say about addresses of clients: commands, tables for many of them at once, and ends.

use std::sync::Arc;
use std::time::Duration;

use api::{AccessOrder, Answer, EventKind, FOR_SECONDS_MAX, WHY_CHARS_MAX};
use config::{Action, Prefix, counted, listed, show_duration, unknown};
use driver::Waker;
use log::Level;
use table::{ACCESS_OVERRIDES_MAX, AccessKey, AccessOverride};
use tokio::sync::oneshot;
use tokio::time::Instant;
use worker::{ConnectionAction, ConnectionFilter};

use super::Control;
use super::logging::log_lines;
use super::phases::DRAINING;
use super::reload::tell;
use crate::access_change::{AccessChange, ended, exceptions, subject};
use crate::access_pace::INTERVAL;
use crate::access_view::AccessSources;
use crate::connections::{CLOSE, query};
use crate::monitor::now;
use crate::state_file::State;

/// A denial that closes connections, and waits for the table that has it.
pub(super) struct Closing {
    prefix: Prefix,
    /// What is answered, beside how many were closed.
    lines: Vec<String>,
    answer: oneshot::Sender<Answer>,
}

impl Control {
    /// Denies or allows addresses.
    pub(super) fn say(&mut self, action: Action, order: &AccessOrder, peer: &str) -> Answer {
        let key = AccessKey { list: order.list.clone(), prefix: order.prefix };
        if let Err(why) = self.check_order(action, order, &key) {
            return Answer::refused(why);
        }
        let now = now();
        let said = AccessOverride {
            action,
            since: now,
            until: order.for_seconds.map(|seconds| now + Duration::from_secs(seconds.into())),
            by: peer.to_owned(),
            why: order.why.trim().to_owned(),
        };
        self.change_access(key, Some(said))
    }

    /// Takes back what was said about addresses.
    pub(super) fn forget(&mut self, prefix: Prefix, list: Option<String>) -> Answer {
        let key = AccessKey { list, prefix };
        if !self.is_serving() {
            return Answer::refused(DRAINING);
        }
        match self.check_list(&key) {
            Ok(()) => self.change_access(key, None),
            Err(why) => Answer::refused(why),
        }
    }

    /// Closes the connections that an order denies, once a table has it, and answers then.
    pub(super) fn close_denied(&mut self, prefix: Prefix, done: Answer, answer: oneshot::Sender<Answer>) {
        let Answer::Done(lines) = done else { return tell([answer], &done) };
        self.closings.push(Closing { prefix, lines, answer });
        self.close_what_is_denied();
    }

    /// Begins to close what waits for a table, if that is in force.
    pub(super) fn close_what_is_denied(&mut self) {
        if self.writer.config().access().are_changed() {
            return;
        }
        for closing in std::mem::take(&mut self.closings) {
            self.close_denied_clients(closing);
        }
    }

    /// When a table is to be made for what was said, or for what ends.
    pub(super) fn access_due(&self) -> Option<Instant> {
        let (access, next) = (self.writer.config().access(), self.access_pace.next());
        let due = if access.are_changed() { Some(next) } else { access.due().map(|due| due.max(next)) };
        due.map(Instant::from_std)
    }

    /// Makes it.
    pub(super) fn on_access_due(&mut self) {
        let now = now();
        if !self.access_pace.take(now) {
            return;
        }
        self.monitor.evaluate(now, &mut self.event_log);
        let inputs = self.monitor.inputs(now);
        if self.writer.config().access().due().is_none_or(|due| due > now) {
            if let Some(written) = self.writer.refresh(inputs) {
                self.on_written(written);
            }
            return;
        }
        let Some((written, over)) = self.writer.expire_access(inputs) else { return };
        self.on_written(written);
        self.state_file.on_change();
        for line in ended(&over) {
            self.event_log.note(Level::Info, EventKind::Access, line);
        }
    }

    /// Writes what is said to the file that survives a restart.
    pub(super) fn write_state(&mut self) {
        let now = now();
        self.state_file.write(State::of(self.writer.config().access(), now), now);
    }

    /// A write has ended, and if another result than the last time is to be said, this.
    pub(super) fn on_state_written(&mut self, written: Option<std::io::Result<()>>) {
        match written {
            None => {}
            Some(Ok(())) => {
                self.event_log.note(Level::Info, EventKind::Access, "state: it can be written again");
            }
            Some(Err(error)) => {
                let text = self.state_file.failure(&error);
                self.event_log.note(Level::Error, EventKind::Access, text);
            }
        }
    }

    pub(super) fn access_sources<'a>(&'a self, table: &'a table::Table) -> AccessSources<'a> {
        AccessSources { table, overrides: self.writer.config().access(), now: now() }
    }

    /// Whether what is said may be said.
    fn check_order(&self, action: Action, order: &AccessOrder, key: &AccessKey) -> Result<(), String> {
        if !self.is_serving() {
            return Err(DRAINING.to_owned());
        }
        self.check_list(key)?;
        if order.close && action == Action::Allow {
            return Err("an allowance closes no connections: leave out `close`".to_owned());
        }
        if order.for_seconds.is_some_and(|seconds| !(1..=FOR_SECONDS_MAX).contains(&seconds)) {
            let longest = show_duration(Duration::from_secs(FOR_SECONDS_MAX.into()));
            return Err(format!("the time is out of range: it is 1s to {longest}, or none"));
        }
        if order.why.chars().count() > WHY_CHARS_MAX || order.why.chars().any(char::is_control) {
            return Err(format!("the reason is one line of at most {WHY_CHARS_MAX} characters"));
        }
        let access = self.writer.config().access();
        if let (Action::Deny, Some(around)) = (action, access.allowed_around(key)) {
            let (denied, around) = (subject(key), subject(around));
            return Err(format!("{denied} is within {around}, which is allowed: forget that first"));
        }
        if access.get(key).is_none() && access.all().len() >= ACCESS_OVERRIDES_MAX {
            return Err(format!(
                "{ACCESS_OVERRIDES_MAX} prefixes are denied or allowed already, which is the most there may be: \
                 forget some, or write them into a file of an access list"
            ));
        }
        Ok(())
    }

    fn check_list(&self, key: &AccessKey) -> Result<(), String> {
        let Some(name) = &key.list else { return Ok(()) };
        let known: Vec<&str> =
            self.writer.config().written().access.iter().map(|list| list.name.as_str()).collect();
        if known.contains(&name.as_str()) { Ok(()) } else { Err(unknown("access list", name, &known)) }
    }

    /// Changes what is said, and has a table made with it: now, or together with what else is said soon.
    fn change_access(&mut self, key: AccessKey, said: Option<AccessOverride>) -> Answer {
        let now = now();
        let access = self.writer.config().access();
        let before = access.get(&key).cloned();
        let change = AccessChange { key: key.clone(), before, after: said.clone(), now };
        let mut lines = vec![change.to_string()];
        if change.is_none() {
            return Answer::Done(lines);
        }
        if said.as_ref().is_some_and(|said| said.action == Action::Deny) {
            lines.extend(exceptions(access, &key));
        }
        self.state_file.on_change();
        if self.access_pace.take(now) {
            self.monitor.evaluate(now, &mut self.event_log);
            let written = self.writer.change_access([(key, said)], self.monitor.inputs(now));
            self.on_written(written);
        } else {
            self.writer.note_access(key, said);
            lines.push(format!(
                "it is in force within {}, together with other commands",
                show_duration(INTERVAL)
            ));
        }
        log_lines(lines.iter().map(String::as_str), "lines");
        Answer::Done(lines)
    }

    /// Closes what the table in force denies.
    ///
    /// Workers first answer that they have seen the table. What they accepted before it is a connection by then, at
    /// the worker that serves it, so that the query for what is denied finds it.
    fn close_denied_clients(&self, Closing { prefix, mut lines, answer }: Closing) {
        let (query_sender, wakers) = (Arc::clone(&self.query_sender), Arc::clone(&self.wakers));
        tokio::spawn(async move {
            let ask = |filter: &ConnectionFilter, action| {
                let answers = query(&query_sender, 0..wakers.len(), filter, action);
                wakers.iter().for_each(Waker::wake);
                answers
            };
            let nothing = ConnectionFilter { tenant: Some((u32::MAX, 0)), ..ConnectionFilter::default() };
            ask(&nothing, ConnectionAction::List(0)).closed().await;
            let denied =
                ConnectionFilter { client: Some(prefix), denied: true, ..ConnectionFilter::default() };
            let (closed, silent) = ask(&denied, CLOSE).closed().await;
            lines.push(format!("{} closed", counted(closed, "connection")));
            if !silent.is_empty() {
                let which = listed(&silent);
                lines.push(format!(
                    "not all workers have answered within a second ({which}): repeat the command"
                ));
            }
            // The client may have disconnected.
            let _ = answer.send(Answer::Done(lines));
        });
    }
}
