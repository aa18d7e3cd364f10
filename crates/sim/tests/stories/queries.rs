//! Control queries the connections of a worker, or closes some.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use config::{Prefix, TargetRole, Waiting};
use connection::{CloseReason, Direction};
use sim::{Peer, Read};
use worker::{ConnectionAction, ConnectionFilter, ConnectionQuery, QueryResult, StateView};

use crate::balancer::Balancer;

/// More than one turn handles.
const CROWD: usize = 150;

const CLOSE: ConnectionAction = ConnectionAction::Close(CloseReason::ClosedByOperator);

#[test]
fn a_crowd_is_listed_over_several_turns() {
    let mut balancer = Balancer::new(|_| ());
    let mut peers: Vec<(Peer, Peer)> = (0..CROWD).map(|_| balancer.relay()).collect();
    assert_eq!(peers[0].0.send(5), 5);
    balancer.turn_while_there_is_something();
    assert!(balancer.worker.next_deadline().is_some_and(|at| at > balancer.now()));

    let answer = balancer.ask(ConnectionFilter::default(), ConnectionAction::List(usize::MAX));
    balancer.stage.notice_wakes();
    balancer.turn();
    assert!(answer.try_recv().is_err(), "one turn does not do");
    assert!(balancer.worker.next_deadline().is_some_and(|at| at <= balancer.now()), "the next comes at once");
    // One that ends meanwhile does no harm.
    peers.pop().expect("there is a crowd").0.reset();
    let found = balancer.answered(&answer);
    let mut slots: Vec<u32> = found.listed.iter().map(|listed| listed.view.slot).collect();
    assert!(slots.is_sorted());
    slots.dedup();
    assert_eq!(slots.len(), found.listed.len());
    assert!((CROWD - 1..=CROWD).contains(&found.listed.len()));
    assert_eq!(found.listed[0].view.stats.bytes[Direction::ToBackend as usize], 5);
    assert!(matches!(found.listed[0].view.state, StateView::Relaying(_)));

    let found = balancer.asked(ConnectionFilter::default(), ConnectionAction::List(10));
    assert_eq!((found.listed.len(), found.number), (10, CROWD as u64 - 1));
}

#[test]
fn only_matching_connections_are_closed() {
    let mut balancer = Balancer::new(|_| ());
    let mut peers: Vec<(Peer, Peer)> = (0..3).map(|_| balancer.relay()).collect();
    let listed = balancer.asked(ConnectionFilter::default(), ConnectionAction::List(3)).listed;
    let client = |number: usize| Prefix::of(listed[number].client.expect("it is there").ip());
    let tenant = |number: usize| (listed[number].view.slot, listed[number].view.generation);

    for none in [
        ConnectionFilter { listener: Some("other".to_owned()), ..ConnectionFilter::default() },
        ConnectionFilter { pool: Some("other".to_owned()), ..ConnectionFilter::default() },
        ConnectionFilter { client: Some(Prefix::of([10, 8, 0, 99].into())), ..ConnectionFilter::default() },
        ConnectionFilter { backend: Some(([10, 9, 9, 9], 80).into()), ..ConnectionFilter::default() },
        ConnectionFilter { tenant: Some((7, 0)), ..ConnectionFilter::default() },
        ConnectionFilter { tenant: Some((u32::MAX, 0)), ..ConnectionFilter::default() },
        ConnectionFilter { tenant: Some((tenant(0).0, tenant(0).1 + 1)), ..ConnectionFilter::default() },
        ConnectionFilter { tenant: Some(tenant(0)), client: Some(client(1)), ..ConnectionFilter::default() },
    ] {
        assert_eq!(balancer.asked(none.clone(), CLOSE).number, 0, "{none:?}");
    }
    let meant = ConnectionFilter { tenant: Some(tenant(1)), ..ConnectionFilter::default() };
    assert_eq!(balancer.asked(meant.clone(), CLOSE).number, 1);
    assert_eq!(balancer.asked(meant, CLOSE).number, 0, "it has ended");
    let (client_of, backend_of) = &mut peers[1];
    assert_eq!([balancer.read(client_of), balancer.read(backend_of)], [Read::Reset; 2]);
    let meant =
        ConnectionFilter { tenant: Some(tenant(0)), client: Some(client(0)), ..ConnectionFilter::default() };
    assert_eq!(balancer.asked(meant, CLOSE).number, 1);
    let around = ConnectionFilter {
        client: Some(Prefix::around([10, 8, 0, 0].into(), 16)),
        ..ConnectionFilter::default()
    };
    assert_eq!(balancer.asked(around, ConnectionAction::List(9)).number, 1, "a prefix is all its addresses");
    let backend = balancer.config.pools[0].backends[0].address;
    let meant = ConnectionFilter { backend: Some(backend), ..ConnectionFilter::default() };
    assert_eq!(balancer.asked(meant.clone(), ConnectionAction::List(9)).number, 1);
    assert_eq!(balancer.asked(meant, CLOSE).number, 1);
    assert_eq!(balancer.ended(), [(CloseReason::ClosedByOperator, 3)]);
}

