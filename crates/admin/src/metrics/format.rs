//! The text formats of the metrics, and which of them a client asks for.
//!
//! The choice is that of Prometheus' own libraries: the header `Accept` ranks the formats by its q values, its order
//! decides between equal ones, and whatever asks for neither gets the older format.

use std::cmp::Reverse;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
    /// The older format of Prometheus, which every scraper understands.
    Prometheus,
}

impl Format {
    /// The format for a request with this `Accept`, whose lines are joined by commas.
    pub(crate) fn negotiate(accept: &str) -> Self {
        let mut ranges: Vec<Range> = split(accept, ',').filter_map(Range::parse).collect();
        ranges.sort_by_key(|range| Reverse(range.weight));
        ranges.iter().find_map(|range| range.format).unwrap_or(Self::Prometheus)
    }

    /// The media type of the text.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A media range of `Accept`.
struct Range {
    /// The first format in the range; none if neither is.
    format: Option<Format>,
    /// The q value, in thousandths.
    weight: u32,
}

impl Range {
    /// None if the range is excluded (`q=0`) or not understood.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';').map(str::trim);
        let media = parts.next()?.to_ascii_lowercase();
        let (mut version, mut weight) = (None, 1000);
        for parameter in parts {
            let (name, value) = parameter.split_once('=')?;
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => weight = thousandths(value.trim())?,
                "version" => version = Some(value.trim().trim_matches('"')),
                // Such as `charset` and `escaping`: the text is UTF-8, and no name in it needs to be escaped.
                _ => {}
            }
        }
        let format = match (media.as_str(), version) {
            ("application/openmetrics-text", None | Some("1.0.0")) | ("application/*", _) => {
                Some(Format::OpenMetrics)
            }
            ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => Some(Format::Prometheus),
            _ => None,
        };
        (weight > 0).then_some(Self { format, weight })
    }
}

/// Parses a q value: 0 to 1 with at most three decimals, RFC 9110, 12.4.2.
fn thousandths(value: &str) -> Option<u32> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let are_digits = decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !["0", "1"].contains(&whole) || decimals.len() > 3 || !are_digits {
        return None;
    }
    let thousandths = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

/// Splits at each `separator` that is not inside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn a_scraper_gets_the_format_that_it_asks_for() {
        // Prometheus 3, 2.42, 2.33 and 1.8.
        open_metrics(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        );
        open_metrics(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        );
        older("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
        older(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
        );
        // Each alone; a browser, curl, and a client that asks for nothing or for something else.
        open_metrics("application/openmetrics-text");
        open_metrics("application/openmetrics-text; version=\"1.0.0\"");
        older("text/plain; version=0.0.4");
        older("text/plain");
        older("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
        older("*/*");
        older("");
        older("application/json");
    }

    #[test]
    fn q_values_rank_formats_and_the_order_decides_between_equal_ones() {
        older("application/openmetrics-text;q=0.4,text/plain;q=0.5");
        open_metrics("text/plain;q=0.5,application/openmetrics-text;q=0.501");
        open_metrics("text/plain;q=0.999, application/openmetrics-text;q=1.000");
        open_metrics("application/openmetrics-text,text/plain");
        older("text/plain,application/openmetrics-text");
        open_metrics("Application/OpenMetrics-Text ; Q=0.8 , text/plain ; q=0.7");
        open_metrics("text/plain;q=0,application/openmetrics-text;q=0.1");
        older("application/openmetrics-text;q=0");
        older("*/*;q=0.9,application/openmetrics-text;q=0.5");
        open_metrics("application/*");
        // A range that is not understood does not count, nor does what is in quotes.
        open_metrics("text/plain;q=2,application/openmetrics-text;q=0.1");
        open_metrics("text/plain;q=0.1234,text/plain;q=-1,text/plain;q=,application/openmetrics-text;q=0.1");
        older("text/plain;note=\"a,b;c\",application/openmetrics-text;q=0.9");
        open_metrics("a/b;note=\",text/plain,\",application/openmetrics-text;q=0.9");
        older(";;,=,\",text/plain");
    }

    #[track_caller]
    fn open_metrics(accept: &str) {
        assert_eq!(Format::negotiate(accept), Format::OpenMetrics, "{accept}");
    }

    #[track_caller]
    fn older(accept: &str) {
        assert_eq!(Format::negotiate(accept), Format::Prometheus, "{accept}");
    }
}
