//! iperf3: streams of bytes from the client to the backend.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::load::{Done, Latency};

pub(crate) fn command(address: SocketAddr, streams: u32, seconds: u32) -> Vec<String> {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let (streams, seconds) = (streams.to_string(), seconds.to_string());
    ["iperf3", "--json", "--client", &ip, "--port", &port, "--parallel", &streams, "--time", &seconds]
        .map(str::to_owned)
        .to_vec()
}

/// What has arrived counts, not what was sent.
pub(crate) fn parse(printed: &str) -> Result<Done, String> {
    let report: Report = serde_json::from_str(printed).map_err(|error| error.to_string())?;
    if let Some(error) = report.error {
        return Err(error);
    }
    let received = report.end.sum_received.ok_or("nothing of what was received")?;
    Ok(Done {
        amount: received.bytes,
        amount_paid: received.bytes,
        seconds: received.seconds,
        failed: 0,
        latency: Latency::default(),
    })
}

/// The used part of the output of `iperf3 --json`.
#[derive(Debug, Deserialize)]
struct Report {
    error: Option<String>,
    #[serde(default)]
    end: End,
}

#[derive(Debug, Default, Deserialize)]
struct End {
    sum_received: Option<Sum>,
}

#[derive(Debug, Deserialize)]
struct Sum {
    seconds: f64,
    bytes: f64,
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::load::{Done, Latency};

    #[test]
    fn what_arrived_counts() {
        let printed = r#"{"start":{},"intervals":[],"end":{
            "sum_sent":{"start":0,"end":2.0,"seconds":2.0,"bytes":4000,"bits_per_second":1.0},
            "sum_received":{"start":0,"end":2.01,"seconds":2.01,"bytes":3000,"bits_per_second":1.0}}}"#;
        assert_eq!(
            parse(printed),
            Ok(Done {
                amount: 3000.0,
                amount_paid: 3000.0,
                seconds: 2.01,
                failed: 0,
                latency: Latency::default()
            })
        );
    }

    #[test]
    fn its_own_words_for_what_went_wrong() {
        let printed = r#"{"start":{},"intervals":[],"end":{},"error":"the server is busy"}"#;
        assert_eq!(parse(printed), Err("the server is busy".to_owned()));
    }
}
