//! The backends of the demo, and the thread that applies actions of keys and of the script to them.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::action::{Action, BACKENDS};
use super::backend::Backend;
use super::output::print_line;
use super::script::Script;
use super::traffic;

/// The handle of the thread with the backends and the clients.
#[derive(Clone, Debug)]
pub(super) struct Controller {
    runtime: Handle,
    actions: mpsc::Sender<Action>,
}

/// Starts the backends on a thread of their own, and returns their addresses.
pub(super) fn start() -> io::Result<(Controller, Vec<SocketAddr>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut backends = (1..=BACKENDS).map(Backend::new).collect::<io::Result<Vec<_>>>()?;
    let addresses = backends.iter().map(|backend| backend.address).collect();
    {
        let _inside = runtime.enter();
        backends.iter_mut().try_for_each(Backend::revive)?;
    }
    let (actions, queue) = mpsc::channel(ACTIONS_MAX);
    let controller = Controller { runtime: runtime.handle().clone(), actions };
    thread::Builder::new().name("demo".to_owned()).spawn(move || runtime.block_on(run(backends, queue)))?;
    Ok((controller, addresses))
}

impl Controller {
    /// Queues an action. If the queue is full, as when a key is held down, the action is dropped.
    pub(super) fn apply(&self, action: Action) {
        let _ = self.actions.try_send(action);
    }

    /// Starts a script.
    pub(super) fn run_script(&self, script: Script) {
        let actions = self.actions.clone();
        self.runtime.spawn(async move {
            let start = tokio::time::Instant::now();
            for (at, action) in script.0 {
                tokio::time::sleep_until(start + at).await;
                if actions.send(action).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Starts clients that make `rate` connections per second to `to`.
    pub(super) fn start_traffic(&self, to: SocketAddr, rate: u32) {
        if let Some(pause) = Duration::from_secs(1).checked_div(rate) {
            self.runtime.spawn(traffic::make(to, pause));
        }
    }
}

async fn run(mut backends: Vec<Backend>, mut queue: mpsc::Receiver<Action>) {
    while let Some(action) = queue.recv().await {
        print_line(&format!("demo: {}", apply(&mut backends, action)));
    }
}

/// Applies an action, and returns a message about the result.
fn apply(backends: &mut [Backend], action: Action) -> String {
    match action {
        Action::Kill(number) => change(backends, number, |backend| {
            backend.kill();
            Ok("is killed")
        }),
        Action::Revive(number) => change(backends, number, |backend| backend.revive().map(|()| "runs")),
        Action::Slow(number) => change(backends, number, |backend| {
            backend.set_slow(true);
            Ok("is slow")
        }),
        Action::Fast(number) => change(backends, number, |backend| {
            backend.set_slow(false);
            Ok("is fast")
        }),
        Action::Toggle(number) => {
            let is_running = backends.get(number - 1).is_some_and(Backend::is_running);
            apply(backends, if is_running { Action::Kill(number) } else { Action::Revive(number) })
        }
        Action::KillOne => match backends.iter().position(Backend::is_running) {
            Some(index) => apply(backends, Action::Kill(index + 1)),
            None => "no backend runs; r restores them".to_owned(),
        },
        Action::SlowAll => {
            set_slow(backends, true);
            "all backends are slow".to_owned()
        }
        Action::Restore => {
            set_slow(backends, false);
            match backends.iter_mut().try_for_each(Backend::revive) {
                Ok(()) => "all backends run, and are fast".to_owned(),
                Err(error) => format!("not all backends run: {error}"),
            }
        }
    }
}

fn set_slow(backends: &[Backend], slow: bool) {
    for backend in backends {
        backend.set_slow(slow);
    }
}

fn change(
    backends: &mut [Backend],
    number: usize,
    apply: impl FnOnce(&mut Backend) -> io::Result<&'static str>,
) -> String {
    let Some(backend) = backends.get_mut(number - 1) else { return format!("there is no backend-{number}") };
    match apply(backend) {
        Ok(result) => format!("{} {result}", backend.name),
        Err(error) => format!("{} is unchanged: {error}", backend.name),
    }
}

/// The size of the queue of actions.
const ACTIONS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use super::{Action, start};
    use crate::demo::script::Script;

    #[test]
    fn a_backend_answers_with_its_name_and_keeps_the_connection() {
        let (_controller, addresses) = start().unwrap();
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
    fn a_killed_backend_closes_its_connections_and_a_revived_one_answers() {
        let (controller, addresses) = start().unwrap();
        let mut stream = TcpStream::connect(addresses[1]).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n").unwrap();
        read_until(&mut stream, "backend-2\n");
        controller.run_script(Script(vec![(Duration::ZERO, Action::Kill(2))]));
        // The listener is closed together with the connection.
        let ended = stream.read(&mut [0; 1]);
        assert!(ended.is_ok_and(|length| length == 0));
        assert_eq!(wait_for(addresses[1], false), Some(ErrorKind::ConnectionRefused));
        controller.apply(Action::Restore);
        assert_eq!(wait_for(addresses[1], true), None);
    }

    /// Connects until the result is as expected, and returns the error.
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
