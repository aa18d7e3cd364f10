//! The backends of the demo: HTTP/1.1, each answering every request with its own name.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

/// How many there are.
const BACKENDS: usize = 3;

/// How long a backend waits after it could not accept, most often for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Starts the backends on a thread of their own and says where they listen.
pub(super) fn start() -> io::Result<Vec<SocketAddr>> {
    let listeners = (0..BACKENDS).map(|_| bind()).collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("demo-backends".to_owned()).spawn(move || {
        runtime.block_on(async {
            for (number, listener) in listeners.into_iter().enumerate() {
                tokio::spawn(serve(listener, format!("backend-{}\n", number + 1)));
            }
            // Their loops have no end; the thread's is that of the process.
            std::future::pending::<()>().await;
        });
    })?;
    Ok(addresses)
}

fn bind() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(listener: TcpListener, name: String) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return log::error!("{}: {error}", name.trim_end()),
    };
    let name = Bytes::from(name);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Small answers are not held back for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let name = name.clone();
        let answer = service_fn(move |_| {
            let name = name.clone();
            async { Ok::<_, Infallible>(answer(name)) }
        });
        // A client that breaks off is its own affair.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

fn answer(name: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(name));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::start;

    #[test]
    fn each_answers_with_its_name_and_keeps_the_connection() {
        let addresses = start().unwrap();
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
