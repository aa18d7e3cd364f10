//! A plain forwarder on `tokio-uring`: the cost of its obvious use, as a reference for rondel.
//!
//! `forward-tokio-uring LISTEN BACKEND...` accepts on `LISTEN` and relays to the backends in turn: one runtime per
//! CPU of the affinity mask, each with its own listening socket (`SO_REUSEPORT`), and one owned buffer of 16 KiB
//! per direction. It has no timeouts, no retries and no limits: it is for measurements, not for service.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use benches::forwarder::{BUFFER_SIZE, Rotation, Task, bind, run};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::TcpStream;

/// Entries of each ring's submission queue: several hundred connections fit into one submission.
const RING_ENTRIES: u32 = 4096;

fn main() -> ExitCode {
    run("forward-tokio-uring", forward)
}

/// Runs until a listening socket fails.
fn forward(task: Task) -> io::Result<()> {
    let rotation = Arc::new(task.rotation);
    let mut runtimes = Vec::new();
    for _ in 0..thread::available_parallelism()?.get() {
        let listener = bind(task.listen)?;
        let rotation = Arc::clone(&rotation);
        runtimes.push(thread::spawn(move || {
            tokio_uring::builder().entries(RING_ENTRIES).start(accept(listener, rotation))
        }));
    }
    for runtime in runtimes {
        runtime.join().expect("a panic aborts the process")?;
    }
    Ok(())
}

async fn accept(listener: TcpListener, rotation: Arc<Rotation>) -> io::Result<()> {
    let listener = tokio_uring::net::TcpListener::from_std(listener);
    loop {
        let (client, _) = listener.accept().await?;
        let backend = rotation.next();
        tokio_uring::spawn(async move {
            // A connection that fails is dropped: the load generator counts it.
            let _ = serve(client, backend).await;
        });
    }
}

async fn serve(client: TcpStream, backend: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let backend = TcpStream::connect(backend).await?;
    backend.set_nodelay(true)?;
    let (client, backend) = (Rc::new(client), Rc::new(backend));
    let to_backend = tokio_uring::spawn(half(Rc::clone(&client), Rc::clone(&backend)));
    half(backend, client).await;
    // A panic aborts the process, and nothing cancels the task.
    let _ = to_backend.await;
    Ok(())
}

/// Relays one direction to its end, including the end.
async fn half(from: Rc<TcpStream>, to: Rc<TcpStream>) {
    if copy(&from, &to).await.is_ok() {
        let _ = to.shutdown(Shutdown::Write);
    } else {
        // Dropping a pending read does not cancel it in tokio-uring 0.5; shutting the sockets down ends the one of
        // the other half.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

async fn copy(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER_SIZE);
    loop {
        let (read, filled) = from.read(buffer).await;
        let length = read?;
        if length == 0 {
            return Ok(());
        }
        let (written, slice) = to.write_all(filled.slice(..length)).await;
        written?;
        buffer = slice.into_inner();
    }
}
