//! PostgreSQL, a primary and its standby.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::place::{Folder, address, eventually};
use crate::servers::{Program, give_away, run, unprivileged, unprivileged_folder};

/// A server with the superuser `postgres` and the account `probe`, both with the password `s3cret`, over SCRAM.
pub(crate) struct Postgres {
    pub(crate) at: SocketAddr,
    pub(crate) program: Program,
}

impl Postgres {
    /// A primary; `settings` as in its file.
    #[track_caller]
    pub(crate) fn primary(port: u16, settings: &str) -> Self {
        let folder = unprivileged_folder();
        fs::write(folder.file("password"), "s3cret\n").unwrap();
        run(unprivileged(Self::binary("initdb"))
            .args(["--no-sync", "--username=postgres", "--auth=scram-sha-256", "--no-instructions"])
            .arg(format!("--pwfile={}", folder.file("password").display()))
            .arg("--pgdata")
            .arg(folder.file("data")));
        let hosts = "local all all trust\nhost all all 127.0.0.0/8 scram-sha-256\n\
            host replication all 127.0.0.0/8 scram-sha-256\n";
        fs::write(folder.file("data/pg_hba.conf"), hosts).unwrap();
        let server = Self::start(folder, port, settings);
        server.says("CREATE USER probe PASSWORD 's3cret'");
        server
    }

    /// A standby that streams from `primary`.
    #[track_caller]
    pub(crate) fn standby(port: u16, primary: &Self) -> Self {
        let folder = unprivileged_folder();
        let from =
            format!("host={} port={} user=postgres password=s3cret", primary.at.ip(), primary.at.port());
        run(unprivileged(Self::binary("pg_basebackup"))
            .args(["--no-sync", "--checkpoint=fast", "--write-recovery-conf", "--wal-method=stream"])
            .arg(format!("--dbname={from}"))
            .arg("--pgdata")
            .arg(folder.file("data")));
        Self::start(folder, port, "")
    }

    #[track_caller]
    fn start(folder: Folder, port: u16, settings: &str) -> Self {
        let at = address(port);
        fs::write(
            folder.file("data/test.conf"),
            format!(
                "listen_addresses = '{}'\nport = {port}\nunix_socket_directories = '{}'\nfsync = off\n\
                shared_buffers = 2MB\nmax_connections = 20\nlog_min_messages = debug1\nlog_connections = on\n{settings}\n",
                at.ip(),
                folder.path().display(),
            ),
        )
        .unwrap();
        let file = folder.file("data/postgresql.conf");
        let before = fs::read_to_string(&file).unwrap();
        fs::write(&file, before + "include 'test.conf'\n").unwrap();
        give_away(&folder.file("data/test.conf"));
        let mut command = unprivileged(Self::binary("postgres"));
        command.arg("-D").arg(folder.file("data"));
        let server = Self { at, program: Program::start(folder, command, at) };
        server.wait_for_service(0);
        server
    }

    /// Waits until it reports that it accepts queries, after the first `length` bytes of its log.
    #[track_caller]
    fn wait_for_service(&self, length: usize) {
        eventually("it answers queries", || self.program.output()[length..].contains("ready to accept"));
    }

    /// Queries it over its socket, without a password.
    #[track_caller]
    pub(crate) fn says(&self, query: &str) -> String {
        run(unprivileged(Self::binary("psql"))
            .arg(format!("--host={}", self.program.folder().path().display()))
            .arg(format!("--port={}", self.at.port()))
            .args(["--username=postgres", "--no-psqlrc", "--tuples-only", "--no-align", "--command", query]))
    }

    /// Promotes the standby, and waits until it is the primary.
    #[track_caller]
    pub(crate) fn promote(&self) {
        assert_eq!(self.says("SELECT pg_promote()").trim(), "t");
    }

    /// Shuts it down properly: sessions are aborted, and its standby gets everything that was written.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.program.end(Signal::INT);
    }

    /// Starts it again on its data, without reconfiguration.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        let said = self.program.output().len();
        self.program.start_again();
        self.wait_for_service(said);
    }

    /// A PostgreSQL client program with the superuser, for this address.
    pub(crate) fn client(program: &str, at: SocketAddr) -> Command {
        let mut command = Command::new(Self::binary(program));
        command
            .env("PGPASSWORD", "s3cret")
            .arg(format!("--host={}", at.ip()))
            .arg(format!("--port={}", at.port()))
            .arg("--username=postgres");
        command
    }

    /// A program of the newest PostgreSQL that Debian has installed.
    fn binary(name: &str) -> PathBuf {
        let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
        let numbers = versions.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
        let newest = numbers.max().expect("a version is installed");
        Path::new("/usr/lib/postgresql").join(newest.to_string()).join("bin").join(name)
    }
}
