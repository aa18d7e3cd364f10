//! A plain forwarder on `tokio-uring`: what its obvious use costs, as a mark to measure rondel against.
//!
//! `forward-tokio-uring LISTEN BACKEND...` accepts on `LISTEN` and relays to the backends in turn: one runtime per CPU of the
//! affinity mask, each with its own listening socket (`SO_REUSEPORT`), and one owned buffer of 16 KiB per
//! direction. It has no timeouts, no retries and no limits: it measures, it does not serve.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::TcpStream;

/// One buffer of this size per direction, for as long as the connection lives.
const BUFFER_SIZE: usize = 16 * 1024;

/// Length of the kernel's queue of connections not yet accepted; the kernel clips it.
const BACKLOG: i32 = 4096;

/// Entries of each ring's submission queue: several hundred connections fit into one submission.
const RING_ENTRIES: u32 = 4096;

fn main() -> ExitCode {
    let arguments: Result<Vec<SocketAddr>, _> = std::env::args().skip(1).map(|word| word.parse()).collect();
    let Ok([listen, backends @ ..]) = arguments.as_deref() else {
        return usage();
    };
    if backends.is_empty() {
        return usage();
    }
    match forward(*listen, backends) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forward-tokio-uring: {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: forward-tokio-uring LISTEN BACKEND...\n  forward-tokio-uring 127.0.0.1:8080 127.0.0.1:9001"
    );
    ExitCode::from(2)
}

/// Runs until a listening socket fails.
fn forward(listen: SocketAddr, backends: &[SocketAddr]) -> io::Result<()> {
    let rotation = Arc::new(Rotation { backends: backends.to_vec(), cursor: AtomicUsize::new(0) });
    let mut runtimes = Vec::new();
    for _ in 0..thread::available_parallelism()?.get() {
        let listener = bind(listen)?;
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

/// The backends, and whose turn it is.
struct Rotation {
    backends: Vec<SocketAddr>,
    cursor: AtomicUsize,
}

impl Rotation {
    fn next(&self) -> SocketAddr {
        self.backends[self.cursor.fetch_add(1, Ordering::Relaxed) % self.backends.len()]
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn accept(listener: TcpListener, rotation: Arc<Rotation>) -> io::Result<()> {
    let listener = tokio_uring::net::TcpListener::from_std(listener);
    loop {
        let (client, _) = listener.accept().await?;
        let backend = rotation.next();
        tokio_uring::spawn(async move {
            // A connection that fails is dropped: the load that measures counts it.
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

/// Relays one direction to its end, and passes the end on.
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
