//! The backends of the demo, and what is done to them: by keys, or by a script.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::backend::Backend;
use super::script::Script;
use super::tell;
use super::traffic;

/// Reaches the thread of the demo, which has all of it but the balancer.
#[derive(Clone, Debug)]
pub(super) struct Show {
    runtime: Handle,
    deeds: mpsc::Sender<Deed>,
}

/// Something that is done to backends, which are named by their numbers, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Kill(usize),
    Revive(usize),
    Slow(usize),
    Fast(usize),
    /// Kill it if it lives, otherwise revive it.
    Toggle(usize),
    /// Kill the first that lives.
    KillOne,
    /// Slow all that live.
    SlowAll,
    /// Revive all, as fast as at first.
    Restore,
}

/// Starts the backends on a thread of their own and says where they listen.
pub(super) fn start() -> io::Result<(Show, Vec<SocketAddr>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut backends = (1..=BACKENDS).map(Backend::new).collect::<io::Result<Vec<_>>>()?;
    let addresses = backends.iter().map(|backend| backend.address).collect();
    {
        let _inside = runtime.enter();
        backends.iter_mut().try_for_each(Backend::revive)?;
    }
    let (deeds, todo) = mpsc::channel(DEEDS_MAX);
    let show = Show { runtime: runtime.handle().clone(), deeds };
    thread::Builder::new().name("demo".to_owned()).spawn(move || runtime.block_on(play(backends, todo)))?;
    Ok((show, addresses))
}

impl Show {
    /// Does it soon; at the bound, not at all: somebody leans on a key.
    pub(super) fn act(&self, deed: Deed) {
        let _ = self.deeds.try_send(deed);
    }

    /// Does what the script says, each when its time comes.
    pub(super) fn play(&self, script: Script) {
        let deeds = self.deeds.clone();
        self.runtime.spawn(async move {
            let begun = tokio::time::Instant::now();
            for (at, deed) in script.0 {
                tokio::time::sleep_until(begun + at).await;
                if deeds.send(deed).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Makes so many connections a second to `to`.
    pub(super) fn make_traffic(&self, to: SocketAddr, rate: u32) {
        if let Some(pause) = Duration::from_secs(1).checked_div(rate) {
            self.runtime.spawn(traffic::make(to, pause));
        }
    }
}

async fn play(mut backends: Vec<Backend>, mut todo: mpsc::Receiver<Deed>) {
    while let Some(deed) = todo.recv().await {
        tell(&format!("demo: {}", act(&mut backends, deed)));
    }
}

/// Does it, and says what is different now.
fn act(backends: &mut [Backend], deed: Deed) -> String {
    let living = |backends: &[Backend]| backends.iter().position(Backend::lives).map(|index| index + 1);
    match deed {
        Deed::Kill(number) => told(backends, number, |backend| {
            backend.kill();
            Ok("is dead")
        }),
        Deed::Revive(number) => told(backends, number, |backend| backend.revive().map(|()| "lives")),
        Deed::Slow(number) => told(backends, number, |backend| {
            backend.set_slow(true);
            Ok("is slow")
        }),
        Deed::Fast(number) => told(backends, number, |backend| {
            backend.set_slow(false);
            Ok("is fast")
        }),
        Deed::Toggle(number) => {
            let lives = backends.get(number - 1).is_some_and(Backend::lives);
            act(backends, if lives { Deed::Kill(number) } else { Deed::Revive(number) })
        }
        Deed::KillOne => match living(backends) {
            Some(number) => act(backends, Deed::Kill(number)),
            None => "nobody lives; r revives them".to_owned(),
        },
        Deed::SlowAll => {
            set_slow(backends, true);
            "all are slow".to_owned()
        }
        Deed::Restore => {
            set_slow(backends, false);
            match backends.iter_mut().try_for_each(Backend::revive) {
                Ok(()) => "all live, and are fast".to_owned(),
                Err(error) => format!("not all live: {error}"),
            }
        }
    }
}

fn set_slow(backends: &[Backend], slow: bool) {
    for backend in backends {
        backend.set_slow(slow);
    }
}

fn told(
    backends: &mut [Backend],
    number: usize,
    change: impl FnOnce(&mut Backend) -> io::Result<&'static str>,
) -> String {
    let Some(backend) = backends.get_mut(number - 1) else { return format!("there is no backend-{number}") };
    match change(backend) {
        Ok(is) => format!("{} {is}", backend.name),
        Err(error) => format!("{} stays as it is: {error}", backend.name),
    }
}

/// How many backends there are.
pub(super) const BACKENDS: usize = 3;

/// Deeds that wait to be done.
const DEEDS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use super::{Deed, start};
    use crate::demo::script::Script;

    #[test]
    fn each_answers_with_its_name_and_keeps_the_connection() {
        let (_show, addresses) = start().unwrap();
        assert_eq!(addresses.len(), 3);
        for (number, address) in addresses.into_iter().enumerate() {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n").unwrap();
            let name = format!("\r\n\r\nbackend-{}\n", number + 1);
            assert!(read_until(&mut stream, &name).starts_with("HTTP/1.1 200 OK\r\n"));
            stream.write_all(b"GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with(&name), "{answer}");
        }
    }

    #[test]
    fn one_that_is_killed_breaks_off_and_one_that_is_revived_answers() {
        let (show, addresses) = start().unwrap();
        let mut stream = TcpStream::connect(addresses[1]).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n").unwrap();
        read_until(&mut stream, "backend-2\n");
        show.play(Script(vec![(Duration::ZERO, Deed::Kill(2))]));
        // The end is waited for; its listener goes with it.
        let ended = stream.read(&mut [0; 1]);
        assert!(ended.is_ok_and(|length| length == 0));
        assert_eq!(wait_for(addresses[1], false), Some(ErrorKind::ConnectionRefused));
        show.act(Deed::Restore);
        assert_eq!(wait_for(addresses[1], true), None);
    }

    /// Connects until that succeeds or fails, as is wanted; why it failed.
    fn wait_for(address: SocketAddr, succeeds: bool) -> Option<ErrorKind> {
        loop {
            let failure = TcpStream::connect(address).err().map(|error| error.kind());
            if failure.is_none() == succeeds {
                return failure;
            }
        }
    }

    fn read_until(stream: &mut TcpStream, end: &str) -> String {
        let mut answer = String::new();
        while !answer.ends_with(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(char::from(byte[0]));
        }
        answer
    }
}
