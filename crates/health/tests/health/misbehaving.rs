//! Misbehaving servers. None of them may harm the process, or delay a probe past its timeout.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use config::probe::{Http, Kind, Secret, Tls};
use health::{Answer, ProbeError, probe};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::asking::{
    SHORT, ask, exchange, kinds_that_listen, login, mysql, page, page_with, postgres, redis, target, why,
    with_rhythm,
};
use crate::namespace::Namespace;
use crate::place::{Folder, address};

/// A server that runs `serve` for every client.
pub(crate) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

#[tokio::test]
async fn the_port_is_closed() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for kind in kinds_that_listen().into_iter().chain([Kind::Tcp]) {
        assert_eq!(why(ask(gone, kind.clone()).await), "refused", "{kind:?}");
    }
}

#[tokio::test]
async fn the_network_does_not_answer() {
    // Its queue is full, so the next SYN is dropped.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let full = socket.local_addr().unwrap().as_socket().unwrap();
    let _filler = TcpStream::connect(full).await.unwrap();
    for kind in kinds_that_listen().into_iter().chain([Kind::Tcp]) {
        let outcome = probe(&with_rhythm(full, kind.clone(), SHORT)).await;
        assert_eq!(why(outcome.answer), "timeout", "{kind:?}");
        assert!(outcome.latency >= SHORT.timeout);
    }
}

#[tokio::test]
async fn the_network_is_unreachable() {
    let nowhere = SocketAddr::from(([255, 255, 255, 255], 80));
    let error = ask(nowhere, Kind::Tcp).await.unwrap_err();
    assert_eq!(error.name(), "unreachable");
    assert!(error.blames_server());
}

#[tokio::test]
async fn it_accepts_and_sends_nothing() {
    let silent = server(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    });
    let silent = silent.await;
    for kind in kinds_that_listen() {
        let outcome = probe(&with_rhythm(silent, kind.clone(), SHORT)).await;
        assert_eq!(why(outcome.answer), "timeout", "{kind:?}");
    }
    // A connection shows no more.
    assert_eq!(ask(silent, Kind::Tcp).await, Ok(Answer::default()));
}

#[tokio::test]
async fn it_closes_or_resets_at_once() {
    let closing = server(|stream| async move { drop(stream) }).await;
    let resetting = server(|stream| async move { stream.set_zero_linger().unwrap() }).await;
    for kind in kinds_that_listen() {
        assert_eq!(why(ask(closing, kind.clone()).await), "closed", "{kind:?}");
        assert_eq!(why(ask(resetting, kind.clone()).await), "closed", "{kind:?}");
    }
}

#[tokio::test]
async fn it_answers_after_the_deadline() {
    let (answer, mut answered) = oneshot::channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let late = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        (&mut answered).await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    });
    let outcome = probe(&with_rhythm(late, Kind::Http(page("/")), SHORT)).await;
    assert_eq!(why(outcome.answer), "timeout");
    answer.send(()).unwrap();
    serving.await.unwrap();
}

