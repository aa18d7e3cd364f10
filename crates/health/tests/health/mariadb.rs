//! Roles, as MariaDB reports them.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use config::probe::{Kind, Login, Mysql as Settings, Secret};
use health::{Answer, Claim, History, ProbeError, Progress, Role, Target, probe};
use socket2::{Domain, Socket, Type};

use crate::asking::{ask, login, mysql, role, target, why};
use crate::certificate::Certificate;
use crate::place::{address, assert_root, eventually};
use crate::servers::{MariaDb, unprivileged, unprivileged_folder};

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

    /// Replicates from `primary`, over a named connection.
    fn follow_as(&self, name: &str, primary: &Self) {
        self.says(&format!(
            "CHANGE MASTER '{name}' TO master_host = '{}', master_port = {}, master_user = 'follower',
                master_password = 's3cret', master_use_gtid = slave_pos;
            START SLAVE '{name}'",
            primary.at.ip(),
            primary.at.port(),
        ));
        self.wait_for(name);
    }

    fn wait_for(&self, name: &str) {
        eventually("replication runs", || {
            self.says(&format!("SHOW SLAVE '{name}' STATUS\\G")).contains("Seconds_Behind_Master: 0")
        });
    }

    /// Its role, for an account without the privilege to see replication.
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
    assert_eq!(second.role().await, Role::Neither, "it is read-only and follows no server");
    second.follow(&first);

    assert_eq!(first.role().await, primary(false));
    assert_eq!(first.role_seen_narrowly().await, Role::Primary(Claim::default()));
    let in_step = Progress { position: None, lag: Some(Duration::ZERO) };
    assert_eq!(second.role().await, Role::Replica(in_step));
    assert_eq!(second.role_seen_narrowly().await, Role::Replica(Progress::default()));

    // Replication is broken: the lag is unknown.
    second.says("STOP SLAVE SQL_THREAD");
    assert_eq!(second.role().await, Role::Replica(Progress::default()));

    // A replica that is not read-only claims the role, with less evidence than the primary.
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
async fn a_locked_or_expired_account_does_not_count_against_the_server() {
    let server = MariaDb::start(2312, &["--max-password-errors=3"]);
    let is_refused = async |code: &str| {
        let error = ask(server.at, mysql(server.login("probe"))).await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
        assert!(error.to_string().contains(code), "{error}");
    };
    server.says("ALTER USER probe ACCOUNT LOCK");
    is_refused("4151").await;
    server.says("ALTER USER probe ACCOUNT UNLOCK PASSWORD EXPIRE");
    // It may log in, and only change its password.
    is_refused("1820").await;
    server.says("SET GLOBAL disconnect_on_expired_password = 1");
    is_refused("1862").await;
    server.says("ALTER USER probe IDENTIFIED BY 's3cret'");
    assert_eq!(server.role().await, primary(false));

    for _ in 0..3 {
        let wrong = login("probe", Secret::File(server.secret("wrong")));
        assert_eq!(why(ask(server.at, mysql(wrong)).await), "authentication");
    }
    is_refused("4150").await;
}

#[tokio::test]
async fn a_replica_with_named_connections_is_a_replica() {
    let north = MariaDb::start(2313, &["--gtid-domain-id=1"]);
    let south = MariaDb::start(2314, &["--gtid-domain-id=2"]);
    let replica = MariaDb::start(2315, &["--read-only"]);
    let in_step = Role::Replica(Progress { position: None, lag: Some(Duration::ZERO) });
    replica.follow_as("north", &north);
    assert_eq!(replica.role().await, in_step);
    assert_eq!(replica.role_seen_narrowly().await, Role::Replica(Progress::default()));
    replica.follow_as("south", &south);
    assert_eq!(replica.role().await, in_step);

    // One of two is stopped, by either of its threads.
    for (connection, thread) in [("north", "SQL_THREAD"), ("south", "IO_THREAD")] {
        replica.says(&format!("STOP SLAVE '{connection}' {thread}"));
        assert_eq!(replica.role().await, Role::Replica(Progress::default()), "{connection} {thread}");
        replica.says(&format!("START SLAVE '{connection}' {thread}"));
        replica.wait_for("north");
        replica.wait_for("south");
        assert_eq!(replica.role().await, in_step);
    }

    replica.says("SET GLOBAL read_only = 0");
    assert_eq!(replica.role().await, primary(true));
    replica.says("STOP ALL SLAVES; RESET SLAVE 'north' ALL; RESET SLAVE 'south' ALL");
    assert_eq!(replica.role().await, primary(false));
}

