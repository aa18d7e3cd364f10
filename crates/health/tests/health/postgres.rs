//! Roles, as PostgreSQL reports them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use config::probe::{Kind, Login, Postgres as Settings, Secret};
use health::{Answer, History, ProbeError, Role};
use rustix::process::Signal;

use crate::asking::{SHORT, ask, login, postgres, role, why, with_rhythm};
use crate::certificate::Certificate;
use crate::place::eventually;
use crate::servers::Postgres;

impl Postgres {
    fn secret(&self, password: &str) -> PathBuf {
        let file = self.program.folder().file("probe-password");
        fs::write(&file, password).unwrap();
        file
    }

    fn login(&self) -> Login {
        login("probe", Secret::File(self.secret("s3cret")))
    }

    async fn role(&self) -> Role {
        role(self.at, postgres(self.login())).await
    }
}

#[tokio::test]
async fn a_primary_a_standby_and_a_promotion() {
    let primary = Postgres::primary(2432, "");
    let standby = Postgres::standby(2433, &primary);
    primary.says("CREATE TABLE t AS SELECT 1");
    eventually("the write has arrived", || {
        standby.says("SELECT count(*) FROM pg_class WHERE relname = 't'").trim() == "1"
    });

    let Role::Primary(claim) = primary.role().await else { panic!("it is the primary") };
    let Some(History::Timeline { system, timeline: 1 }) = claim.history else { panic!("{claim:?}") };
    let written = claim.position.expect("it reports its position");
    let Role::Replica(progress) = standby.role().await else { panic!("it is a standby") };
    assert!(progress.position.is_some_and(|position| position > 0));
    assert!(progress.lag.is_some_and(|lag| lag < Duration::from_secs(3600)), "{progress:?}");
    assert!(written > 0);

    // Replay is paused: the standby receives, does not apply, and reports that.
    standby.says("SELECT pg_wal_replay_pause()");
    primary.says("INSERT INTO t SELECT generate_series(1, 10000)");
    eventually("the standby has received more than it applied", || {
        standby.says("SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()").trim() == "t"
    });
    let Role::Replica(paused) = standby.role().await else { panic!("it is a standby") };
    let Role::Primary(ahead) = primary.role().await else { panic!("it is the primary") };
    assert!(ahead.position.unwrap() > paused.position.unwrap() + 100_000, "{ahead:?} {paused:?}");
    standby.says("SELECT pg_wal_replay_resume()");

    standby.says("SELECT pg_promote()");
    let Role::Primary(promoted) = standby.role().await else { panic!("it was promoted") };
    assert_eq!(promoted.history, Some(History::Timeline { system, timeline: 2 }));
}

#[tokio::test]
async fn a_primary_that_accepts_no_writes_is_not_a_primary() {
    let server = Postgres::primary(2434, "");
    server.says("ALTER SYSTEM SET default_transaction_read_only = on");
    server.says("SELECT pg_reload_conf()");
    eventually("the setting applies", || server.says("SHOW default_transaction_read_only").trim() == "on");
    assert_eq!(server.role().await, Role::Neither);
}

