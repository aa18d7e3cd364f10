//! What control asks workers in a run, and whether what they answer is so.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use connection::{CloseReason, Direction};
use worker::{
    ConnectionAction, ConnectionFilter, ConnectionQuery, Listed, QueryResult, QuerySender, StateView,
    WorkerView,
};

use crate::descriptors::{Socket, Thing};
use crate::link::Link;
use crate::random::Random;
use crate::world::World;

/// The queries of a run.
pub(crate) struct Queries {
    query_sender: QuerySender,
    /// By worker: what was asked last, and not answered.
    asked: BTreeMap<usize, Asked>,
    /// Connections that answers say were closed.
    pub(crate) closed: u64,
}

struct Asked {
    action: ConnectionAction,
    /// Slots and generations of those that lived when it was asked.
    lived: HashSet<(u32, u32)>,
    answer: Arc<Mutex<Option<QueryResult>>>,
}

impl Queries {
    pub(crate) fn new(query_sender: QuerySender) -> Self {
        Self { query_sender, asked: BTreeMap::new(), closed: 0 }
    }

    /// Asks a worker that looks like this, unless it has something to answer; says whether connections may be
    /// closed for it.
    pub(crate) fn ask(&mut self, random: &mut Random, worker: usize, view: &WorkerView) -> bool {
        if self.asked.contains_key(&worker) {
            return false;
        }
        let lived: Vec<_> =
            view.connections.iter().map(|connection| (connection.slot, connection.generation)).collect();
        let mut filter = ConnectionFilter::default();
        let mut action = ConnectionAction::List(usize::MAX);
        if random.chance(300) {
            action = ConnectionAction::Close(CloseReason::ClosedByOperator);
            if !lived.is_empty() && random.chance(800) {
                filter.tenant = Some(random.pick(&lived));
            }
        }
        let answer = Arc::new(Mutex::new(None));
        let to = Arc::clone(&answer);
        let answer_to = move |result| *to.lock().expect("no panic with it") = Some(result);
        let query = ConnectionQuery { filter, action, answer: Box::new(answer_to) };
        assert!(self.query_sender.ask(worker, query), "one at a time is not too many");
        self.asked.insert(worker, Asked { action, lived: lived.into_iter().collect(), answer });
        action != ConnectionAction::List(usize::MAX)
    }

    /// A worker that looks like this had a turn: if it has answered, that must be so.
    pub(crate) fn check(&mut self, world: &World, worker: usize, view: &WorkerView) {
        let Some(asked) = self.asked.get(&worker) else { return };
        let Some(result) = asked.answer.lock().expect("no panic with it").take() else { return };
        let asked = self.asked.remove(&worker).expect("it was result");
        match asked.action {
            ConnectionAction::Close(_) => {
                self.closed += result.number;
                assert!(result.listed.is_empty(), "a list for an order to close");
            }
            ConnectionAction::CountSources(_) => unreachable!("runs do not ask for it"),
            ConnectionAction::List(_) => {
                assert_eq!(result.number, result.listed.len() as u64);
                check_list(world, &result.listed, &asked.lived, view);
            }
        }
    }
}

/// Each connection that lived all the time is listed once, and as it is.
fn check_list(world: &World, listed: &[Listed], lived: &HashSet<(u32, u32)>, view: &WorkerView) {
    let mut tenants = HashSet::new();
    for connection in listed {
        let tenant = (connection.view.slot, connection.view.generation);
        assert!(tenants.insert(tenant), "{tenant:?} is listed twice");
        check_bytes(world, connection);
    }
    for connection in &view.connections {
        let tenant = (connection.slot, connection.generation);
        assert!(!lived.contains(&tenant) || tenants.contains(&tenant), "{tenant:?} is missing in a list");
    }
}

/// It is the connection of the client at its address, with its bytes and its backend. Runs have so few connections
/// that they are listed within one turn.
fn check_bytes(world: &World, listed: &Listed) {
    let client = listed.client.expect("the simulated kernel knows every client");
    let Some(Thing::Socket(Socket { end: Some(end), .. })) = world.descriptors.peek(listed.view.client)
    else {
        return; // It has ended in the same turn.
    };
    let link = &world.links[end.link];
    let port = usize::from(client.port() - crate::kernel::PORT_FIRST);
    // A header may say anything.
    assert!(world.headers || port == end.link, "{client} is not the client that is listed");
    assert!(!link.is_to_backend());
    let [to_backend, to_client] =
        Direction::BOTH.map(|direction| listed.view.stats.bytes[direction as usize]);
    // The client connects, so the worker's side is the second.
    assert!(is_cut(link) || link.ways[1].sent == to_client, "{client} was sent other than what is listed");
    let Some(partner) = link.partner.map(|partner| &world.links[partner]) else {
        return assert_eq!([to_backend, to_client], [0, 0], "{client} has bytes and no partner");
    };
    let is_so = is_cut(partner) || partner.ways[0].body() == to_backend;
    assert!(is_so, "the backend of {client} was sent other than what is listed");
    if let StateView::Relaying(_) = listed.view.state {
        let backend = listed.backend.as_ref().map(|backend| backend.address);
        assert_eq!(
            partner.picked.map(|(address, _)| address),
            backend,
            "{client} is listed with another backend"
        );
    }
}

/// Of what was sent and had not arrived when a reset came, nothing is known any more.
fn is_cut(link: &Link) -> bool {
    link.ends.iter().any(|end| end.dead)
}
