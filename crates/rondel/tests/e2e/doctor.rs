//! `rondel doctor`: its findings on this host, and on one that lacks something.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rustix::io::Errno;
use serde_json::Value;

use crate::kernel::where_io_uring_setup_fails;
use crate::lb::{Lb, Said, rondel_under};
use crate::peers::{Backend, listen, refusing};
use crate::place::{Folder, address, assert_root};
use crate::programs::Nginx;
use crate::servers::{Postgres, Program, Redis, run};
use crate::setup::{Setup, Target, target, target_at};

/// Its output for a file.
#[track_caller]
fn doctor(wrapper: &[&str], setup: &Setup, more: &[&str]) -> Said {
    let folder = Folder::new();
    let file = folder.file("rondel.yaml");
    fs::write(&file, setup.to_string()).unwrap();
    rondel_under(wrapper, &[&["doctor", file.to_str().unwrap()], more].concat())
}

#[track_caller]
fn has(said: &Said, line: &str) {
    assert!(said.text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{}", said.text);
}

#[test]
fn a_host_that_serves_has_no_findings() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]);
    let said = doctor(&[], &setup, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    for line in ["ok    kernel: ", "ok    io_uring: ", "ok    listener web: ", "ok    backend web/a: "] {
        has(&said, line);
    }
    let json = doctor(&[], &setup, &["--json"]);
    assert!(json.text.starts_with(r#"[{"level":"ok","subject":"kernel","found":"Linux "#), "{}", json.text);
    let host = rondel_under(&[], &["doctor"]);
    assert_eq!(host.code, 0, "{}", host.text);

    // Beside the running process.
    let _lb = Lb::start(&setup);
    let said = doctor(&[], &setup, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("is held by rondel, process "), "{}", said.text);
    has(&said, "      `rondel run` beside it does not start, and exits with 4");
}

#[test]
fn obstacles_are_named() {
    let _other = listen(address(8080));
    let said = doctor(&[], &Setup::to(&[refusing("a", 9001)]).admin("socket: /nowhere/admin.sock"), &[]);
    // What `rondel run` would exit with.
    assert_eq!(said.code, 4, "{}", said.text);
    for line in ["fail  listener web: ", "fail  backend web/a: ", "fail  admin socket: "] {
        has(&said, line);
    }
    assert!(said.text.contains(&format!("process {}", std::process::id())), "{}", said.text);
    assert!(said.text.contains("3 checks fail; `rondel run` would not start"), "{}", said.text);
    has(&said, "      `rondel run` does not start, and exits with 4");
}

/// Whatever keeps a probe of PostgreSQL from its answer, from the file to the account.
#[test]
fn the_password_of_a_probe_is_used_as_the_pool_uses_it() {
    assert_root("reads files as another user");
    let (server, folder) = (Postgres::primary(9001, ""), Folder::new());
    let (file, target) = (folder.file("password"), target_at("a", server.at));
    let asks = |place: &str, more: &[&str]| {
        let probe = format!("probe: {{ postgres: {{ user: probe, {place} }} }}");
        doctor(&[], &Setup::to_with(&probe, [&target]), more)
    };
    let by_file = |more: &[&str]| asks(&format!("password_file: {}", file.display()), more);
    let said = by_file(&[]);
    assert_eq!(said.code, 1, "{}", said.text);
    has(&said, "fail  password of pool web: the password in ");
    assert!(said.text.contains("No such file"), "{}", said.text);
    has(&said, "      `rondel run` starts, and keeps the state of each backend of the pool");
    fs::write(&file, "\n").unwrap();
    let said = by_file(&[]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("its first line is empty"), "{}", said.text);

    fs::write(&file, "s3cret\r\n").unwrap();
    let said = by_file(&[]);
    assert_eq!(said.code, 0, "{}", said.text);
    has(&said, "ok    password of pool web: ");
    assert!(said.text.contains(" passes its probe within "), "{}", said.text);
    assert!(said.text.contains(" ms, and is a primary"), "{}", said.text);
    has(&said, "ok    user: files were read as root");
    assert!(!said.text.contains("s3cret"), "{}", said.text);
    assert!(server.program.output().contains("connection authorized: user=probe"), "it has logged in");

    // The user that rondel runs as has other rights than root.
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let said = by_file(&["--user", "daemon"]);
    assert_eq!(said.code, 1, "{}", said.text);
    has(&said, "fail  password of pool web: the password in ");
    assert!(said.text.contains("Permission denied"), "{}", said.text);
    has(&said, "ok    user: files were read as daemon");
    let said = by_file(&["--user", "no-such-user"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("/etc/passwd has no user no-such-user"), "{}", said.text);

    fs::write(&file, "wrong\n").unwrap();
    let said = by_file(&[]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains(" fails its probe: access denied: "), "{}", said.text);
    assert!(said.text.contains("1 check fails; `rondel run` would start"), "{}", said.text);
    // Whether the unit sets it is unknown here.
    let said = asks("password_env: RONDEL_TEST_NO_SUCH_PASSWORD", &[]);
    has(&said, "warn  password of pool web: the password in $RONDEL_TEST_NO_SUCH_PASSWORD: ");
}

#[test]
fn a_page_that_a_probe_does_not_accept_takes_its_backend_down() {
    let (a, b) = (Nginx::start("a", 9001), Nginx::start("b", 9002));
    let missing = Setup::to_with("probe: { http: { path: /missing } }", &[a.target(), b.target()]);
    let said = doctor(&[], &missing, &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    has(&said, "fail  backend web/a: ");
    assert!(said.text.contains("404"), "{}", said.text);
    has(&said, "      `rondel run` starts, and marks every backend of the pool down, and uses all of them");

    let one_down = Setup::to_with("probe: { http: {} }", &[a.target(), refusing("b", 9003)]);
    let said = doctor(&[], &one_down, &["--json"]);
    assert_eq!(said.code, 0, "{}", said.text);
    let findings: Vec<Value> = serde_json::from_str(said.text.lines().next().unwrap()).unwrap();
    let of = |subject: &str| findings.iter().find(|finding| finding["subject"] == subject).unwrap();
    assert_eq!(of("backend web/a")["level"], "ok");
    let b = of("backend web/b");
    assert_eq!((&b["level"], &b["run_exit_code"]), (&Value::from("warn"), &Value::Null), "{b}");
    assert_eq!(b["run"], "starts, and marks the backend down");
    // The probe goes to another port, where nginx answers, and clients do not get in.
    let other_port = "probe: { http: {}, port: 9001 }";
    let said = doctor(&[], &Setup::to_with(other_port, &[refusing("a", 9004)]), &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains(" passes its probe within "), "{}", said.text);
    assert!(said.text.contains(" accepts no connections: connection refused"), "{}", said.text);
}

#[test]
fn a_listener_for_the_primary_has_one() {
    let primary = Redis::start(9001, &[]);
    let replica = Redis::replica_of(9002, &primary);
    primary.wait_for_replica();
    let [a, b] = [("a", &primary), ("b", &replica)].map(|(name, server)| target_at(name, server.at));
    let to = |backends: &[Target]| {
        let setup = Setup::empty().listen("writers", address(8080), "cache", "role: primary");
        doctor(&[], &setup.pool("cache", "probe: redis", backends), &[])
    };
    let said = to(&[a, b.clone()]);
    assert_eq!(said.code, 0, "{}", said.text);
    has(&said, "ok    primary of pool cache: a");
    assert!(said.text.contains(", and is a replica"), "{}", said.text);
    let said = to(&[b]);
    assert_eq!(said.code, 1, "{}", said.text);
    has(&said, "fail  primary of pool cache: no backend that answered is the primary");
}

#[test]
fn certificates_that_end_are_named() {
    let folder = Folder::new();
    let openssl = |ago: &str, days: u32, arguments: &str| {
        let words = format!("openssl {arguments} -days {days}");
        run(Command::new("faketime").current_dir(folder.path()).arg(ago).args(words.split(' ')));
    };
    let sign = |ago: &str, days: u32| {
        openssl(
            ago,
            days,
            "x509 -req -in request.pem -copy_extensions copy -CA ca.pem -CAkey ca.key -out cert.pem",
        );
    };
    let request = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl("-30 days", 365, &format!("{request} -x509 -subj /CN=authority -keyout ca.key -out ca.pem"));
    let subject = "-subj /CN=web.test -addext subjectAltName=DNS:web.test -keyout key.pem -out request.pem";
    run(Command::new("openssl").current_dir(folder.path()).args(format!("{request} {subject}").split(' ')));
    let setup = |authority: &str| {
        let authority = folder.file(authority);
        let tls = format!("tls: {{ authority: {}, name: web.test }}", authority.display());
        Setup::to_with(&format!("probe: {{ http: {{ {tls} }} }}"), &[target("a", 9001)])
    };
    let asked = |authority: &str| {
        let _server = tls_server(&folder);
        doctor(&[], &setup(authority), &[])
    };
    sign("-1 days", 90);
    let said = asked("ca.pem");
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("ca.pem has 1 certificate, valid until "), "{}", said.text);
    assert!(!said.text.contains("expires"), "{}", said.text);
    let said = asked("missing.pem");
    assert_eq!(said.code, 1, "{}", said.text);
    has(&said, "fail  certificates of pool web: ");

    sign("-80 days", 90);
    let said = asked("ca.pem");
    assert_eq!(said.code, 0, "{}", said.text);
    has(&said, "warn  backend web/a: its certificate expires in 9 days, at ");
    sign("-20 days", 10);
    let said = asked("ca.pem");
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains(" fails its probe: TLS: "), "{}", said.text);

    // Probes accept what an authority signed that has expired itself, which other clients do not.
    openssl("-60 days", 30, "x509 -in ca.pem -signkey ca.key -out old.pem");
    sign("-1 days", 90);
    let said = asked("old.pem");
    assert_eq!(said.code, 0, "{}", said.text);
    has(&said, "warn  certificates of pool web: ");
    assert!(said.text.contains("old.pem has 1 certificate, and expired at "), "{}", said.text);
}

/// An nginx with TLS, the key and the certificate of `folder`.
#[track_caller]
fn tls_server(folder: &Folder) -> Program {
    let (own, root, at) = (Folder::new(), folder.path().display(), address(9001));
    let config = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{}}
        http {{
            access_log off; client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;
            uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
            server {{
                listen {at} ssl; ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;
                location / {{ return 200; }}
            }}
        }}",
        own.path().display()
    );
    fs::write(own.file("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(own.path()).arg("-c").arg(own.file("nginx.conf"));
    Program::start(own, command, at)
}

#[test]
fn limits_that_are_too_low_are_named() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]).runtime("workers: 4, max_connections: 1000");
    let said = doctor(&["prlimit", "--nofile=256"], &setup, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    has(&said, "warn  open files: the limit of 256 allows ");
    has(&said, "warn  cpus: 4 workers share ");
    let said = doctor(&["prlimit", "--nofile=32"], &setup, &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    has(&said, "fail  open files: ");
}

#[test]
fn a_kernel_that_forbids_io_uring_is_named_with_the_cure() {
    let said = where_io_uring_setup_fails(Errno::PERM, || rondel_under(&[], &["doctor"]));
    assert_eq!(said.code, 5, "{}", said.text);
    has(&said, "fail  io_uring: io_uring_setup: Operation not permitted");
    has(&said, "      `rondel run` does not start, and exits with 5");
    assert!(said.text.contains("seccomp"), "{}", said.text);
}

#[test]
fn a_wrong_file_exits_with_3() {
    let said = doctor(&[], &Setup::to_with("balance: randomly", &[refusing("a", 9001)]), &[]);
    assert_eq!(said.code, 3, "{}", said.text);
}