#[tokio::test]
async fn logins() {
    let server = Postgres::primary(2435, "");
    let asks = async |user: &str, password: &str, database: &str| {
        let login = login(user, Secret::File(server.secret(password)));
        ask(server.at, Kind::Postgres(Settings { login, database: database.into(), tls: None })).await
    };
    assert!(asks("probe", "s3cret", "postgres").await.is_ok());
    for (user, password, database) in
        [("probe", "wrong", "postgres"), ("nobody", "s3cret", "postgres"), ("probe", "s3cret", "nowhere")]
    {
        let error = asks(user, password, database).await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
        assert!(!error.to_string().contains(password), "{error}");
    }
    let no_password = postgres(login("probe", Secret::None));
    assert!(!ask(server.at, no_password).await.unwrap_err().blames_server());

    let is_refused = async |why: &str| {
        let error = asks("probe", "s3cret", "postgres").await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    for (wrong, right, why) in [
        ("ALTER USER probe VALID UNTIL '2000-01-01'", "ALTER USER probe VALID UNTIL 'infinity'", "28P01"),
        ("ALTER USER probe NOLOGIN", "ALTER USER probe LOGIN", "28000"),
        (
            "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
            "GRANT CONNECT ON DATABASE postgres TO PUBLIC",
            "42501",
        ),
    ] {
        server.says(wrong);
        is_refused(why).await;
        server.says(right);
        assert!(asks("probe", "s3cret", "postgres").await.is_ok(), "{right}");
    }
    server.says("CREATE DATABASE closed ALLOW_CONNECTIONS false");
    assert!(!asks("probe", "s3cret", "closed").await.unwrap_err().blames_server());

    server.says("ALTER USER probe CONNECTION LIMIT 0");
    let error = asks("probe", "s3cret", "postgres").await.unwrap_err();
    assert_eq!((error.name(), error.blames_server()), ("overloaded", false), "{error}");
}

#[tokio::test]
async fn a_password_with_too_many_iterations_is_reported() {
    let server = Postgres::primary(2440, "");
    // The password s3cret, as PostgreSQL 16 and later store it with another `scram_iterations`.
    let salt = "MDEyMzQ1Njc4OWFiY2RlZg==";
    let most = "XoAkACgNdPn0UARPRehr/8cXP8ZBLbH4xTlBTpXGAdo=:RLaksPrxfSigNna7Dq+5QKveaxJ+323XcSbShuf8kyg=";
    let more = "gVJyDlCDqCxRxl3pDo0/n57hQM8myS2CzfDMr+YEvzc=:HNbWnthboavijYH4805N/oE4sNtaEp/sbp9raUeSjn4=";
    let store = |iterations: &str, keys: &str| {
        server.says(&format!("ALTER USER probe PASSWORD 'SCRAM-SHA-256${iterations}:{salt}${keys}'"));
    };
    store("100000", most);
    assert!(matches!(server.role().await, Role::Primary(_)));
    store("100001", more);
    let error = ask(server.at, postgres(server.login())).await.unwrap_err();
    assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
    assert!(error.to_string().contains("lower `scram_iterations`"), "{error}");
}

#[tokio::test]
async fn a_stopped_server_is_silent() {
    let server = Postgres::primary(2436, "");
    server.program.signal(Signal::STOP);
    let silent = with_rhythm(server.at, postgres(server.login()), SHORT);
    let answer = health::probe(&silent).await.answer;
    server.program.signal(Signal::CONT);
    assert_eq!(answer, Err(ProbeError::Timeout));
    assert!(matches!(server.role().await, Role::Primary(_)));
}

#[tokio::test]
async fn many_probes_leave_no_trace_in_its_log() {
    let server = Postgres::primary(2437, "");
    for _ in 0..200 {
        assert!(matches!(server.role().await, Role::Primary(_)));
    }
    let log = server.program.output();
    assert!(log.matches("connection authorized: user=probe").count() >= 200, "{log}");
    for trace in ["unexpected EOF", "could not receive", "could not send", "reset by peer", "invalid"] {
        assert!(!log.contains(trace), "{trace}: {log}");
    }
}

#[tokio::test]
async fn over_tls() {
    let certificate = Certificate::new();
    let server = Postgres::primary(
        2438,
        &format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'",
            certificate.shown().display(),
            certificate.key().display()
        ),
    );
    let clear = Postgres::primary(2439, "");
    let asks = async |server: &Postgres, certificate: &Certificate| -> Result<Answer, ProbeError> {
        let login = server.login();
        let tls = Some(certificate.tls());
        ask(server.at, Kind::Postgres(Settings { login, database: "postgres".into(), tls })).await
    };
    assert!(asks(&server, &certificate).await.is_ok());
    assert_eq!(why(asks(&server, &Certificate::new()).await), "tls");
    assert_eq!(why(asks(&clear, &certificate).await), "tls");
}
