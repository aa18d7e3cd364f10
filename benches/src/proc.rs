//! Readers of `/proc`: processes, sockets, and the whole machine.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

/// A process and its descendants.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let mut tree = vec![pid];
    let mut next = 0;
    while let Some(&one) = tree.get(next) {
        next += 1;
        for task in tasks(one) {
            let children = fs::read_to_string(format!("{task}/children")).unwrap_or_default();
            tree.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    tree
}

/// Whether a process exists and is not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !has_ended(&stat))
}

fn has_ended(stat: &str) -> bool {
    // The state follows the name, which is in parentheses.
    matches!(stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next(), Some('Z' | 'X'))
}

/// The folders of a process's threads; none if it has ended.
pub(crate) fn tasks(pid: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path().display().to_string()).collect()
}

/// The number after `key:` in a status file.
pub(crate) fn status_number(status: &str, key: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// CPU time, user and system, of `/proc/PID/stat`: only exact to a tick, but including ended threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatCpu {
    /// Of its threads, living and ended.
    pub(crate) own: Duration,
    /// Of its ended children.
    pub(crate) children: Duration,
}

impl StatCpu {
    pub(crate) fn of(stat: &str) -> Self {
        // The name in parentheses may contain spaces; `utime`, `stime`, `cutime` and `cstime` are the 12th to 15th
        // field after it.
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(4)
            .filter_map(|field| field.parse().ok())
            .collect();
        let [user, system, children_user, children_system] = fields[..] else {
            return Self { own: Duration::ZERO, children: Duration::ZERO };
        };
        Self { own: ticks(user + system), children: ticks(children_user + children_system) }
    }
}

/// The busy time and the total time of one processor, or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) busy: Duration,
    pub(crate) all: Duration,
}

impl Busy {
    /// Parsed from `/proc/stat`; `processor` is `cpu` for all, or one of them, such as `cpu1`.
    pub(crate) fn of(stat: &str, processor: &str) -> Self {
        let numbers: Vec<u64> = stat
            .lines()
            .find(|line| line.split_whitespace().next() == Some(processor))
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .filter_map(|number| number.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal; stolen time was used by another machine.
        let busy = [0, 1, 2, 5, 6].iter().filter_map(|&index| numbers.get(index)).sum();
        Self { busy: ticks(busy), all: ticks(numbers.iter().take(8).sum()) }
    }
}

fn ticks(number: u64) -> Duration {
    TICK * u32::try_from(number).unwrap_or(u32::MAX)
}

/// Whether a socket listens on `address` in the network namespace of a process.
pub(crate) fn listens(pid: u32, address: SocketAddr) -> bool {
    let sockets = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    sockets_at(&sockets, address.port(), State::Listen) > 0
}

/// The number of established connections accepted on `ports`, in the network namespace of this process.
pub(crate) fn connections_to(ports: &[u16]) -> usize {
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    ports.iter().map(|&port| sockets_at(&sockets, port, State::Established)).sum()
}

/// The state of a socket, by the kernel's number.
#[derive(Clone, Copy, Debug)]
enum State {
    Established,
    Listen,
}

/// The number of sockets with the local port `port` in a state, parsed from `/proc/net/tcp`.
fn sockets_at(sockets: &str, port: u16, state: State) -> usize {
    let port = format!(":{port:04X}");
    let state = match state {
        State::Established => "01",
        State::Listen => "0A",
    };
    sockets
        .lines()
        .skip(1)
        .filter(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let local = fields.next().unwrap_or_default();
            local.ends_with(&port) && fields.nth(1) == Some(state)
        })
        .count()
}

/// `USER_HZ` is 100 on every current Linux.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Busy, StatCpu, State, has_ended, sockets_at, status_number};

    const SOCKETS: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:5209 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:5209 0100007F:8001 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0100007F:8001 0100007F:5209 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
";

    #[test]
    fn sockets_are_counted_by_their_local_port_and_state() {
        assert_eq!(sockets_at(SOCKETS, 21001, State::Listen), 1);
        assert_eq!(sockets_at(SOCKETS, 21001, State::Established), 1);
        assert_eq!(sockets_at(SOCKETS, 21002, State::Listen), 0);
    }

    #[test]
    fn a_zombie_has_ended() {
        assert!(has_ended("7 (Z) S) Z 1 7 7 0"));
        assert!(!has_ended("7 (Z) S 1 7 7 0"));
    }

    #[test]
    fn a_name_with_a_parenthesis_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 60 40 20 0 1 0 100 0 0";
        assert_eq!(
            StatCpu::of(stat),
            StatCpu { own: Duration::from_secs(3), children: Duration::from_secs(1) }
        );
    }

    #[test]
    fn idle_waiting_and_stolen_time_is_not_busy() {
        let stat = "cpu  1 2 3 1000 1000 4 5 1000 0 0\ncpu1 9 0 0 1 0 0 0 0 0 0\n";
        let milliseconds = Duration::from_millis;
        assert_eq!(Busy::of(stat, "cpu"), Busy { busy: milliseconds(150), all: milliseconds(30_150) });
        assert_eq!(Busy::of(stat, "cpu1"), Busy { busy: milliseconds(90), all: milliseconds(100) });
    }

    #[test]
    fn a_key_is_matched_whole() {
        let status = "nonvoluntary_ctxt_switches:\t3\nvoluntary_ctxt_switches:\t5\nRssAnon:\t  12 kB\n";
        assert_eq!(status_number(status, "voluntary_ctxt_switches"), 5);
        assert_eq!(status_number(status, "RssAnon"), 12);
        assert_eq!(status_number(status, "RssShmem"), 0);
    }
}
