//! A plain forwarder on tokio: the cost of its obvious use, as a reference for rondel.
//!
//! `forward-tokio LISTEN BACKEND...` accepts on `LISTEN` and relays to the backends in turn: one runtime with a
//! thread per CPU of the affinity mask, one listening socket, a task per connection, and one buffer of 16 KiB per
//! direction. It has no timeouts, no retries and no limits: it is for measurements, not for service.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

use benches::forwarder::{BUFFER_SIZE, Task, bind, run};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    run("forward-tokio", forward)
}

/// Runs until the listening socket fails.
fn forward(task: Task) -> io::Result<()> {
    runtime()?.block_on(accept(task))
}

fn runtime() -> io::Result<Runtime> {
    let cpus = thread::available_parallelism()?.get();
    let mut builder = match cpus {
        // A single worker would still get every connection from another thread.
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(cpus).enable_io().build()
}

async fn accept(task: Task) -> io::Result<()> {
    let listener = bind(task.listen)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        let backend = task.rotation.next();
        tokio::spawn(async move {
            // A connection that fails is dropped: the load generator counts it.
            let _ = serve(client, backend).await;
        });
    }
}

async fn serve(mut client: TcpStream, backend: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut backend = TcpStream::connect(backend).await?;
    backend.set_nodelay(true)?;
    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER_SIZE, BUFFER_SIZE).await?;
    Ok(())
}
