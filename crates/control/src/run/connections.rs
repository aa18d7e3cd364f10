//! Workers are asked for their connections, or told to close some. A task waits for their answers, and control
//! goes on.

use std::net::SocketAddr;

use api::{Answer, BackendName, Close, Connections, Query, SourcesQuery, SourcesView};
use config::{counted, listed, listener_named, unknown};
use driver::Waker;
use tokio::sync::oneshot;
use worker::{ConnectionAction, ConnectionFilter};

use super::Control;
use crate::connections::{Answers, CLOSE, query};
use crate::find::{Unknown, find};
use crate::monitor::now;

impl Control {
    /// Asks workers for connections.
    pub(super) fn list_connections(
        &self,
        query: &Query,
        answer: oneshot::Sender<Result<Connections, Answer>>,
    ) {
        let asked = query.limit().and_then(|limit| {
            let listener = self.check_names(query)?;
            let (pool, backend) = match &query.backend {
                Some(name) => {
                    let (pool, backend) = self.find_backend(name)?;
                    (Some(pool), Some(backend))
                }
                None => (None, None),
            };
            if query.pool.is_some() && pool.is_some() && query.pool != pool {
                return Err("the backend is of another pool".to_owned());
            }
            let filter = ConnectionFilter {
                tenant: None,
                listener,
                pool: pool.or_else(|| query.pool.clone()),
                backend,
                client: query.client,
                limits: None,
                denied: false,
            };
            Ok((self.query(0..self.wakers.len(), &filter, ConnectionAction::List(limit)), limit))
        });
        match asked {
            Ok((answers, limit)) => {
                tokio::spawn(async move { drop(answer.send(Ok(answers.connections(limit, now()).await))) });
            }
            Err(why) => drop(answer.send(Err(Answer::refused(why)))),
        }
    }

    /// Asks workers which sources have most connections, and which were refused most.
    pub(super) fn list_sources(
        &self,
        query: &SourcesQuery,
        answer: oneshot::Sender<Result<SourcesView, Answer>>,
    ) {
        let asked = query.top().and_then(|top| {
            let bits = self.source_bits(query.limits.as_deref())?;
            let filter = ConnectionFilter { limits: query.limits.clone(), ..ConnectionFilter::default() };
            Ok((self.query(0..self.wakers.len(), &filter, ConnectionAction::CountSources(bits)), top))
        });
        match asked {
            Ok((answers, top)) => {
                tokio::spawn(async move { drop(answer.send(Ok(answers.sources(top).await))) });
            }
            Err(why) => drop(answer.send(Err(Answer::refused(why)))),
        }
    }

    /// How many bits of an address are one source, by the limits of this name; without one, all of them.
    fn source_bits(&self, limits: Option<&str>) -> Result<[u8; 2], String> {
        let Some(name) = limits else { return Ok([32, 128]) };
        let written = &self.writer.config().written().limits;
        let named = written.iter().find(|limits| limits.name == *name);
        named.map(|limits| [limits.source.v4, limits.source.v6]).ok_or_else(|| {
            let known: Vec<&str> = written.iter().map(|limits| limits.name.as_str()).collect();
            unknown("limits", name, &known)
        })
    }

    /// Has workers close connections.
    pub(super) fn close_connections(&self, close: &Close, answer: oneshot::Sender<Answer>) {
        let all = 0..self.wakers.len();
        let asked = match close {
            Close::Connection(id) => {
                let filter = ConnectionFilter {
                    tenant: Some((id.slot, id.generation)),
                    ..ConnectionFilter::default()
                };
                Ok(self.query(all.filter(|worker| *worker == id.worker), &filter, CLOSE))
            }
            Close::Backend(name) => self.find_backend(name).map(|(pool, backend)| {
                let filter = ConnectionFilter {
                    pool: Some(pool),
                    backend: Some(backend),
                    ..ConnectionFilter::default()
                };
                self.query(all, &filter, CLOSE)
            }),
            Close::Client(client) => {
                let filter = ConnectionFilter { client: Some(*client), ..ConnectionFilter::default() };
                Ok(self.query(all, &filter, CLOSE))
            }
        };
        match asked {
            Ok(answers) => {
                let close = close.clone();
                tokio::spawn(async move { drop(answer.send(answer_to(&close, answers).await)) });
            }
            Err(why) => drop(answer.send(Answer::refused(why))),
        }
    }

