//! Roles, as Redis reports them.

use std::fs;
use std::io::{Read, Write};

use config::probe::{Kind, Redis as Settings, Secret};
use health::{History, Role};

use crate::asking::{ask, login, redis, role, why};
use crate::certificate::Certificate;
use crate::place::{address, eventually};
use crate::servers::Redis;

#[tokio::test]
async fn a_primary_a_replica_and_a_promotion() {
    let primary = Redis::start(2379, &[]);
    let replica = Redis::replica_of(2380, &primary);
    primary.wait_for_replica();
    primary.says(&["SET", "key", "value"]);
    eventually("the write has arrived", || replica.says(&["GET", "key"]).trim() == "value");

    let Role::Primary(claim) = role(primary.at, redis(None)).await else { panic!("it is the primary") };
    let Some(History::Replication { id: first, continued: None, offset }) = claim.history else {
        panic!("{claim:?}")
    };
    assert!(claim.position.is_some_and(|position| position > 0 && position <= offset));
    let Role::Replica(progress) = role(replica.at, redis(None)).await else { panic!("it is a replica") };
    assert!(progress.position.is_some_and(|position| position > 0));

    replica.says(&["REPLICAOF", "NO", "ONE"]);
    let Role::Primary(claim) = role(replica.at, redis(None)).await else { panic!("it was promoted") };
    let Some(History::Replication { id: second, continued, .. }) = claim.history else { panic!("{claim:?}") };
    assert_ne!(second, first);
    assert_eq!(continued, Some(first));
}

#[tokio::test]
async fn a_replica_without_data_is_neither() {
    let lonely = Redis::start(2381, &["--replicaof", &format!("{} 1", address(1).ip())]);
    assert_eq!(role(lonely.at, redis(None)).await, Role::Neither);
}

#[tokio::test]
async fn a_replica_stays_a_replica_when_its_primary_stops() {
    let primary = Redis::start(2386, &[]);
    let replica = Redis::replica_of(2387, &primary);
    primary.wait_for_replica();
    primary.says(&["SET", "key", "value"]);
    eventually("the write has arrived", || replica.says(&["GET", "key"]).trim() == "value");
    let Role::Replica(linked) = role(replica.at, redis(None)).await else { panic!("it is a replica") };

    drop(primary);
    eventually("it has noticed", || {
        replica.says(&["INFO", "replication"]).contains("master_link_status:down")
    });
    let Role::Replica(alone) = role(replica.at, redis(None)).await else { panic!("it is still a replica") };
    assert!(alone.position >= linked.position, "{alone:?}, and before {linked:?}");
}

#[tokio::test]
async fn passwords() {
    let server = Redis::start(2382, &["--requirepass", "sesame"]);
    server.says(&["-a", "sesame", "ACL", "SETUSER", "probe", "on", ">s3cret", "+role", "+info", "+quit"]);
    server.says(&["-a", "sesame", "ACL", "SETUSER", "narrow", "on", ">s3cret", "+role"]);
    let file = server.program.folder().file("password");
    let with = async |user: &str, password: &str| {
        fs::write(&file, format!("{password}\n")).unwrap();
        ask(server.at, redis(Some(login(user, Secret::File(file.clone()))))).await
    };
    for (user, password) in [("", "sesame"), ("probe", "s3cret"), ("narrow", "s3cret")] {
        let answer = with(user, password).await.unwrap();
        assert!(matches!(answer.role, Some(Role::Primary(_))), "{user}: {answer:?}");
    }
    for (user, password) in [("", "wrong"), ("probe", "wrong"), ("nobody", "s3cret")] {
        let error = with(user, password).await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
        assert!(!error.to_string().contains(password), "{error}");
    }
    assert_eq!(why(ask(server.at, redis(None)).await), "authentication");
}

#[tokio::test]
async fn a_full_server_is_not_down() {
    let server = Redis::start(2383, &["--maxclients", "1"]);
    let mut client = std::net::TcpStream::connect(server.at).unwrap();
    // It accepts a client as soon as the one that tested the port is gone.
    eventually("the one client is served", || {
        let mut answer = [0; 7];
        let asked = client.write_all(b"PING\r\n").and_then(|()| client.read_exact(&mut answer));
        let is_served = asked.is_ok() && &answer == b"+PONG\r\n";
        if !is_served {
            client = std::net::TcpStream::connect(server.at).unwrap();
        }
        is_served
    });
    // It sends an error and closes at once, in a race with the request.
    for _ in 0..50 {
        let error = ask(server.at, redis(None)).await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("overloaded", false), "{error}");
    }
}

#[tokio::test]
async fn over_tls() {
    let certificate = Certificate::new();
    let path = |path: std::path::PathBuf| path.display().to_string();
    let (port, files) = (2384, [certificate.shown(), certificate.key(), certificate.authority()].map(path));
    let _server = Redis::start(
        2385,
        &[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &files[0],
            "--tls-key-file",
            &files[1],
            "--tls-ca-cert-file",
            &files[2],
            "--tls-auth-clients",
            "no",
        ],
    );
    let with = |tls| Kind::Redis(Settings { login: None, tls });
    let secure = address(port);
    assert!(matches!(role(secure, with(Some(certificate.tls()))).await, Role::Primary(_)));
    assert_eq!(why(ask(secure, with(Some(Certificate::new().tls()))).await), "tls");
}
