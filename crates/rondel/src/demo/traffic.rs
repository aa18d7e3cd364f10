//! Clients of the demo, so that there is something to see: connections with some requests each, at a steady pace.

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

/// Makes a connection to `to` every `pause`, for ever.
pub(super) async fn make(to: SocketAddr, pause: Duration) {
    let clients = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0.. {
        ticks.tick().await;
        // All are waiting for answers: the one of this tick is left out.
        let Ok(place) = Arc::clone(&clients).try_acquire_owned() else { continue };
        tokio::spawn(async move {
            // What goes wrong is for the dashboard to show.
            let _ = timeout(CLIENT_TIME_MAX, visit(to, 1 + number % REQUESTS_MAX)).await;
            drop(place);
        });
    }
}

/// One connection with so many requests.
async fn visit(to: SocketAddr, requests: u32) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(to).await?)).await?;
    let ask = async move {
        for _ in 0..requests {
            let request = Request::get("/").header(HOST, "demo").body(Empty::<Bytes>::new())?;
            sender.send_request(request).await?.into_body().collect().await?;
            sleep(THINKING).await;
        }
        Ok(())
    };
    // The connection has to be driven, and ends after the last answer.
    let (asked, _) = tokio::join!(ask, connection);
    asked
}

/// Clients at once. At the bound no more come.
const CLIENTS_MAX: usize = 500;

/// Requests of a connection; they go from one to this, and again.
const REQUESTS_MAX: u32 = 20;

/// From an answer to the next request.
const THINKING: Duration = Duration::from_millis(50);

/// All of a visit. One to slow backends takes six seconds more than another.
const CLIENT_TIME_MAX: Duration = Duration::from_secs(15);
