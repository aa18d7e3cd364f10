//! A log whose reader is stuck: the pipe is full, and the balancer does not wait.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use rustix::fs::OFlags;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::Signal;

use super::stand::on_each_stand;
use crate::lb::Lb;
use crate::peers::Backend;
use crate::place::{Folder, address, eventually};
use crate::servers::run;
use crate::setup::Setup;

#[test]
fn a_log_without_a_reader_delays_neither_bytes_nor_signals() {
    on_each_stand(|stand| {
        let backend = Backend::named("a", 9001);
        let setup = stand.complete("drain_timeout: 5s", &Setup::to(&[backend.target()]));
        let folder = Folder::new();
        let mut pipe = StuckPipe::new(&folder);
        let wrapper = [&pipe.wrapper()[..], stand.wrapper()].concat();
        let mut lb = Lb::run_under(&wrapper, &setup);
        eventually("it serves", || TcpStream::connect(lb.address()).is_ok());

        // Each logs about a hundred bytes, and the pipe holds 4096.
        for round in 0..30_u16 {
            let port = 8100 + round;
            lb.write_config(&setup.clone().listen("new", address(port), "web", ""));
            lb.signal(Signal::HUP);
            eventually("it is reloaded", || TcpStream::connect(address(port)).is_ok());
            let mut client = lb.connect();
            assert_eq!(client.line(), "a");
            client.echoes(b"as if nothing was wrong");
        }
        // When the log is read again, it reports what was lost, and continues.
        assert!(pipe.read().contains("workers="));
        lb.signal(Signal::HUP);
        let mut told = String::new();
        eventually("it reports lost lines", || {
            told += &pipe.read();
            told.contains("were lost")
        });
        for _ in 0..30 {
            lb.signal(Signal::HUP);
        }
        let mut client = lb.connect();
        assert_eq!(client.line(), "a");
        lb.signal(Signal::TERM);
        eventually("it drains", || TcpStream::connect(lb.address()).is_err());
        client.echoes(b"to the end");
        drop(client);
        assert_eq!(lb.ended(), 0);
    });
}

/// A named pipe that is open, and read only when a test does so.
struct StuckPipe {
    path: String,
    end: File,
}

impl StuckPipe {
    /// A small one, which is soon full.
    fn new(folder: &Folder) -> Self {
        let path = folder.file("log");
        run(Command::new("mkfifo").args(["--mode", "666"]).arg(&path));
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let end = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(&path).unwrap();
        fcntl_setpipe_size(&end, 4096).unwrap();
        Self { path: path.to_str().unwrap().to_owned(), end }
    }

    /// The wrapper of a command that logs there.
    fn wrapper(&self) -> [&str; 5] {
        ["sh", "-c", r#"log=$1; shift; exec "$@" 2>"$log""#, "sh", &self.path]
    }

    /// Everything in it.
    fn read(&mut self) -> String {
        let mut bytes = Vec::new();
        let end = self.end.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::WouldBlock);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
