//! The configuration file: only regular files are read, and nothing blocks on it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::admin::Admin;
use crate::lb::{Lb, binary, rondel};
use crate::peers::Backend;
use crate::place::Folder;
use crate::setup::Setup;

#[test]
fn a_fifo_in_place_of_the_file_rejects_the_reload_and_blocks_nothing() {
    let backend = Backend::named("a", 9001);
    let admin = Admin::new();
    let mut lb = Lb::start(&admin.of(Setup::to(&[backend.target()])));
    lb.replace_config(|path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap());

    let refused = admin.refused("reload");
    assert!(refused.contains("it is a pipe (FIFO), not a regular file"), "{refused}");
    let mark = lb.mark();
    lb.signal(Signal::HUP);
    lb.wait_for("reload refused", mark);
    assert!(admin.done("status").contains("serving"));
    assert_eq!(lb.connect().line(), "a");
    // The requested shutdown completes.
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

#[test]
fn a_symbolic_link_to_the_file_is_followed() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]);
    let lb = Lb::start(&setup);
    let folder = Folder::new();
    let file = folder.file("elsewhere.yaml");
    fs::write(&file, setup.to_string()).unwrap();
    lb.replace_config(|path| symlink(&file, path).unwrap());
    lb.reload_unchanged();
}

#[test]
fn run_rejects_a_fifo_and_check_reads_one() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]);
    let folder = Folder::new();
    let fifo = folder.file("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let said = rondel(["run", "--config", fifo.to_str().unwrap()]);
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("not a regular file"), "{}", said.text);
    assert!(said.text.contains("write the configuration into a file"), "{}", said.text);

    let mut check = Command::new(binary())
        .args(["check", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut check.stdin.take().unwrap(), setup.to_string().as_bytes()).unwrap();
    assert!(check.wait().unwrap().success());
}

#[test]
fn a_reload_that_changes_nothing_logs_one_line() {
    let backend = Backend::named("a", 9001);
    let lb = Lb::start(&Setup::to(&[backend.target()]));
    let mark = lb.reload_unchanged();
    let log = lb.log_from(mark);
    // Totals are logged at the debug level.
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains("DEBUG")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].ends_with("reloaded: nothing changed"), "{log}");
}
