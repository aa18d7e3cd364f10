//! The clients of the demo: connections with some requests each, at a constant rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Makes a connection to `to` every `pause`. It never ends.
pub(super) async fn make(to: SocketAddr, pause: Duration) {
    let clients = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0.. {
        ticks.tick().await;
        // At the limit this tick is skipped.
        let Ok(permit) = Arc::clone(&clients).try_acquire_owned() else { continue };
        tokio::spawn(async move {
            // Errors are ignored; the dashboard shows them.
            let _ = timeout(CLIENT_TIME_MAX, connect(to, 1 + number % REQUESTS_MAX)).await;
            drop(permit);
        });
    }
}

/// Makes a connection with this number of requests.
async fn connect(to: SocketAddr, requests: u32) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(to).await?)).await?;
    let exchange = async move {
        for _ in 0..requests {
            let request = Request::get("/").header(HOST, "demo").body(Empty::<Bytes>::new())?;
            sender.send_request(request).await?.into_body().collect().await?;
            sleep(THINK_TIME).await;
        }
        Ok(())
    };
    // The connection must be polled too. It ends after the last response.
    let (result, _) = tokio::join!(exchange, connection);
    result
}

/// The maximum number of concurrent clients.
const CLIENTS_MAX: usize = 500;

/// The maximum number of requests of a connection. The number cycles from 1 to this.
const REQUESTS_MAX: u32 = 20;

/// The pause between an answer and the next request.
const THINK_TIME: Duration = Duration::from_millis(50);

/// The time limit of a client. Slow backends add six seconds.
const CLIENT_TIME_MAX: Duration = Duration::from_secs(15);
