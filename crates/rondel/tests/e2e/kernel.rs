//! A kernel that lacks or forbids io_uring: the exit code, the cause and the cure.

use std::collections::BTreeMap;
use std::thread;

use rustix::io::Errno;
use rustix::net::AddressFamily;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use crate::lb::{Said, run_with};
use crate::peers::refusing;
use crate::setup::Setup;

#[test]
fn io_uring_that_a_container_forbids_exits_with_5() {
    let said = run_where_io_uring_setup_fails(Errno::PERM);
    assert_eq!(said.code, 5, "{}", said.text);
    assert!(said.text.contains("io_uring_setup: Operation not permitted"), "{}", said.text);
    assert!(said.text.contains("seccomp"), "{}", said.text);
}

#[test]
fn a_kernel_without_io_uring_exits_with_5() {
    let said = run_where_io_uring_setup_fails(Errno::NOSYS);
    assert_eq!(said.code, 5, "{}", said.text);
    assert!(said.text.contains("rondel needs Linux 6.1 or later"), "{}", said.text);
}

fn run_where_io_uring_setup_fails(errno: Errno) -> Said {
    where_io_uring_setup_fails(errno, || run_with(&[], &Setup::to(&[refusing("a", 9001)])))
}

/// Runs `what`, and every process it starts, on a thread for which io_uring fails.
pub(crate) fn where_io_uring_setup_fails<R: Send + 'static>(
    errno: Errno,
    what: impl FnOnce() -> R + Send + 'static,
) -> R {
    where_refused(errno, BTreeMap::from([(IO_URING_SETUP, vec![])]), what)
}

/// The same on a host without IPv6.
pub(crate) fn where_there_is_no_ipv6<R: Send + 'static>(what: impl FnOnce() -> R + Send + 'static) -> R {
    let family = AddressFamily::INET6.as_raw().into();
    let is_ipv6 = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family).unwrap();
    let rules = BTreeMap::from([(SOCKET, vec![SeccompRule::new(vec![is_ipv6]).unwrap()])]);
    where_refused(Errno::AFNOSUPPORT, rules, what)
}

fn where_refused<R: Send + 'static>(
    errno: Errno,
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    what: impl FnOnce() -> R + Send + 'static,
) -> R {
    let refuse = SeccompAction::Errno(errno.raw_os_error().cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    // A filter is permanent, and children inherit it: it gets a thread of its own.
    let run = move || {
        apply_filter(&filter).unwrap();
        what()
    };
    thread::spawn(run).join().unwrap()
}

/// The number of the system call, which is the same on every architecture.
const IO_URING_SETUP: i64 = 425;

/// The number of socket(2).
#[cfg(target_arch = "x86_64")]
const SOCKET: i64 = 41;
#[cfg(not(target_arch = "x86_64"))]
const SOCKET: i64 = 198;
