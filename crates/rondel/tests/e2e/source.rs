//! The source address of a pool that this host does not have: logged once, with the effect on clients, and again
//! when it returns.

use crate::access_log::AccessLog;
use crate::attack::namespace::Namespace;
use crate::lb::{Lb, all_closes, rondel};
use crate::peers::{Backend, End};
use crate::place::{Folder, eventually};
use crate::setup::Setup;

#[test]
fn a_missing_source_is_logged_once_and_when_it_returns() {
    Namespace::within(|namespace| {
        let backend = Backend::named("a", 9001);
        let setup = Setup::to_with("source: 192.0.2.7, eject: off", &[backend.target()]);
        let missing = "this host does not hold 192.0.2.7, the source of pool web";
        let log = AccessLog::new();
        let lb = Lb::start(&setup.clone().access_log(&log.json()));
        lb.wait_for(missing, 0);
        for _ in 0..3 {
            assert_eq!(lb.turn_away(), End::Reset);
        }
        eventually("they are logged", || log.lines().len() == 3);
        assert!(log.lines()[0].contains("\"no_source_address\""), "{:?}", log.lines());
        assert_eq!(lb.log_text().matches(missing).count(), 1, "{}", lb.log_text());

        let mark = lb.mark();
        namespace.add_address("192.0.2.7/32");
        lb.wait_for("this host holds 192.0.2.7 again", mark);
        assert_eq!(lb.connect().line(), "a");
        // Its connection has ended, because its address was removed.
        eventually("it is logged", || log.lines().len() == 4);
        let mark = lb.mark();
        namespace.remove_address("192.0.2.7/32");
        lb.wait_for(missing, mark);
        assert_eq!(all_closes(&lb.end()).get("no_source_address"), Some(&3));
    });
}

#[test]
fn doctor_connects_from_the_source_of_the_pool() {
    Namespace::within(|namespace| {
        let backend = Backend::named("a", 9001);
        let folder = Folder::new();
        let file = folder.file("rondel.yaml");
        let setup = Setup::to_with("source: 192.0.2.7", &[backend.target()]);
        std::fs::write(&file, setup.to_string()).unwrap();
        let said = rondel(["doctor", file.to_str().unwrap()]);
        assert_eq!(said.code, 1, "{}", said.text);
        assert!(
            said.text.contains("fail  source of pool web: this host does not hold 192.0.2.7"),
            "{}",
            said.text
        );
        assert!(said.text.contains("fail  backend web/a: "), "{}", said.text);
        namespace.add_address("192.0.2.7/32");
        let said = rondel(["doctor", file.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{}", said.text);
        assert!(said.text.contains("ok    backend web/a: "), "{}", said.text);
    });
}
