//! The simulated kernel as a side of a script.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use driver::Fd;
use driver::ListenGroup;
use sim::{Kernel, Read, Stage};

use crate::{BUFFERS, Side, open};

pub(crate) struct Simulated {
    stage: Stage,
    kernel: Kernel,
    listening: Vec<Arc<ListenGroup>>,
}

impl Simulated {
    pub(crate) fn new() -> Self {
        let stage = Stage::new(1, BUFFERS);
        Self { kernel: stage.kernel(), stage, listening: Vec::new() }
    }
}

impl Side for Simulated {
    type Kernel = Kernel;
    type Peer = sim::Peer;

    fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    fn listen(&mut self) -> (SocketAddr, Fd) {
        let (address, sockets) = self.stage.listen();
        let fd = Fd(sockets.get(0).as_raw_fd());
        self.listening.push(sockets);
        (address, fd)
    }

    fn stop_listening(&mut self) {
        let last = self.listening.last().expect("it listens");
        self.stage.stop_listening(last);
        self.stage.pass(Duration::ZERO);
    }

    fn connect(&mut self, to: SocketAddr) -> sim::Peer {
        self.stage.connect(to)
    }

    fn serving(&mut self) -> SocketAddr {
        self.stage.serving()
    }

    fn refusing(&mut self) -> SocketAddr {
        self.stage.refusing()
    }

    fn silent(&mut self) -> SocketAddr {
        self.stage.silent()
    }

    fn accepted(&mut self) -> sim::Peer {
        self.stage.accepted().expect("it connected")
    }

    fn send(&mut self, peer: &mut sim::Peer, length: u32) {
        peer.send(length);
    }

    fn say(&mut self, peer: &mut sim::Peer, bytes: &[u8]) {
        assert_eq!(peer.say(bytes) as usize, bytes.len());
    }

    fn finish(&mut self, peer: &mut sim::Peer) {
        peer.finish();
    }

    fn reset(&mut self, peer: sim::Peer) {
        peer.reset();
        self.stage.pass(Duration::ZERO);
    }

    fn read(&mut self, peer: &mut sim::Peer, most: u32) -> Read {
        self.stage.pass(Duration::ZERO);
        peer.read(most)
    }

    fn meeting_itself(&mut self) -> (SocketAddr, Fd) {
        let to = self.stage.meeting_itself();
        let socket = open(self, to);
        (to, socket)
    }

    fn wake(&mut self) {
        self.stage.wakers()[0].wake();
        self.stage.notice_wakes();
    }
}
