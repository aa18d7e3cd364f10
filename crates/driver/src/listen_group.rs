//! The listening sockets of one address.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{Shutdown, getsockname, shutdown};

/// The listening sockets of one address, one for each worker. They close when the group is dropped.
#[derive(Debug)]
pub struct ListenGroup {
    by_worker: Vec<OwnedFd>,
    owner: Owner,
}

/// The process that created a group's sockets. Only sockets of this process are ever shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This process created them.
    Process,
    /// systemd created them and holds them (`sd_listen_fds(3)`): the next process serves the same queue.
    Systemd,
}

impl ListenGroup {
    /// A group of these sockets, by worker index.
    pub fn new(by_worker: Vec<OwnedFd>, owner: Owner) -> Self {
        Self { by_worker, owner }
    }

    /// The process that created the sockets.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The socket that `worker` accepts from.
    ///
    /// # Panics
    ///
    /// The group has no socket for that worker.
    pub fn get(&self, worker: usize) -> BorrowedFd<'_> {
        self.by_worker[worker].as_fd()
    }

    /// Every socket, by worker index.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> {
        self.by_worker.iter().map(AsFd::as_fd)
    }

    /// The address of the sockets. If port 0 was asked for, this has the port that the kernel chose.
    ///
    /// # Errors
    ///
    /// getsockname(2) fails, or the address is not of IPv4 or IPv6.
    pub fn address(&self) -> io::Result<SocketAddr> {
        address_of(self.get(0))
    }

    /// Stops listening permanently, even while a worker still holds the sockets: a worker keeps a listener for as long
    /// as one of its connections lives. The kernel resets clients that are not accepted yet and refuses later ones,
    /// so that they go elsewhere instead of waiting in a queue that no worker serves. Sockets of another owner keep
    /// listening.
    pub fn stop(&self) {
        match self.owner {
            Owner::Process => {
                for socket in self.iter() {
                    // It fails with `ENOTCONN` if the socket was shut down before.
                    let _ = shutdown(socket, Shutdown::Both);
                }
            }
            Owner::Systemd => {}
        }
    }
}

/// The address of a socket.
///
/// # Errors
///
/// getsockname(2) fails, or the address is not of IPv4 or IPv6.
pub fn address_of(socket: impl AsFd) -> io::Result<SocketAddr> {
    let address = getsockname(socket)?;
    Ok(SocketAddr::try_from(address)?)
}