/// One that waits, and one that is being connected.
#[test]
fn a_connection_without_a_backend_is_listed_and_closed() {
    let hold = Waiting { connections_max: 1, timeout: Duration::from_secs(60) };
    let mut balancer = Balancer::new(|config| config.listeners[0].target_role = TargetRole::Primary(hold));
    balancer.reload(&[]);
    let mut waiting = balancer.client();
    let found = balancer.asked(ConnectionFilter::default(), ConnectionAction::List(1));
    assert!(matches!(found.listed[0].view.state, StateView::Waiting { .. }));
    assert!(found.listed[0].backend.is_none());
    assert_eq!(balancer.asked(ConnectionFilter::default(), CLOSE).number, 1);
    assert_eq!(balancer.read(&mut waiting), Read::Reset);
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);

    let silent = balancer.stage.silent();
    balancer.config.listeners[0].target_role = TargetRole::Any;
    balancer.config.pools[0].backends[0].address = silent;
    balancer.reload(&[]);
    let mut connecting = balancer.client();
    let found = balancer.asked(ConnectionFilter::default(), ConnectionAction::List(1));
    assert_eq!(found.listed[0].view.state, StateView::Connecting);
    assert_eq!(found.listed[0].backend.as_ref().map(|backend| backend.address), Some(silent));
    assert_eq!(balancer.asked(ConnectionFilter::default(), CLOSE).number, 1);
    assert_eq!(balancer.read(&mut connecting), Read::Reset);
    assert_eq!(balancer.listener().pool.backends[0].semaphore.active(), 0);
    assert_eq!(balancer.ended(), [(CloseReason::ClosedByOperator, 2)]);
}

impl Balancer {
    fn ask(&mut self, meant: ConnectionFilter, errand: ConnectionAction) -> Receiver<QueryResult> {
        let (sender, answer) = channel();
        let answer_to = move |found| sender.send(found).expect("the test waits for it");
        assert!(
            self.query_sender
                .ask(0, ConnectionQuery { filter: meant, action: errand, answer: Box::new(answer_to) })
        );
        self.stage.wakers()[0].wake();
        answer
    }

    /// Queries, and runs turns until the answer and its effects are complete.
    pub(crate) fn asked(&mut self, meant: ConnectionFilter, errand: ConnectionAction) -> QueryResult {
        let answer = self.ask(meant, errand);
        self.answered(&answer)
    }

    fn answered(&mut self, answer: &Receiver<QueryResult>) -> QueryResult {
        let found = loop {
            self.stage.notice_wakes();
            self.turn();
            if let Ok(found) = answer.try_recv() {
                break found;
            }
        };
        self.turn_while_there_is_something();
        found
    }
}
