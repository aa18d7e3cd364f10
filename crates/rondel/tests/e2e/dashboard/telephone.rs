//! The dashboard on a telephone.

use rustix::process::Signal;
use serde_json::json;

use super::{PROBE, listed};
use crate::admin::Admin;
use crate::browser::Browser;
use crate::lb::Lb;
use crate::peers::Backend;
use crate::place::address;
use crate::setup::{Setup, target};

#[test]
fn the_sickest_pool_is_the_first_and_its_state_is_whole_on_a_telephone() {
    let alive = [9001, 9002, 9004].map(|port| Backend::named("alive", port));
    let admin = Admin::new();
    let setup = [("some-are-down", 9001), ("notifications-dispatcher", 9004), ("all-are-down", 9007)];
    let setup = setup.iter().fold(Setup::empty(), |setup, (name, first)| {
        let targets: Vec<_> = (0..3).map(|at| target(&format!("b{at}"), first + at)).collect();
        setup.listen(name, address(20_000 + first), name, "").pool(name, PROBE, &targets)
    });
    let mut lb = Lb::start(&admin.of(setup));
    let browser = Browser::start(390, 844);
    // A window has a least width of its own.
    browser.size(390, 844);
    browser.go(&format!("http://{}/", Admin::http()));
    browser.wait_for("#health-title", "3 problems");
    let states =
        "return [...document.querySelectorAll('#pools .line .state')].map((state) => state.innerText)";
    assert_eq!(browser.run(states, &json!([])), json!(["NO BACKEND", "2 DOWN", "1 DOWN"]));
    assert_eq!(listed(&browser), ["all-are-down", "notifications-dispatcher", "some-are-down"]);
    // None has a second line.
    let lines = "return [...document.querySelectorAll('#pools .line .state')].map((state) => state.getClientRects().length \
        * Math.round(state.offsetHeight / parseFloat(getComputedStyle(state).lineHeight)))";
    assert_eq!(browser.run(lines, &json!([])), json!([1, 1, 1]));
    let wider = "return document.documentElement.scrollWidth - innerWidth";
    assert_eq!(browser.run(wider, &json!([])), 0);
    assert_eq!(browser.complaints(), [""; 0]);
    drop((browser, alive));
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}
