//! Workers are asked for their connections, or told to close some. Whoever asked waits for that, and control goes on.

use std::net::SocketAddr;

use tokio::sync::oneshot;
use uring::Waker;
use worker::{Errand, Meant};

use super::Control;
use crate::admin::{Answer, Answers, BackendName, CLOSE, Close, Connections, Query, Unknown, find, inquire};
use crate::watch::now;

impl Control {
    /// Asks workers for connections; whoever waits for the answer is not control.
    pub(super) fn list_connections(
        &self,
        query: &Query,
        answer: oneshot::Sender<Result<Connections, Answer>>,
    ) {
        let asked = query.limit().and_then(|limit| {
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
            let meant = Meant {
                tenant: None,
                listener: query.listener.clone(),
                pool: pool.or_else(|| query.pool.clone()),
                backend,
                client: query.client.map(|client| client.to_canonical()),
            };
            Ok((self.inquire(0..self.wakers.len(), &meant, Errand::List(limit)), limit))
        });
        match asked {
            Ok((answers, limit)) => {
                tokio::spawn(async move { drop(answer.send(Ok(answers.connections(limit, now()).await))) });
            }
            Err(why) => drop(answer.send(Err(Answer::refused(why)))),
        }
    }

    /// Has workers close connections; likewise.
    pub(super) fn close_connections(&self, close: &Close, answer: oneshot::Sender<Answer>) {
        let all = 0..self.wakers.len();
        let asked = match close {
            Close::Connection(id) => {
                let meant = Meant { tenant: Some(id.tenant()), ..Meant::default() };
                Ok(self.inquire(all.filter(|worker| *worker == id.worker), &meant, CLOSE))
            }
            Close::Backend(name) => self.find_backend(name).map(|(pool, backend)| {
                let meant = Meant { pool: Some(pool), backend: Some(backend), ..Meant::default() };
                self.inquire(all, &meant, CLOSE)
            }),
            Close::Client(client) => {
                let meant = Meant { client: Some(client.to_canonical()), ..Meant::default() };
                Ok(self.inquire(all, &meant, CLOSE))
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

    fn inquire(&self, workers: impl Iterator<Item = usize>, meant: &Meant, errand: Errand) -> Answers {
        let answers = inquire(&self.inquirer, workers, meant, errand);
        self.wakers.iter().for_each(Waker::wake);
        answers
    }

    /// The pool and the address of the backend of this name, one that a reload removed included.
    pub(super) fn find_backend(&self, name: &BackendName) -> Result<(String, SocketAddr), String> {
        find(&self.config, name).or_else(|Unknown(why)| {
            let table = self.published.load_full();
            let mut removed = table.removed.backends().map(|(pool, gone)| (pool, &gone.backend));
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

/// What came of an order to close connections.
async fn answer_to(close: &Close, answers: Answers) -> Answer {
    let (closed, silent) = answers.closed().await;
    if !silent.is_empty() {
        return Answer::done(format!(
            "{closed} connections were closed; workers {silent:?} have not answered within a second: ask again"
        ));
    }
    match (close, closed) {
        (Close::Connection(id), 0) => {
            Answer::refused(format!("there is no connection {id}: it has ended, or there never was one"))
        }
        (_, 1) => Answer::done("1 connection was closed".to_owned()),
        (_, number) => Answer::done(format!("{number} connections were closed")),
    }
}
