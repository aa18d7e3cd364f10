//! What is denied, in the kernel as well: the sets of configs/nftables, filled by `rondel bans --nft`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{Gets, from};
use crate::admin::Admin;
use crate::attack::namespace::Namespace;
use crate::lb::{Lb, binary};
use crate::peers::Backend;
use crate::place::{Folder, eventually};
use crate::programs::shell;
use crate::servers::run;
use crate::setup::Setup;

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

#[test]
fn a_banned_address_gets_no_answer_from_the_kernel_until_its_ban_ends() {
    Namespace::within(|namespace| {
        for address in ["192.0.2.7/32", "192.0.2.8/32"] {
            namespace.add_address(address);
        }
        run(Command::new("nft").arg("--file").arg(configs().join("nftables/rondel.nft")));
        let backend = Backend::named("a", 9001);
        let admin = Admin::new();
        let lb = Lb::start(&admin.of(Setup::to(&[backend.target()])));
        admin.done("deny 192.0.2.7 --for 1h --why scans");
        admin.done("deny 2001:db8::/32");
        assert_eq!(from(&lb, "192.0.2.7"), Gets::Reset);

        fill(&admin);
        assert!(is_silent(lb.address(), "192.0.2.7"), "no SYN is answered");
        assert_eq!(from(&lb, "192.0.2.8"), Gets::Service);
        let sets = run(Command::new("nft").args(["list", "table", "inet", "rondel"]));
        assert!(sets.contains("192.0.2.7 timeout ") && sets.contains("2001:db8::/32"), "{sets}");

        // The sets follow what is denied.
        admin.done("forget 192.0.2.7");
        fill(&admin);
        assert_eq!(from(&lb, "192.0.2.7"), Gets::Service);
        let sets = run(Command::new("nft").args(["list", "table", "inet", "rondel"]));
        assert!(!sets.contains("192.0.2.7") && sets.contains("2001:db8::/32"), "{sets}");

        // Without rondel, a ban ends by its time.
        admin.done("deny 192.0.2.7 --for 2s");
        fill(&admin);
        assert!(is_silent(lb.address(), "192.0.2.7"));
        eventually("the ban ends", || !is_silent(lb.address(), "192.0.2.7"));
    });
}

#[test]
fn fail2ban_finds_refused_clients_in_both_formats() {
    let backend = Backend::named("a", 9001);
    let (admin, folder) = (Admin::new(), Folder::new());
    let filter = configs().join("fail2ban/filter.d/rondel.conf");
    for (format, expected) in [("text", 3), ("json", 2)] {
        let log = folder.file(format);
        let setup = admin.of(Setup::to(&[backend.target()])).limits("few", "connections: 1");
        let setup = setup.access_log(&format!("{{ to: {}, format: {format} }}", log.display()));
        let at = crate::place::address(crate::setup::PORT);
        let lb = Lb::start(&setup.without_listeners().listen("web", at, "web", "limits: few"));
        admin.done("deny 127.0.0.9");
        assert_eq!(from(&lb, "127.0.0.9"), Gets::Reset);
        let mut one = super::connected(&lb, "127.0.0.10");
        assert_eq!([from(&lb, "127.0.0.10"), from(&lb, "127.0.0.10")], [Gets::Reset; 2]);
        one.echoes(b"the one it may have");
        drop(one);
        lb.end();
        let said = run(Command::new("fail2ban-regex").arg(&log).arg(&filter));
        // The denied one counts in text, where a line has no reason; the one that was served never does.
        assert!(said.contains(&format!("{expected} matched, {} missed", 4 - expected)), "{said}");
    }
}

/// What the timer of configs/systemd does.
fn fill(admin: &Admin) {
    let line =
        format!("{} bans --nft --socket {} | nft --file -", binary().display(), admin.socket().display());
    shell(line);
}

/// Whether a SYN of this address is not answered for a second, after which it would be repeated.
fn is_silent(to: SocketAddr, ip: &str) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(ip.parse().unwrap(), 0).into()).unwrap();
    match socket.connect_timeout(&to.into(), Duration::from_millis(900)) {
        Err(error) => error.kind() == ErrorKind::TimedOut,
        Ok(()) => false,
    }
}

#[test]
fn nft_takes_a_thousand_overlapping_and_neighbouring_bans() {
    Namespace::within(|_| {
        for file in ["rondel.nft", "rondel-rate.nft", "rondel.nft"] {
            run(Command::new("nft").arg("--file").arg(configs().join("nftables").join(file)));
        }
        let backend = Backend::named("a", 9001);
        let (admin, folder) = (Admin::new(), Folder::new());
        let entry = |number: u32| {
            let prefix = format!("198.18.{}.{}", number / 256, number % 256);
            format!(
                r#"{{"prefix":"{prefix}","list":null,"action":"deny","since":0,"until":4102444800,"by":"","why":""}}"#
            )
        };
        let entries: Vec<String> = (0..1500).map(entry).collect();
        let state = format!(r#"{{"version":1,"access":[{}]}}"#, entries.join(","));
        std::fs::write(folder.file("state.json"), state).unwrap();
        let runtime = format!("workers: 2, drain_timeout: 5s, state: {}", folder.path().display());
        let _lb = Lb::start(&admin.of(Setup::to(&[backend.target()])).runtime(&runtime));
        admin.done("deny 198.18.4.0/24 --for 1h");
        fill(&admin);
        fill(&admin);
        let found = |address: &str| {
            let element = format!("{{ {address} }}");
            let get = ["get", "element", "inet", "rondel", "banned4", &element];
            Command::new("nft").args(get).output().unwrap().status.success()
        };
        assert!(found("198.18.0.0") && found("198.18.4.7") && found("198.18.5.219"));
        assert!(!found("198.18.5.220"));
    });
}
