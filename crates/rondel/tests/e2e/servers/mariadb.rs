//! MariaDB, a primary and its replica.

use std::net::SocketAddr;
use std::process::Command;

use crate::place::{address, eventually};
use crate::servers::{Program, run, unprivileged, unprivileged_folder};

/// A server with the account `probe`, which may see replication, and `narrow`, which may not; both with the
/// password `s3cret`.
pub(crate) struct MariaDb {
    pub(crate) at: SocketAddr,
    pub(crate) program: Program,
}

impl MariaDb {
    /// A primary without replicas.
    #[track_caller]
    pub(crate) fn start(port: u16, settings: &[&str]) -> Self {
        Self::start_by(unprivileged("/usr/sbin/mariadbd"), port, settings)
    }

    /// The same by a command that becomes the server, with the arguments that it gets.
    #[track_caller]
    pub(crate) fn start_by(mut command: Command, port: u16, settings: &[&str]) -> Self {
        let at = address(port);
        let folder = unprivileged_folder();
        // A server deletes the temporary tables it finds at start, also those of another server in the same folder.
        let temporary = format!("--tmpdir={}", folder.path().display());
        run(unprivileged("/usr/bin/mariadb-install-db")
            .arg("--no-defaults")
            .args([
                "--innodb-use-native-aio=0",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ])
            .arg(&temporary)
            .arg(format!("--datadir={}", folder.file("data").display())));
        command
            .arg("--no-defaults")
            .arg(&temporary)
            .arg(format!("--datadir={}", folder.file("data").display()))
            .arg(format!("--socket={}", folder.file("socket").display()))
            .arg(format!("--pid-file={}", folder.file("pid").display()))
            .arg(format!("--bind-address={}", at.ip()))
            .arg(format!("--port={port}"))
            .arg(format!("--server-id={port}"))
            .args([
                "--log-bin=binlog",
                "--log-warnings=4",
                "--skip-name-resolve",
                "--innodb-use-native-aio=0",
            ])
            .args([
                "--innodb-buffer-pool-size=8M",
                "--innodb-log-file-size=4M",
                "--innodb-flush-log-at-trx-commit=0",
            ])
            .args(settings);
        let server = Self { at, program: Program::start(folder, command, at) };
        server.says(
            "SET sql_log_bin = 0;
            CREATE USER probe IDENTIFIED BY 's3cret'; GRANT REPLICA MONITOR ON *.* TO probe;
            CREATE USER narrow IDENTIFIED BY 's3cret';
            CREATE USER follower IDENTIFIED BY 's3cret'; GRANT REPLICATION SLAVE ON *.* TO follower",
        );
        server
    }

    /// Replicates from `primary`.
    #[track_caller]
    pub(crate) fn follow(&self, primary: &Self) {
        self.says(&format!(
            "CHANGE MASTER TO master_host = '{}', master_port = {}, master_user = 'follower',
                master_password = 's3cret', master_use_gtid = slave_pos;
            START SLAVE",
            primary.at.ip(),
            primary.at.port(),
        ));
        eventually("replication runs", || {
            self.says("SHOW SLAVE STATUS\\G").contains("Seconds_Behind_Master: 0")
        });
    }

    /// Promotes it: it follows no server and accepts writes.
    #[track_caller]
    pub(crate) fn promote(&self) {
        self.says("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0");
    }

    /// Shuts it down properly: its replica gets everything that was written.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.says("SHUTDOWN WAIT FOR ALL SLAVES");
        self.program.wait();
    }

    /// Starts it again on its data, without reconfiguration.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.program.start_again();
    }

    /// A MariaDB client program with the account `user`, for this address.
    pub(crate) fn client(at: SocketAddr, user: &str, query: &str) -> Command {
        let mut command = Command::new("/usr/bin/mariadb");
        command
            .args(["--no-defaults", "--password=s3cret", "--batch", "--skip-column-names"])
            .arg(format!("--host={}", at.ip()))
            .arg(format!("--port={}", at.port()))
            .arg(format!("--user={user}"))
            .args(["--execute", query]);
        command
    }

    /// Queries it over its socket, where root needs no password.
    #[track_caller]
    pub(crate) fn says(&self, query: &str) -> String {
        run(unprivileged("/usr/bin/mariadb")
            .arg("--no-defaults")
            .arg(format!("--socket={}", self.program.folder().file("socket").display()))
            .args(["--user=root", "--batch", "--execute", query]))
    }
}
