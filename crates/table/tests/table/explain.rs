//! Where a client would be routed, before it connects.

use std::net::IpAddr;
use std::sync::Arc;

use config::{Config, TargetRole, Waiting};
use connection::CloseReason;
use driver::{ListenGroup, Owner};
use proptest::prelude::*;
use table::{
    BackendIndex, Inputs, Listener, Outcome, Picked, PoolInputs, RouteExplanation, Table, explain_route,
};

use crate::story::{
    POLICIES, PRIMARY, REPLICA, REPLICA_OR_PRIMARY, Story, TARGET_ROLES, WORKERS, address, config, state,
};

#[test]
fn each_backend_is_listed_with_the_reasons_against_it() {
    let tiers = &["", "weight: 0", "tier: backup", "max_connections: 1"];
    check("probe: { tcp: {} }", tiers, "....", TargetRole::Any, "a: -, b: NoWeight, c: OtherTier, d: -", "a");
    check(
        "probe: { tcp: {} }",
        tiers,
        "x.?e",
        TargetRole::Any,
        "a: Down+OtherTier, b: NoWeight+OtherTier, c: -, d: Ejected+OtherTier",
        "c",
    );
    let roles = "probe: { redis: {} }";
    check(roles, &["", "", ""], "PRL", PRIMARY, "a: -, b: OtherRole, c: OtherRole", "a");
    check(roles, &["", "", ""], "pRL", PRIMARY, "a: -, b: OtherRole, c: OtherRole", "a");
    check(roles, &["", "", ""], "PRL", REPLICA, "a: OtherRole, b: -, c: Lags", "b");
    check(roles, &["", "", ""], "P?L", REPLICA_OR_PRIMARY, "a: OnlyFallback, b: OtherRole, c: Lags", "a");
}

#[test]
fn a_client_without_a_backend_is_held_queued_or_refused() {
    let probe = "probe: { redis: {} }; on_all_down: closed";
    check(probe, &["", ""], "xx", TargetRole::Any, "a: Down, b: Down", "Refused(NoBackend)");
    check(
        "probe: { redis: {} }; on_all_down: open",
        &["", ""],
        "xx",
        TargetRole::Any,
        "a: Down, b: Down",
        "a",
    );
    check(probe, &["", ""], "RR", PRIMARY, "a: OtherRole, b: OtherRole", "Held");
    let none =
        TargetRole::Primary(Waiting { connections_max: 0, timeout: std::time::Duration::from_secs(1) });
    check(probe, &["", ""], "RR", none, "a: OtherRole, b: OtherRole", "Refused(HoldFull)");

    for (queue, expected) in [
        ("queue: { size: 1, timeout: 1s }", Outcome::Queued),
        ("queue: { size: 0, timeout: 1s }", Outcome::Refused(CloseReason::QueueFull)),
    ] {
        let table = table(&config(queue, &["max_connections: 1"]), TargetRole::Any, "?");
        assert!(table.0.listeners[0].pool.backends[0].semaphore.try_acquire(1));
        assert_eq!(told(&table).outcome, expected);
    }
}

/// `known` is a letter for each backend; expected are the reasons against each, and the outcome.
#[track_caller]
fn check(keys: &str, backends: &[&str], known: &str, target_role: TargetRole, reasons: &str, outcome: &str) {
    let table = table(&config(keys, backends), target_role, known);
    let told = told(&table);
    let letter = |index: BackendIndex| crate::story::letter(index).to_string();
    let backends = told.backends.iter().map(|backend| {
        let words: Vec<String> = backend.reasons_against.iter().map(|reason| format!("{reason:?}")).collect();
        let words = if words.is_empty() { "-".to_owned() } else { words.join("+") };
        format!("{}: {words}", letter(backend.index))
    });
    assert_eq!(backends.collect::<Vec<_>>().join(", "), reasons);
    let found = match told.outcome {
        Outcome::Backend(index) => letter(index),
        other => format!("{other:?}"),
    };
    assert_eq!(found, outcome);
}

/// A table with a listener of this target role, its config, and the inputs.
fn table(config: &Config, target_role: TargetRole, known: &str) -> (Table, config::Pool, PoolInputs) {
    let mut config = config.clone();
    let like = Config::forward(address(9), &[address(0)]).listeners.remove(0);
    config.listeners = vec![config::Listener { target_role, ..like }];
    let addresses = config.pools[0].backends.iter().map(|backend| backend.address);
    let health =
        PoolInputs { backends: addresses.zip(known.chars().map(state)).collect(), ..PoolInputs::default() };
    let now = Story::new("", &[""]).now;
    let of_all = Inputs { now, pools: [("pool".to_owned(), health.clone())].into(), access: Arc::default() };
    let sockets = vec![Arc::new(ListenGroup::new(Vec::new(), Owner::Process))];
    (Table::build(&config, sockets, WORKERS, Some(&of_all), None), config.pools.remove(0), health)
}

fn told((table, settings, health): &(Table, config::Pool, PoolInputs)) -> RouteExplanation {
    let listener: &Listener = &table.listeners[0];
    explain_route(listener, &listener.pool, settings, health, client(1))
}

fn client(number: u32) -> IpAddr {
    number.to_be_bytes().into()
}

proptest! {
    /// A peek shows the next pick, however often it is repeated.
    #[test]
    fn the_next_pick_is_the_one_that_peek_shows(
        policy in 0..POLICIES.len(),
        known in "[.xe?PRrL]{4}",
        bounds in prop::collection::vec(0_u8..3, 4),
        target_role in 0..TARGET_ROLES.len(),
        clients in prop::collection::vec(0_u32..50, 1..20),
    ) {
        // At most one primary.
        let first = known.find('P');
        let known: String = known.char_indices().map(|(at, of)| if of == 'P' && Some(at) != first { 'R' } else { of }).collect();
        let bounds: Vec<String> = bounds.iter().map(|most| format!("max_connections: {most}")).collect();
        let bounds: Vec<&str> = bounds.iter().map(String::as_str).collect();
        let keys = format!("probe: {{ redis: {{}} }}; balance: {}", POLICIES[policy]);
        let mut story = Story::new(&keys, &bounds);
        story.tell(&known);
        for number in clients {
            let peek = |story: &Story| story.pool().peek(TARGET_ROLES[target_role], &mut story.dice.clone(), client(number));
            let foreseen = peek(&story);
            prop_assert_eq!(foreseen, peek(&story));
            let picked = story.pick_for(TARGET_ROLES[target_role], &[], number);
            prop_assert_eq!(foreseen, picked);
            if let Picked::Backend(index) = picked {
                prop_assert!(story.pool().share(TARGET_ROLES[target_role], index) > 0);
            }
        }
    }
}
