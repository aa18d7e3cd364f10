//! How each side is closed when a connection ends, and when a relay without visible progress ends.

use std::time::Duration;

use config::{OnAllDown, OnLoss, TargetRole, Waiting};
use connection::{CloseReason, Direction};
use sim::{Peer, Read};
use table::{BackendState, Phase};
use worker::{ConnectionAction, ConnectionFilter, StateView};

use crate::balancer::{Balancer, DOWN, PRIMARY, REPLICA};

/// More than a peer's window, and less than the kernel holds: the rest waits there.
const ANSWER: u32 = 160 * 1024;

const TIMEOUT: Duration = Duration::from_secs(2);

/// What ends a half-closed connection: the action, and the reason.
type Ending = (fn(&mut Balancer, Option<Peer>), CloseReason);

/// Each ends a connection, given with its other side.
const ENDINGS: [Ending; 5] = [
    (|balancer, _| balancer.pass(TIMEOUT + Duration::from_millis(10)), CloseReason::HalfClosedTimeout),
    (|balancer, _| balancer.end(), CloseReason::Drained),
    (|balancer, _| drop(balancer.asked(ConnectionFilter::default(), CLOSE)), CloseReason::ClosedByOperator),
    (|balancer, _| balancer.lose(DOWN), CloseReason::BackendDown),
    (|balancer, other| other.expect("it is there").reset_after_its_fin(balancer), CloseReason::BackendReset),
];

const CLOSE: ConnectionAction = ConnectionAction::Close(CloseReason::ClosedByOperator);

#[test]
fn a_slow_client_receives_the_whole_answer_whatever_ends_the_connection() {
    for (end, reason) in ENDINGS {
        let mut balancer = balancer();
        let (mut client, mut backend) = balancer.relay();
        assert_eq!(backend.send(ANSWER), ANSWER);
        balancer.turn_while_there_is_something();
        backend.finish();
        balancer.turn_while_there_is_something();
        end(&mut balancer, Some(backend));
        balancer.turn_while_there_is_something();
        assert_eq!(balancer.ended(), [(reason, 1)]);
        assert_eq!(read_to_the_end(&mut balancer, &mut client), (ANSWER, Read::Fin), "{reason:?}");
    }
}

#[test]
fn a_slow_backend_receives_the_whole_request_whatever_ends_the_connection() {
    for (end, reason) in ENDINGS {
        let reason = if reason == CloseReason::BackendReset { CloseReason::ClientReset } else { reason };
        let mut balancer = balancer();
        let (mut client, mut backend) = balancer.relay();
        assert_eq!(client.send(ANSWER), ANSWER);
        balancer.turn_while_there_is_something();
        client.finish();
        balancer.turn_while_there_is_something();
        end(&mut balancer, Some(client));
        balancer.turn_while_there_is_something();
        assert_eq!(balancer.ended(), [(reason, 1)]);
        assert_eq!(read_to_the_end(&mut balancer, &mut backend), (ANSWER, Read::Fin), "{reason:?}");
    }
}

/// It gets no FIN: what it received could be incomplete.
#[test]
fn a_side_that_was_not_given_the_fin_is_reset_whatever_ends_the_connection() {
    for (end, reason) in ENDINGS {
        let mut balancer = balancer();
        let (mut client, mut backend) = balancer.relay();
        backend.send(ANSWER);
        client.finish();
        balancer.turn_while_there_is_something();
        if reason == CloseReason::BackendReset {
            backend.reset();
        } else {
            end(&mut balancer, None);
        }
        balancer.turn_while_there_is_something();
        assert_eq!(balancer.ended(), [(reason, 1)]);
        let (length, end) = read_to_the_end(&mut balancer, &mut client);
        assert!(length < ANSWER && end == Read::Reset, "{length} bytes, {end:?}, {reason:?}");
    }
}

/// A writer's request that waits in the kernel must not reach a server that lost the role, however late the server
/// reads.
#[test]
fn a_server_that_lost_the_role_gets_no_pending_writes() {
    let hold = Waiting { connections_max: 1, timeout: Duration::from_secs(1) };
    let mut balancer = Balancer::new(|config| {
        config.listeners[0].target_role = TargetRole::Primary(hold);
        config.pools[0].on_role_loss = OnLoss::Close;
    });
    balancer.lose(PRIMARY);
    balancer.turn_while_there_is_something();
    let (mut client, mut backend) = balancer.relay();
    client.send(ANSWER);
    balancer.turn_while_there_is_something();
    client.finish();
    balancer.turn_while_there_is_something();
    balancer.lose(REPLICA);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), [(CloseReason::RoleLost, 1)]);
    let (length, end) = read_to_the_end(&mut balancer, &mut backend);
    assert!(length < ANSWER && end == Read::Reset, "{length} bytes, {end:?}");
}

