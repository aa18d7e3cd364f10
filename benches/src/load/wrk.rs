//! wrk: requests at full load.

use std::net::SocketAddr;

use crate::cases::Requests;
use crate::load::{Done, Latency};

pub(crate) fn command(address: SocketAddr, requests: Requests, seconds: u32, threads: u32) -> Vec<String> {
    let mut command: Vec<String> =
        ["wrk", "--latency", "--timeout", "10s", "--threads"].map(str::to_owned).to_vec();
    command.extend([threads.to_string(), "--connections".to_owned(), requests.connections.to_string()]);
    command.extend(["--duration".to_owned(), format!("{seconds}s")]);
    if requests.close {
        command.extend(["--header", "Connection: close"].map(str::to_owned));
    }
    command.push(format!("http://{address}{}", requests.page.path()));
    command
}

pub(crate) fn parse(printed: &str) -> Result<Done, String> {
    let line_with = |what: &str| printed.lines().find(|line| line.contains(what));
    // As in: `  812345 requests in 5.01s, 123.45MB read`.
    let totals = line_with(" requests in ").ok_or("no line of totals")?;
    let mut words = totals.split_whitespace();
    let requests = words.next().and_then(|word| word.parse().ok()).ok_or("no number of requests")?;
    let seconds =
        words.nth(2).and_then(|word| microseconds(word.trim_end_matches(','))).ok_or("no time")? / 1e6;
    // As in: `  Socket errors: connect 0, read 1, write 0, timeout 3`.
    let sockets: u64 = line_with("Socket errors:").map_or(0, numbers_sum);
    let statuses: u64 = line_with("Non-2xx or 3xx responses:")
        .map_or(0, |line| line.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0));
    // As in: `     99%    2.50ms`.
    let percentile = |percent: &str| {
        printed.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(percent)).then(|| words.next().and_then(microseconds))?
        })
    };
    Ok(Done {
        amount: requests,
        amount_paid: requests,
        seconds,
        failed: sockets + statuses,
        latency: Latency { p50: percentile("50%"), p99: percentile("99%"), p999: None },
    })
}

fn numbers_sum(line: &str) -> u64 {
    line.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum()
}

/// `950.00us`, `1.61ms`, `5.01s` or `1.02m`.
fn microseconds(time: &str) -> Option<f64> {
    let (number, scale) = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7), ("h", 3.6e9)]
        .into_iter()
        .find_map(|(unit, scale)| Some((time.strip_suffix(unit)?, scale)))?;
    Some(number.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::{microseconds, parse};
    use crate::load::{Done, Latency};

    const CLEAN: &str = "\
Running 5s test @ http://127.0.0.1:21010/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.61ms  245.00us   9.86ms   92.50%
    Req/Sec    39.94k     1.23k   41.00k    80.00%
  Latency Distribution
     50%    1.57ms
     75%    1.65ms
     90%    1.80ms
     99%  950.00us
  199595 requests in 5.01s, 31.60MB read
Requests/sec:  39839.32
Transfer/sec:      6.31MB
";

    #[test]
    fn a_clean_run() {
        let latency = Latency { p50: Some(1570.0), p99: Some(950.0), p999: None };
        assert_eq!(
            parse(CLEAN),
            Ok(Done { amount: 199_595.0, amount_paid: 199_595.0, seconds: 5.01, failed: 0, latency })
        );
    }

    #[test]
    fn failures_of_all_kinds_are_added_up() {
        let failing = format!(
            "{CLEAN}  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\n"
        );
        assert_eq!(parse(&failing).unwrap().failed, 54_321);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        assert_eq!(parse("unable to connect\n"), Err("no line of totals".to_owned()));
    }

    #[test]
    fn times_have_units() {
        assert_eq!(
            ["950.00us", "1.50ms", "2.00s", "1.00m", "x"].map(microseconds),
            [Some(950.0), Some(1500.0), Some(2e6), Some(6e7), None]
        );
    }
}
