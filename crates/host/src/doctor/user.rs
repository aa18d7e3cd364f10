//! The user that a check runs as: that of rondel, if root checks for it.

use std::fs;
use std::io;
use std::thread;

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// A user of this host, by its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    gid: u32,
    /// Its supplementary groups.
    groups: Vec<u32>,
}

impl User {
    /// Looks a user up by its name in `/etc/passwd` and `/etc/group`.
    ///
    /// # Errors
    ///
    /// There is none of this name, or this process must not become it.
    pub(super) fn find(name: &str) -> io::Result<Self> {
        let (passwd, group) = (fs::read_to_string("/etc/passwd")?, fs::read_to_string("/etc/group")?);
        let user = Self::parse(name, &passwd, &group)
            .ok_or_else(|| io::Error::other(format!("/etc/passwd has no user {name}")))?;
        let own = geteuid();
        if own.is_root() || own.as_raw() == user.uid {
            return Ok(user);
        }
        Err(io::Error::other(format!(
            "only root can check as {name}: `sudo -u {name} rondel doctor` does the same"
        )))
    }

    /// passwd(5) and group(5).
    fn parse(name: &str, passwd: &str, group: &str) -> Option<Self> {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = passwd.lines().map(fields);
        let line = lines.find(|fields| fields[0] == name)?;
        let [uid, gid] = [2, 3].map(|index| line.get(index).and_then(|id| id.parse().ok()));
        let is_member = |line: &Vec<String>| line.get(3)?.split(',').find(|member| *member == name).map(drop);
        let groups = group.lines().map(fields).filter(|line| is_member(line).is_some());
        let groups = groups.filter_map(|line| line[2].parse().ok()).collect();
        Some(Self { name: name.to_owned(), uid: uid?, gid: gid?, groups })
    }

    /// The thread gets the rights of this user, and loses those of root. Other threads keep theirs, except for those
    /// that it starts.
    fn become_it(&self) -> io::Result<()> {
        if geteuid().as_raw() == self.uid {
            return Ok(());
        }
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    }
}

/// Runs `work` as `user`, or as the user of this process.
///
/// # Errors
///
/// The thread cannot become the user.
pub(super) fn run_as<T: Send>(user: Option<&User>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let Some(user) = user else { return Ok(work()) };
    thread::scope(|scope| {
        let thread = scope.spawn(|| user.become_it().map(|()| work()));
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::process::{geteuid, getgroups};
    use rustix::thread::gettid;

    use super::{User, run_as};

    #[test]
    fn a_user_has_the_groups_that_name_it() {
        let passwd = "root:x:0:0::/root:/bin/sh\nrondel:x:997:996::/:/usr/sbin/nologin\nbroken:x\n";
        let group = "root:x:0:\nssl-cert:x:115:postgres,rondel\nadm:x:4:rondels\nrondel:x:996:\nbroken\n";
        let user = User::parse("rondel", passwd, group).unwrap();
        assert_eq!(user, User { name: "rondel".to_owned(), uid: 997, gid: 996, groups: vec![115] });
        assert_eq!(User::parse("rond", passwd, group), None);
        assert_eq!(User::parse("broken", passwd, group), None);
    }

    #[test]
    fn only_the_thread_becomes_the_user() {
        if !geteuid().is_root() {
            return;
        }
        let user = User { name: "somewhere".to_owned(), uid: 4711, gid: 4712, groups: vec![4713] };
        let ids = || {
            let status =
                fs::read_to_string(format!("/proc/self/task/{}/status", gettid().as_raw_nonzero())).unwrap();
            let line = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
            };
            (line("Uid:"), line("Gid:"), line("CapEff:"), getgroups().unwrap().len())
        };
        let (uid, gid, capabilities, groups) = run_as(Some(&user), ids).unwrap();
        assert_eq!(uid.split_whitespace().collect::<Vec<_>>(), ["4711"; 4]);
        assert_eq!(gid.split_whitespace().collect::<Vec<_>>(), ["4712"; 4]);
        assert_eq!((capabilities.trim_matches('0'), groups), ("", 1));
        assert!(geteuid().is_root());
        // Without a user nothing changes.
        assert!(run_as(None, || geteuid().is_root()).unwrap());
    }
}