/// The client sends more than the backend takes, so some of it is unread when the connection ends: a plain close
/// would reset the client.
#[test]
fn a_client_that_sent_unread_data_receives_the_whole_answer() {
    let mut balancer = balancer();
    let (mut client, mut backend) = balancer.relay();
    backend.send(ANSWER);
    balancer.turn_while_there_is_something();
    backend.finish();
    balancer.turn_while_there_is_something();
    while client.send(64 * 1024) > 0 {
        balancer.turn_while_there_is_something();
    }
    balancer.pass(TIMEOUT + Duration::from_millis(10));
    assert_eq!(balancer.ended(), [(CloseReason::HalfClosedTimeout, 1)]);
    assert_eq!(read_to_the_end(&mut balancer, &mut client), (ANSWER, Read::Fin));
}

#[test]
fn a_relay_in_which_the_kernel_still_delivers_is_not_idle() {
    for half_closed in [false, true] {
        let mut balancer = balancer();
        let (mut client, mut backend) = balancer.relay();
        backend.send(ANSWER);
        balancer.turn_while_there_is_something();
        if half_closed {
            backend.finish();
            balancer.turn_while_there_is_something();
        }
        // The worker sees no progress meanwhile.
        for _ in 0..20 {
            balancer.pass(TIMEOUT * 3 / 4);
            assert!(matches!(client.read(4096), Read::Bytes(_)));
        }
        assert_eq!(balancer.ended(), []);
        // A client that reads no more is idle by then.
        balancer.pass(TIMEOUT * 39 / 40);
        assert_eq!(balancer.ended(), []);
        balancer.pass(Duration::from_millis(100));
        let reason = if half_closed { CloseReason::HalfClosedTimeout } else { CloseReason::Idle };
        assert_eq!(balancer.ended(), [(reason, 1)]);
    }
}

#[test]
fn a_reset_of_a_half_closed_side_is_detected_soon() {
    for (finishes, reason) in
        [(Direction::ToBackend, CloseReason::ClientReset), (Direction::ToClient, CloseReason::BackendReset)]
    {
        for splices in [false, true] {
            let mut balancer = balancer();
            let (client, backend) = balancer.relay();
            let (mut one, mut other) =
                if finishes == Direction::ToBackend { (client, backend) } else { (backend, client) };
            if splices {
                stream(&mut balancer, &mut other, &mut one);
            }
            one.finish();
            balancer.turn_while_there_is_something();
            balancer.pass(Duration::from_millis(200));
            one.reset();
            balancer.pass(Duration::from_millis(10));
            assert_eq!(balancer.ended(), [(reason, 1)], "splices: {splices}");
            // It has received everything, and may read it later.
            assert_eq!(balancer.read(&mut other), Read::Fin);
        }
    }
}

/// Most relays end right after the first FIN.
#[test]
fn no_poll_is_armed_until_a_half_closed_relay_has_lived_for_a_moment() {
    let mut balancer = balancer();
    let (mut client, _backend) = balancer.relay();
    let in_flight = |balancer: &Balancer| balancer.worker.inspect().connections[0].in_flight;
    assert_eq!(in_flight(&balancer), 2);
    client.finish();
    balancer.turn_while_there_is_something();
    assert_eq!(in_flight(&balancer), 1);
    balancer.pass(Duration::from_millis(120));
    assert_eq!(in_flight(&balancer), 2);
    assert!(
        balancer.worker.next_deadline().is_some_and(|at| at > balancer.now() + TIMEOUT / 2),
        "it is at rest"
    );
}

fn balancer() -> Balancer {
    Balancer::new(|config| {
        let pool = &mut config.pools[0];
        pool.idle_timeout = TIMEOUT;
        pool.half_closed_timeout = TIMEOUT;
        pool.on_down = OnLoss::Close;
        pool.on_all_down = OnAllDown::Closed;
    })
}

/// Sends so much in one direction that it is spliced.
fn stream(balancer: &mut Balancer, from: &mut Peer, to: &mut Peer) {
    for _ in 0..8 {
        from.send(128 * 1024);
        balancer.turn_while_there_is_something();
        while let Read::Bytes(_) = to.read(1 << 20) {
            balancer.turn_while_there_is_something();
        }
    }
    let view = balancer.worker.inspect().connections[0];
    let StateView::Relaying(halves) = view.state else { panic!("{view:?}") };
    let splices = |half: &connection::HalfView| matches!(half, connection::HalfView::Splicing { .. });
    assert!(halves.iter().any(splices), "{halves:?}");
}

fn read_to_the_end(balancer: &mut Balancer, peer: &mut Peer) -> (u32, Read) {
    let mut read = 0;
    loop {
        balancer.stage.pass(Duration::ZERO);
        match peer.read(16 * 1024) {
            Read::Bytes(length) => read += length,
            end => return (read, end),
        }
    }
}

trait Regrets {
    fn reset_after_its_fin(self, balancer: &mut Balancer);
}

impl Regrets for Peer {
    fn reset_after_its_fin(self, balancer: &mut Balancer) {
        balancer.pass(Duration::from_millis(200));
        self.reset();
        balancer.pass(Duration::from_millis(10));
    }
}

impl Balancer {
    fn end(&mut self) {
        self.publish(Phase::Ending);
        self.stage.wakers()[0].wake();
    }

    /// Sets the state of the only backend.
    fn lose(&mut self, standing: BackendState) {
        let address = self.config.pools[0].backends[0].address;
        self.reload(&[(address, standing)]);
    }
}
