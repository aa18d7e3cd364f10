//! Our own generator: requests at a rate that does not depend on responses.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::cases::Requests;
use crate::load::{Done, Latency};
use crate::workshop::Workshop;

/// At `rate` requests per second.
pub(crate) fn command(
    workshop: &Workshop,
    address: SocketAddr,
    requests: Requests,
    seconds: u32,
    rate: f64,
) -> Vec<String> {
    let mut command = vec![workshop.program("generate-load"), address.to_string()];
    command.extend(["--connections".to_owned(), requests.connections.to_string()]);
    command.extend(["--seconds".to_owned(), seconds.to_string()]);
    command.extend(["--path".to_owned(), requests.page.path().to_owned()]);
    command.extend(["--rate".to_owned(), format!("{rate:.0}")]);
    if requests.close {
        command.push("--close".to_owned());
    }
    command
}

pub(crate) fn parse(printed: &str) -> Result<Done, String> {
    let report: Report = serde_json::from_str(printed).map_err(|error| error.to_string())?;
    let Failed { connect, reset, timeout, status, protocol } = report.failed;
    #[expect(clippy::cast_precision_loss, reason = "nothing makes 2^53 requests")]
    let amount = report.requests as f64;
    Ok(Done {
        amount,
        amount_paid: amount * (1.0 + WARM_UP.min(WARM_UP_SECONDS_MAX / report.seconds)),
        seconds: report.seconds,
        failed: connect + reset + timeout + status + protocol,
        latency: Latency {
            p50: Some(report.latency_us.p50),
            p99: Some(report.latency_us.p99),
            p999: Some(report.latency_us.p99_9),
        },
    })
}

// It warms up with requests at the same rate: for this share of the time, within a limit.
const WARM_UP: f64 = 0.1;
const WARM_UP_SECONDS_MAX: f64 = 0.5;

/// The used part of the output of `generate-load`.
#[derive(Debug, Deserialize)]
struct Report {
    requests: u64,
    seconds: f64,
    failed: Failed,
    latency_us: Percentiles,
}

#[derive(Debug, Deserialize)]
struct Failed {
    connect: u64,
    reset: u64,
    timeout: u64,
    status: u64,
    protocol: u64,
}

#[derive(Debug, Deserialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
    p99_9: f64,
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::load::{Done, Latency};

    #[test]
    fn a_report() {
        let printed = r#"{"requests":1000,"seconds":2.0,"bytes":5,
            "failed":{"connect":1,"reset":2,"timeout":3,"status":4,"protocol":5},
            "latency_us":{"mean":9.0,"p50":8.0,"p90":9.0,"p99":10.0,"p99_9":11.5,"max":12.0}}"#;
        let latency = Latency { p50: Some(8.0), p99: Some(10.0), p999: Some(11.5) };
        assert_eq!(
            parse(printed),
            Ok(Done { amount: 1000.0, amount_paid: 1100.0, seconds: 2.0, failed: 15, latency })
        );
    }

    #[test]
    fn what_is_no_report_is_refused() {
        assert!(parse("").is_err());
        assert!(parse("{}").unwrap_err().contains("missing field"));
    }
}