#[tokio::test]
async fn it_answers_in_another_protocol() {
    for greeting in
        ["HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail ESMTP\r\n", "-ERR what?\r\n", "E\0\0\0\x04", "\0"]
    {
        let other = server(move |mut stream| async move {
            let _ = stream.write_all(greeting.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let other = other.await;
        for kind in kinds_that_listen() {
            let error = ask(other, kind.clone()).await.unwrap_err();
            assert!(error.blames_server(), "{kind:?} of {greeting:?}: {error}");
        }
    }
}

/// Valid beginnings, so that what follows is read deep in the protocol.
const BEGINNINGS: [&[&[u8]]; 10] = [
    &[],
    &[b"HTTP/1.1 200 OK\r\n\r\n"],
    &[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"],
    &[b"*3\r\n$6\r\nmaster\r\n:1\r\n"],
    &[b"*999999999\r\n$999999999\r\n"],
    &[b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"],
    &[b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IT\0\0\xff\xff\xff\xff"],
    &[GREETING],
    &[GREETING, LOGGED_IN],
    &[GREETING, LOGGED_IN, b"\x01\0\0\x01\x03\x20\0\0\x02"],
];

/// A MySQL greeting.
const GREETING: &[u8] = b"J\0\0\0\x0a8.0.36\0\x08\0\0\0abcdefgh\0\xff\xf7\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0mysql_native_password\0";

/// A MySQL login that succeeds.
const LOGGED_IN: &[u8] = b"\x07\0\0\x02\0\0\0\x02\0\0\0";

#[tokio::test]
async fn it_sends_random_bytes_without_end() {
    let mut seeds = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    for beginning in BEGINNINGS {
        for _ in 0..ROUNDS {
            let mut rubbish = vec![0; 4096];
            seeds.fill_bytes(&mut rubbish);
            let rubbish: Arc<[u8]> = rubbish.into();
            let words = beginning.concat();
            let is_page = words.starts_with(b"HTTP");
            let sender = server(move |mut stream| {
                let (rubbish, words) = (Arc::clone(&rubbish), words.clone());
                async move {
                    let _ = stream.write_all(&words).await;
                    while stream.write_all(&rubbish).await.is_ok() {}
                }
            });
            let sender = sender.await;
            for kind in kinds_that_listen() {
                if is_page && matches!(kind, Kind::Http(_)) {
                    continue; // A page may contain any bytes.
                }
                let error = ask(sender, kind.clone()).await.unwrap_err();
                assert_ne!(error, ProbeError::Timeout, "{kind:?}: so much is never read");
            }
        }
    }
}

/// How often each beginning is followed by random bytes.
const ROUNDS: usize = 8;

#[tokio::test]
async fn it_repeats_itself_without_end() {
    for repeated in ["+", "*1\r\n", "a: b\r\n", "x", "S\0\0\0\x08a\0b\0", "N\0\0\0\x05\0"] {
        let sender = server(move |mut stream| async move {
            let block = repeated.repeat(1000);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(block.as_bytes()).await.is_ok() {}
        });
        let sender = sender.await;
        for kind in kinds_that_listen().into_iter().chain([page_with("well")]) {
            let answer = ask(sender, kind.clone()).await;
            if kind == Kind::Http(page("/")) {
                // Its status line is an answer.
                assert_eq!(answer, Ok(Answer::default()));
            } else {
                assert_ne!(answer.unwrap_err(), ProbeError::Timeout, "{kind:?} of {repeated:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_rest_of_the_expected_bytes_is_awaited() {
    let halves = server(|mut stream| async move {
        stream.write_all(b"val").await.unwrap();
        // The probe has all of it before more arrives.
        while stream.read_u8().await.unwrap() != b'\n' {}
        stream.write_all(b"id\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let halves = halves.await;
    assert_eq!(ask(halves, exchange("?\n", "valid")).await, Ok(Answer::default()));
    let outcome = probe(&with_rhythm(halves, exchange("?\n", "invalid"), SHORT)).await;
    assert_eq!(why(outcome.answer), "timeout");
}

#[tokio::test]
async fn every_probe_ends_with_a_fin() {
    // The server greets, which a `tcp` probe ignores, and records how the connection ended.
    let (ends, mut ended) = tokio::sync::mpsc::channel::<io::Result<usize>>(1);
    let greeter = server(move |mut stream| {
        let ends = ends.clone();
        async move {
            stream.write_all(b"+PONG hello\r\n").await.unwrap();
            let end = stream.read_to_end(&mut Vec::new()).await;
            ends.send(end).await.unwrap();
        }
    });
    let greeter = greeter.await;
    for kind in [Kind::Tcp, exchange("PING\r\n", "+PONG"), exchange("PING\r\n", "hello\r\n")] {
        for _ in 0..20 {
            ask(greeter, kind.clone()).await.unwrap();
            let end = ended.recv().await.unwrap();
            assert!(end.is_ok(), "{kind:?}: {end:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_source_address_does_not_count_against_the_server() {
    let well = server(|stream| async move { drop(stream) }).await;
    let mut target = target(well, Kind::Tcp);
    // 198.51.100.0/24 is for documentation: no host has it.
    Arc::make_mut(&mut target.probe).source = Some([198, 51, 100, 1].into());
    let error = probe(&target).await.answer.unwrap_err();
    assert_eq!((error.name(), error.blames_server()), ("local", false), "{error}");
}

#[tokio::test]
async fn the_source_address_is_used() {
    let (peers, mut peer) = tokio::sync::mpsc::channel(1);
    let well = server(move |stream| {
        let peers = peers.clone();
        async move { peers.send(stream.peer_addr().unwrap().ip()).await.unwrap() }
    });
    let mut target = target(well.await, Kind::Tcp);
    Arc::make_mut(&mut target.probe).source = Some(address(0).ip());
    probe(&target).await.answer.unwrap();
    assert_eq!(peer.recv().await.unwrap(), address(0).ip());
}

#[tokio::test]
async fn a_missing_password_file_does_not_count_against_the_server() {
    let folder = Folder::new();
    for secret in [
        Secret::File(folder.file("missing")),
        Secret::File(folder.path().into()),
        Secret::Environment("RONDEL_NO_SUCH_PASSWORD".into()),
    ] {
        let error = ask(address(1), mysql(login("probe", secret))).await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("local", false), "{error}");
    }
}

#[tokio::test]
async fn an_invalid_authority_does_not_count_against_the_server() {
    let well = server(|stream| async move { drop(stream) }).await;
    let folder = Folder::new();
    for content in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"] {
        std::fs::write(folder.file("ca.pem"), content).unwrap();
        let tls = Tls { authority: folder.file("ca.pem"), name: "db.test".into() };
        let error = ask(well, Kind::Http(Http { tls: Some(tls), ..page("/") })).await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("local", false), "{error}");
    }
}

#[tokio::test]
async fn it_sends_the_reason_and_closes_before_a_request() {
    // It closes with the request unread, which resets the connection.
    let full = b"\x17\0\0\0\xff\x10\x04Too many connections";
    for (kind, words, name) in [
        (exchange("PING\r\n", "+PONG"), &b"-ERR go away\r\n"[..], "unexpected_answer"),
        (mysql(login("probe", Secret::None)), full, "overloaded"),
        (redis(None), b"-ERR max number of clients reached\r\n", "overloaded"),
        (postgres(login("probe", Secret::None)), STARTING, "not_ready"),
    ] {
        let refusing = server(move |mut stream| async move {
            stream.write_all(words).await.unwrap();
            while stream.peek(&mut [0]).await.unwrap() == 0 {}
        });
        let refusing = refusing.await;
        for _ in 0..20 {
            assert_eq!(why(ask(refusing, kind.clone()).await), name, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn it_sends_the_reason_and_resets_before_a_response() {
    // With the greeting it rejects the login to come: there are too many connections.
    let words = [GREETING, b"\x17\0\0\x02\xff\x10\x04Too many connections"].concat();
    let refusing = server(move |mut stream| {
        let words = words.clone();
        async move {
            stream.write_all(&words).await.unwrap();
            stream.set_zero_linger().unwrap();
        }
    });
    let refusing = refusing.await;
    for _ in 0..20 {
        assert_eq!(why(ask(refusing, mysql(login("probe", Secret::None))).await), "overloaded");
    }
}

/// A PostgreSQL server that does not accept connections yet.
const STARTING: &[u8] = b"E\0\0\0\x30SFATAL\0C57P03\0Mthe database is starting up\0\0";

#[tokio::test]
async fn the_number_of_scram_iterations_is_bounded() {
    for iterations in ["100001", "4294967295"] {
        let greedy = server(move |mut stream| async move {
            say_and_hear(&mut stream, b"").await;
            let asked = say_and_hear(&mut stream, b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await;
            let asked = String::from_utf8_lossy(&asked).into_owned();
            let nonce = asked.split_once("r=").expect("it sends a nonce").1.to_owned();
            let words = format!("r={nonce}more,s=c2FsdA==,i={iterations}");
            let length = u32::try_from(words.len() + 8).unwrap().to_be_bytes();
            say_and_hear(&mut stream, &[b"R", &length[..], &[0, 0, 0, 11], words.as_bytes()].concat()).await;
        });
        let folder = Folder::new();
        std::fs::write(folder.file("password"), "s3cret").unwrap();
        let login = login("probe", Secret::File(folder.file("password")));
        let error = ask(greedy.await, postgres(login)).await.unwrap_err();
        assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
        assert!(error.to_string().contains("SCRAM iterations"), "{error}");
    }
}

#[test]
fn a_connection_to_itself_is_refused() {
    Namespace::within(|namespace| {
        // The only port that the kernel can assign is the port that is connected to, and no server listens there.
        namespace.set("ipv4/ip_local_port_range", "40000 40000");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for ip in ["127.0.0.1", "127.1.2.3", "::1"] {
            let at = SocketAddr::new(ip.parse().unwrap(), 40000);
            for source in [None, Some(at.ip())] {
                for kind in kinds_that_listen().into_iter().chain([Kind::Tcp]) {
                    let mut target = with_rhythm(at, kind.clone(), SHORT);
                    Arc::make_mut(&mut target.probe).source = source;
                    let answer = runtime.block_on(probe(&target)).answer;
                    assert_eq!(answer, Err(ProbeError::Refused), "{kind:?} from {source:?} to {at}");
                }
            }
        }
    });
}

#[tokio::test]
async fn it_announces_more_columns_than_it_sends_bytes() {
    for columns in [u64::MAX, 1 << 40, 1 << 20, 201] {
        let promising = server(move |mut stream| async move {
            let mut columns_follow = vec![9, 0, 0, 1, 0xfe];
            columns_follow.extend_from_slice(&columns.to_le_bytes());
            say_and_hear(&mut stream, GREETING).await;
            say_and_hear(&mut stream, LOGGED_IN).await;
            say_and_hear(&mut stream, &columns_follow).await;
        });
        let answer = ask(promising.await, mysql(login("probe", Secret::None))).await;
        assert_eq!(why(answer), "protocol", "{columns}");
    }
}

#[tokio::test]
async fn a_password_is_not_sent_in_clear() {
    // A server that has not cached the password since it started requests it in full, or with a key that any host
    // could send.
    let (heard, mut told) = tokio::sync::mpsc::channel(1);
    let forgetful = server(move |mut stream| {
        let heard = heard.clone();
        async move {
            say_and_hear(&mut stream, GREETING).await;
            say_and_hear(&mut stream, b"\x23\0\0\x02\xfecaching_sha2_password\0abcdefghijk\0").await;
            let more = say_and_hear(&mut stream, b"\x02\0\0\x04\x01\x04").await;
            heard.send(more).await.unwrap();
        }
    });
    let folder = Folder::new();
    std::fs::write(folder.file("password"), "s3cret").unwrap();
    let login = login("probe", Secret::File(folder.file("password")));
    let error = ask(forgetful.await, mysql(login)).await.unwrap_err();
    assert_eq!((error.name(), error.blames_server()), ("authentication", false), "{error}");
    assert!(error.to_string().contains("needs TLS"), "{error}");
    assert_eq!(told.recv().await.unwrap(), b"\x01\0\0\x05\0", "a wrong answer, and not a hang-up");
}

/// Sends `words` and returns what arrives at once; empty if that was the end.
async fn say_and_hear(stream: &mut TcpStream, words: &[u8]) -> Vec<u8> {
    let mut heard = Vec::with_capacity(4096);
    let _ = stream.write_all(words).await;
    let _ = stream.read_buf(&mut heard).await;
    heard
}