/// How many clients of a host may disconnect before they have logged in.
const ERRORS_MAX: usize = 10;

/// A server that resolves host names, as by default, and counts errors by host.
///
/// It does not count those of 127.0.0.1, nor those of an address that cannot be resolved; therefore it has its own
/// hosts file.
/// has a list of hosts to itself.
fn suspicious(port: u16) -> MariaDb {
    let folder = unprivileged_folder();
    let host = address(0).ip();
    fs::write(folder.file("hosts"), format!("127.0.0.1 localhost\n{host} balancer\n")).unwrap();
    let mut command = Command::new("unshare");
    let become_it = "mount --bind \"$0\" /etc/hosts && \
        exec setpriv --reuid=65534 --regid=65534 --clear-groups /usr/sbin/mariadbd \"$@\"";
    command
        .args(["--mount", "sh", "-c", become_it])
        .arg(folder.file("hosts"))
        .env("LC_ALL", "C")
        .current_dir("/");
    let limit = format!("--max-connect-errors={ERRORS_MAX}");
    let server =
        MariaDb::start_by(command, port, &["--skip-name-resolve=0", "--performance-schema=1", &limit]);
    drop(folder);
    server
}

impl MariaDb {
    /// A probe from an address whose errors are counted.
    fn target(&self, kind: Kind) -> Target {
        let mut target = target(self.at, kind);
        Arc::make_mut(&mut target.probe).source = Some(address(0).ip());
        target
    }

    /// The number of counted errors of that address.
    fn errors(&self) -> String {
        self.says("SELECT sum(sum_connect_errors) FROM performance_schema.host_cache")
            .lines()
            .last()
            .unwrap()
            .into()
    }

    /// Disconnects before it has logged in.
    fn visit(&self) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&address(0).into()).unwrap();
        socket.connect(&self.at.into()).unwrap();
        let mut greeting = [0; 4];
        Read::read_exact(&mut &socket, &mut greeting).unwrap();
    }
}

#[tokio::test]
async fn tcp_probes_do_not_get_this_host_blocked() {
    assert_root("binds a file over /etc/hosts");
    let certificate = Certificate::new();
    // Such a server is recognised by its default port, and at another port by its greeting.
    for port in [3306, 2316] {
        let server = suspicious(port);
        let no_tls = Kind::Mysql(Settings { login: server.login("probe"), tls: Some(certificate.tls()) });
        for _ in 0..2 * ERRORS_MAX {
            assert_eq!(probe(&server.target(Kind::Tcp)).await.answer, Ok(Answer::default()));
            // It does not offer TLS, and the probe leaves before it has logged in.
            assert_eq!(why(probe(&server.target(no_tls.clone())).await.answer), "tls");
        }
        assert_eq!(server.errors(), "0", "port {port}");
        assert!(probe(&server.target(mysql(server.login("probe")))).await.answer.is_ok());

        // Other clients may block the host. Then no client gets through.
        for _ in 0..=ERRORS_MAX {
            server.visit();
        }
        eventually("this host is blocked", || server.errors().parse::<usize>().unwrap() >= ERRORS_MAX);
        let seeing = if port == 3306 { vec![Kind::Tcp] } else { vec![] };
        for kind in seeing.into_iter().chain([mysql(server.login("probe"))]) {
            let error = probe(&server.target(kind)).await.answer.unwrap_err();
            assert_eq!((error.name(), error.blames_server()), ("not_ready", true), "{error}");
            assert!(error.to_string().contains("1129"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_login_that_cannot_succeed_is_completed() {
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
    eventually("the last login is in its log", || {
        server.program.output().matches("Access denied for user 'odd'").count() == 5
    });
    assert_eq!(broken_off(), before);
}

/// A client with the account `probe`, until it is dropped.
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
    // Clients that only connected were aborted.
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

    // It requires a password, and the probe has none.
    server.says("SET GLOBAL require_secure_transport = 1");
    let error = ask(server.at, mysql(server.login("probe"))).await.unwrap_err();
    assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
    assert!(asks(&certificate).await.is_ok());
}
