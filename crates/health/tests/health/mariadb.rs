//! Roles, as MariaDB says them.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use config::probe::{Kind, Login, Mysql as Settings, Secret};
use health::{Answer, Claim, History, ProbeError, Progress, Role};

use crate::asking::{ask, login, mysql, role, why};
use crate::certificate::Certificate;
use crate::place::eventually;
use crate::servers::{MariaDb, unprivileged};

impl MariaDb {
    fn aborted(&self) -> String {
        self.says("SHOW GLOBAL STATUS WHERE variable_name IN ('Aborted_clients', 'Aborted_connects')")
    }

    fn secret(&self, password: &str) -> PathBuf {
        let file = self.program.folder().file("probe-password");
        fs::write(&file, password).unwrap();
        file
    }

    fn login(&self, user: &str) -> Login {
        login(user, Secret::File(self.secret("s3cret")))
    }

    async fn role(&self) -> Role {
        role(self.at, mysql(self.login("probe"))).await
    }

    /// Its role as a user who may not see replication.
    async fn role_seen_narrowly(&self) -> Role {
        role(self.at, mysql(self.login("narrow"))).await
    }
}

fn primary(follows: bool) -> Role {
    Role::Primary(Claim { history: Some(History::Source { follows }), position: None })
}

#[tokio::test]
async fn a_primary_a_replica_and_a_promotion() {
    let first = MariaDb::start(2306, &[]);
    let second = MariaDb::start(2307, &["--read-only"]);
    assert_eq!(second.role().await, Role::Neither, "it is read-only and follows nobody");
    second.follow(&first);

    assert_eq!(first.role().await, primary(false));
    assert_eq!(first.role_seen_narrowly().await, Role::Primary(Claim::default()));
    let in_step = Progress { position: None, lag: Some(Duration::ZERO) };
    assert_eq!(second.role().await, Role::Replica(in_step));
    assert_eq!(second.role_seen_narrowly().await, Role::Replica(Progress::default()));

    // Replication is broken: nobody knows how far it is behind.
    second.says("STOP SLAVE SQL_THREAD");
    assert_eq!(second.role().await, Role::Replica(Progress::default()));

    // A replica that nobody made read-only claims, with less to say for it than the primary.
    second.says("SET GLOBAL read_only = 0");
    assert_eq!(second.role().await, primary(true));

    second.says("STOP SLAVE; RESET SLAVE ALL");
    assert_eq!(second.role().await, primary(false));
}

#[tokio::test]
async fn logins() {
    let server = MariaDb::start(2308, &[]);
    let asks = async |user: &str, password: &str| {
        ask(server.at, mysql(login(user, Secret::File(server.secret(password))))).await
    };
    assert!(asks("probe", "s3cret").await.is_ok());
    for (user, password) in [("probe", "wrong"), ("nobody", "s3cret")] {
        let error = asks(user, password).await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
        assert!(!error.to_string().contains(password), "{error}");
    }
    server.says("SET GLOBAL max_connections = 10; ALTER USER probe WITH MAX_USER_CONNECTIONS 1");
    let _client = Client::start(&server);
    let error = asks("probe", "s3cret").await.unwrap_err();
    assert_eq!((error.name(), error.blames_server()), ("overloaded", false), "{error}");
}

#[tokio::test]
async fn a_login_that_cannot_succeed_is_not_broken_off() {
    let server = MariaDb::start(2311, &[]);
    server.says(
        "INSTALL SONAME 'auth_ed25519'; CREATE USER odd IDENTIFIED VIA ed25519 USING PASSWORD('s3cret')",
    );
    let broken_off = || server.program.output().matches("without authentication").count();
    let before = broken_off();
    for _ in 0..5 {
        let error = ask(server.at, mysql(server.login("odd"))).await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
        assert!(error.to_string().contains("client_ed25519"), "{error}");
    }
    eventually("it has written of the last", || {
        server.program.output().matches("Access denied for user 'odd'").count() == 5
    });
    assert_eq!(broken_off(), before);
}

/// A client of the user `probe`, until it is dropped.
struct Client(Child);

impl Client {
    fn start(server: &MariaDb) -> Self {
        let mut command = unprivileged("/usr/bin/mariadb");
        command
            .args(["--no-defaults", "--user=probe", "--password=s3cret", "--execute", "DO SLEEP(1000)"])
            .arg(format!("--host={}", server.at.ip()))
            .arg(format!("--port={}", server.at.port()));
        let client = Self(command.spawn().unwrap());
        eventually("the client is in", || server.says("SHOW PROCESSLIST").contains("DO SLEEP"));
        client
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn many_probes_abort_no_connection() {
    let server = MariaDb::start(2309, &["--max-connect-errors=1"]);
    // Those that looked whether it listens were aborted.
    let before = server.aborted();
    for _ in 0..200 {
        assert_eq!(server.role().await, primary(false));
    }
    assert_eq!(server.aborted(), before);
    let log = server.program.output();
    assert!(!log.contains("Aborted connection") || !log.contains("probe"), "{log}");
}

#[tokio::test]
async fn over_tls() {
    let certificate = Certificate::new();
    let server = MariaDb::start(
        2310,
        &[
            &format!("--ssl-cert={}", certificate.shown().display()),
            &format!("--ssl-key={}", certificate.key().display()),
            &format!("--ssl-ca={}", certificate.authority().display()),
        ],
    );
    let asks = async |certificate: &Certificate| -> Result<Answer, ProbeError> {
        let settings = Settings { login: server.login("probe"), tls: Some(certificate.tls()) };
        ask(server.at, Kind::Mysql(settings)).await
    };
    assert!(asks(&certificate).await.is_ok());
    assert_eq!(why(asks(&Certificate::new()).await), "tls");
}
