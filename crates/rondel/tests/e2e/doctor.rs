//! `rondel doctor`: its findings on this host, and on one that lacks something.

use std::fs;

use rustix::io::Errno;

use crate::kernel::where_io_uring_setup_fails;
use crate::lb::{Lb, Said, rondel_under};
use crate::peers::{Backend, listen, refusing};
use crate::place::{Folder, address};
use crate::setup::Setup;

/// Its output for a file.
#[track_caller]
fn doctor(wrapper: &[&str], setup: &Setup, more: &[&str]) -> Said {
    let folder = Folder::new();
    let file = folder.file("rondel.yaml");
    fs::write(&file, setup.to_string()).unwrap();
    rondel_under(wrapper, &[&["doctor", file.to_str().unwrap()], more].concat())
}

#[track_caller]
fn has(said: &Said, line: &str) {
    assert!(said.text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{}", said.text);
}

#[test]
fn a_host_that_serves_has_no_findings() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]);
    let said = doctor(&[], &setup, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    for line in ["ok    kernel: ", "ok    io_uring: ", "ok    listener web: ", "ok    backend web/a: "] {
        has(&said, line);
    }
    let json = doctor(&[], &setup, &["--json"]);
    assert!(json.text.starts_with(r#"[{"level":"ok","subject":"kernel","found":"Linux "#), "{}", json.text);
    let host = rondel_under(&[], &["doctor"]);
    assert_eq!(host.code, 0, "{}", host.text);

    // Beside the running process.
    let _lb = Lb::start(&setup);
    let said = doctor(&[], &setup, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("is held by rondel, process "), "{}", said.text);
}

#[test]
fn obstacles_are_named() {
    let _other = listen(address(8080));
    let said = doctor(&[], &Setup::to(&[refusing("a", 9001)]).admin("socket: /nowhere/admin.sock"), &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    for line in ["fail  listener web: ", "fail  backend web/a: ", "fail  admin socket: "] {
        has(&said, line);
    }
    assert!(said.text.contains(&format!("process {}", std::process::id())), "{}", said.text);
    assert!(said.text.contains("3 checks fail"), "{}", said.text);
}

#[test]
fn an_unreadable_password_of_a_probe_is_named() {
    let (backend, folder) = (Backend::named("a", 9001), Folder::new());
    let file = folder.file("password");
    let asks = |place: &str| {
        let probe = format!("probe: {{ postgres: {{ user: rondel, {place} }} }}");
        doctor(&[], &Setup::to_with(&probe, &[backend.target()]), &[])
    };
    let by_file = || asks(&format!("password_file: {}", file.display()));
    let said = by_file();
    assert_eq!(said.code, 1, "{}", said.text);
    has(&said, "fail  password of pool web: the password in ");
    assert!(said.text.contains("No such file"), "{}", said.text);
    fs::write(&file, "\n").unwrap();
    let said = by_file();
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("its first line is empty"), "{}", said.text);
    fs::write(&file, "s3cret\r\n").unwrap();
    let said = by_file();
    assert_eq!(said.code, 0, "{}", said.text);
    has(&said, "ok    password of pool web: ");
    assert!(!said.text.contains("s3cret"), "{}", said.text);
    // Whether the unit sets it is unknown here.
    let said = asks("password_env: RONDEL_TEST_NO_SUCH_PASSWORD");
    assert_eq!(said.code, 0, "{}", said.text);
    has(&said, "warn  password of pool web: the password in $RONDEL_TEST_NO_SUCH_PASSWORD: ");
}

#[test]
fn limits_that_are_too_low_are_named() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]).runtime("workers: 4, max_connections: 1000");
    let said = doctor(&["prlimit", "--nofile=256"], &setup, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    has(&said, "warn  open files: the limit of 256 allows ");
    has(&said, "warn  cpus: 4 workers share ");
    let said = doctor(&["prlimit", "--nofile=32"], &setup, &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    has(&said, "fail  open files: ");
}

#[test]
fn a_kernel_that_forbids_io_uring_is_named_with_the_cure() {
    let said = where_io_uring_setup_fails(Errno::PERM, || rondel_under(&[], &["doctor"]));
    assert_eq!(said.code, 1, "{}", said.text);
    has(&said, "fail  io_uring: io_uring_setup: Operation not permitted");
    assert!(said.text.contains("seccomp"), "{}", said.text);
}

#[test]
fn a_wrong_file_exits_with_3() {
    let said = doctor(&[], &Setup::to_with("balance: randomly", &[refusing("a", 9001)]), &[]);
    assert_eq!(said.code, 3, "{}", said.text);
}