    fn query(
        &self,
        workers: impl Iterator<Item = usize>,
        filter: &ConnectionFilter,
        action: ConnectionAction,
    ) -> Answers {
        let answers = query(&self.query_sender, workers, filter, action);
        self.wakers.iter().for_each(Waker::wake);
        answers
    }

    /// Whether there is the pool and the listener that a query names, one that a reload removed included. Returns the
    /// name of the listener.
    fn check_names(&self, query: &Query) -> Result<Option<String>, String> {
        let table = self.writer.table();
        let of_backends = table.removed.backends().map(|(pool, _)| pool);
        let of_listeners = table.removed.listeners().map(|removed| removed.pool.as_str());
        if let Some(pool) = &query.pool
            && !self
                .writer
                .config()
                .written()
                .pools
                .iter()
                .map(|known| known.name.as_str())
                .chain(of_backends)
                .chain(of_listeners)
                .any(|known| known == pool)
        {
            return Err(self.unknown_pool(pool));
        }
        let Some(name) = &query.listener else { return Ok(None) };
        let removed = table.removed.listeners();
        let removed = removed.flat_map(|gone| gone.addresses.iter().map(|at| (gone.name.as_str(), *at)));
        let written = self.writer.config().written().listen_addresses();
        let known: Vec<_> =
            written.map(|(known, address)| (known.name.as_str(), address)).chain(removed).collect();
        match listener_named(&known, name) {
            Some(found) => Ok(Some(found.to_owned())),
            None => Err(unknown("listener", name, &known.iter().map(|(name, _)| *name).collect::<Vec<_>>())),
        }
    }

    /// That there is no pool of this name, and which there are.
    pub(super) fn unknown_pool(&self, name: &str) -> String {
        let known: Vec<&str> =
            self.writer.config().written().pools.iter().map(|pool| pool.name.as_str()).collect();
        unknown("pool", name, &known)
    }

    /// The pool and the address of the backend of this name, one that a reload removed included.
    pub(super) fn find_backend(&self, name: &BackendName) -> Result<(String, SocketAddr), String> {
        find(self.writer.config().written(), name).or_else(|Unknown(why)| {
            let table = self.writer.table();
            let mut removed = table.removed.backends().map(|(pool, removed)| (pool, &removed.backend));
            let found = removed.find(|(pool, backend)| {
                let is_of = |(of, named): (&str, &str)| {
                    of == *pool && (named == backend.name || named == backend.address.to_string())
                };
                name.splits().any(is_of)
            });
            found.map(|(pool, backend)| (pool.to_owned(), backend.address)).ok_or(why)
        })
    }
}

/// The answer to an order to close connections.
async fn answer_to(close: &Close, answers: Answers) -> Answer {
    let (closed, silent) = answers.closed().await;
    let were_closed =
        format!("{} {} closed", counted(closed, "connection"), if closed == 1 { "was" } else { "were" });
    if !silent.is_empty() {
        let (s, have) = if silent.len() == 1 { ("", "has") } else { ("s", "have") };
        return Answer::done(format!(
            "{were_closed}; worker{s} {} {have} not answered within a second: repeat the command",
            listed(&silent)
        ));
    }
    match (close, closed) {
        (Close::Connection(id), 0) => {
            Answer::refused(format!("there is no connection {id}: it has ended, or there never was one"))
        }
        (Close::Backend(name), 0) => Answer::done(format!("{name} has no connections: nothing changed")),
        (Close::Client(client), 0) => {
            Answer::done(format!("client {client} has no connections: nothing changed"))
        }
        _ => Answer::done(were_closed),
    }
}
