//! Established connections when their backend goes down, or when their tier stops serving.

use crate::failover::actor::{PROBE, Played, asks, pair, served};
use crate::failover::heard;
use crate::lb::{Lb, closes};
use crate::peers::End;
use crate::setup::Setup;

#[test]
fn by_default_connections_to_a_backend_that_is_down_continue() {
    let [a, b] = pair(Played::Replica, Played::Replica);
    let lb = Lb::start(&Setup::to_with(PROBE, &[a.target(), b.target()]));
    let mut sessions = [served(&lb), served(&lb)];

    let mark = lb.mark();
    a.plays(Played::Ill);
    heard(&lb, "a", "is down", mark);
    assert!(sessions.iter_mut().all(|(name, client)| asks(client) == *name));
    assert_eq!([served(&lb).0, served(&lb).0], ["b", "b"]);
}

#[test]
fn with_on_down_close_connections_to_a_backend_that_is_down_are_closed() {
    let [a, b] = pair(Played::Replica, Played::Replica);
    let lb = Lb::start(&Setup::to_with(&format!("{PROBE}, on_down: close"), &[a.target(), b.target()]));
    let mut sessions = [served(&lb), served(&lb)];

    let mark = lb.mark();
    a.plays(Played::Ill);
    heard(&lb, "a", "is down", mark);
    for (name, client) in &mut sessions {
        match name.as_str() {
            "a" => assert_eq!(client.end(), End::Reset),
            _ => assert_eq!(asks(client), "b"),
        }
    }
    drop(sessions);
    assert_eq!(closes(&lb.end(), "backend_down"), 1);
}

#[test]
fn with_on_demotion_close_a_backup_that_stops_serving_loses_its_connections() {
    let [a, b] = pair(Played::Ill, Played::Replica);
    let settings = format!("{PROBE}, on_demotion: close");
    let lb = Lb::start(&Setup::to_with(&settings, &[a.target(), b.target().with("tier: backup")]));
    let (name, mut session) = served(&lb);
    assert_eq!(name, "b");

    let mark = lb.mark();
    a.plays(Played::Replica);
    heard(&lb, "a", "is up", mark);
    assert_eq!(session.end(), End::Reset);
    assert_eq!(served(&lb).0, "a");
    assert_eq!(closes(&lb.end(), "demoted"), 1);
}
