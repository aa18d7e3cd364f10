//! The access log to a syslog server over UDP.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::{AccessLog, visit};
use crate::lb::{Lb, run_with};
use crate::peers::Backend;
use crate::place::{Folder, PATIENCE, address, eventually, free_v6};
use crate::servers::Program;
use crate::setup::Setup;

/// A server that reads datagrams.
struct Server(UdpSocket);

impl Server {
    #[track_caller]
    fn start(at: SocketAddr) -> Self {
        let server = UdpSocket::bind(at).unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(server)
    }

    #[track_caller]
    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}

#[test]
fn each_line_is_a_datagram_with_its_header() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let servers = [Server::start(address(5514)), Server::start(free_v6())];
    let setup = log.admin(Setup::to(&[backend.target()]));
    let [v4, v6] = [0, 1].map(|index| servers[index].0.local_addr().unwrap());
    let mut lb = Lb::start(&setup.clone().access_log(&format!("\"syslog://{v4}\"")));
    let pid = lb.pid().as_raw_nonzero();
    for size in [5, 6] {
        visit(&lb, size);
        let message = servers[0].next();
        let words: Vec<&str> = message.splitn(8, ' ').collect();
        let [priority, time, host, program, process, kind, data, line] = words[..] else {
            panic!("{message}")
        };
        let uname = rustix::system::uname();
        assert_eq!((priority, host), ("<134>1", uname.nodename().to_str().unwrap()));
        assert!(time.len() == "2026-11-25T20:15:00.123456Z".len() && time.ends_with('Z'), "{time}");
        assert_eq!((program, process, kind, data), ("rondel", pid.to_string().as_str(), "access", "-"));
        assert!(line.contains(&format!(" {size} -- ")) && !line.ends_with('\n'), "{line}");
    }
    let chosen = format!(
        "{{ to: \"syslog://{v6}\", facility: daemon, format: json, fields: [bytes_to_client, code] }}"
    );
    lb.reload(&setup.access_log(&chosen));
    // What is pending when the writer sees the reload goes to the server before.
    servers[1].0.set_nonblocking(true).unwrap();
    eventually("the other server has a line", || {
        visit(&lb, 7);
        servers[1].0.peek(&mut [0]).is_ok()
    });
    let message = servers[1].next();
    assert!(message.starts_with("<30>1 "), "{message}");
    assert!(message.ends_with(" access - {\"bytes_to_client\":7,\"code\":\"--\"}"), "{message}");
    assert_eq!(log.counted("lost"), 0);
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

#[test]
fn a_server_that_is_gone_loses_lines_and_nothing_else_until_it_is_back() {
    let backend = Backend::echo(9001);
    let log = AccessLog::new();
    let at = address(5514);
    let setup = log.admin(Setup::to(&[backend.target()])).access_log(&format!("syslog://{at}"));
    // Nothing listens there, and nothing waits for it.
    let mut lb = Lb::start(&setup);
    let mut all = 20;
    (0..all).for_each(|_| visit(&lb, 1));
    eventually("each line is counted", || log.counted("lost") + log.counted("written") == all);
    assert_eq!(log.counted("lost"), all);
    lb.wait_for("access log: Connection refused (os error 111); lines are lost until this is fixed", 0);
    let said = log.rondel(["status"]);
    assert!(said.contains("the access log cannot be written: Connection refused"), "{said}");

    let server = Server::start(at);
    eventually("lines are written again", || {
        visit(&lb, 1);
        all += 1;
        lb.log_text().contains("access log: lines are written again")
    });
    assert!(server.next().contains(" access - "));
    eventually("each line is counted", || log.counted("lost") + log.counted("written") == all);
    assert_eq!(lb.log_text().matches("lines are lost").count(), 1, "{}", lb.log_text());
    assert!(!log.rondel(["status"]).contains("cannot be written"));
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
}

#[test]
fn a_server_that_cannot_be_one_is_refused_with_its_cure() {
    let backend = Backend::echo(9001);
    for (to, found) in [
        ("syslog://logs.example.org:514", "names are not resolved yet"),
        ("\"127.0.0.1:514 local0\"", "write `{ to: \"syslog://127.0.0.1:514\", facility: local0 }`"),
        ("\"syslog:server=127.0.0.1:514,facility=local7\"", "facility: local7 }`"),
        ("{ to: syslog, facility: local9 }", "unknown facility `local9`"),
        ("{ to: stderr, facility: local1 }", "`facility` is for messages to syslog"),
        ("{ to: stderr, fields: [client, clinet] }", "did you mean `client`?"),
        ("{ to: stderr, fields: [client, client] }", "the field `client` is listed twice"),
    ] {
        let said = run_with(&[], &Setup::to(&[backend.target()]).access_log(to));
        assert_eq!(said.code, 3, "{to}: {}", said.text);
        assert!(said.text.contains(found), "{to}: {}", said.text);
    }
}

/// Debian's rsyslog takes each part of a message for what it is.
#[test]
fn rsyslog_reads_the_messages() {
    let backend = Backend::echo(9001);
    let folder = Folder::new();
    let (udp, tcp) = (address(5514), address(5515));
    let output = folder.file("messages");
    // It listens over TCP as well, which shows when it is ready.
    let settings = format!(
        "module(load=\"imudp\")\nmodule(load=\"imtcp\")\n\
         input(type=\"imudp\" address=\"{}\" port=\"{}\")\n\
         input(type=\"imtcp\" address=\"{}\" port=\"{}\")\n\
         template(name=\"parts\" type=\"string\" string=\"%syslogfacility-text%|%syslogseverity-text%|%hostname%|\
         %app-name%|%procid%|%msgid%|%protocol-version%|%msg%\\n\")\n\
         action(type=\"omfile\" file=\"{}\" template=\"parts\" fileCreateMode=\"0644\")\n",
        udp.ip(),
        udp.port(),
        tcp.ip(),
        tcp.port(),
        output.display()
    );
    fs::write(folder.file("rsyslog.conf"), settings).unwrap();
    let mut command = Command::new("/usr/sbin/rsyslogd");
    command.arg("-n").arg("-f").arg(folder.file("rsyslog.conf")).arg("-i").arg(folder.file("rsyslog.pid"));
    let rsyslog = Program::start(folder, command, tcp);
    let to = format!("{{ to: \"syslog://{udp}\", facility: local3, format: json }}");
    let mut lb = Lb::start(&Setup::to(&[backend.target()]).access_log(&to));
    visit(&lb, 5);
    let read = || fs::read_to_string(&output).unwrap_or_default();
    eventually("the message is written", || read().contains(" access") || read().contains("|access|"));
    let text = read();
    let line = text.lines().find(|line| line.contains("|rondel|")).unwrap_or_else(|| panic!("{text}"));
    let parts: Vec<&str> = line.splitn(8, '|').collect();
    let uname = rustix::system::uname();
    let pid = lb.pid().as_raw_nonzero().to_string();
    let expected = ["local3", "info", uname.nodename().to_str().unwrap(), "rondel", &pid, "access", "1"];
    assert_eq!(parts[..7], expected, "{line}");
    let message: Value = serde_json::from_str(parts[7]).unwrap();
    assert_eq!(message["bytes_to_client"], 5);
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
    drop(rsyslog);
}
