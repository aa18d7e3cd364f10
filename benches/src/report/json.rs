//! Every sample, for whoever wants to look closer.

use crate::report::Results;

pub(crate) fn render(results: &Results) -> String {
    let mut json = serde_json::to_string_pretty(results).expect("names are strings and numbers are numbers");
    json.push('\n');
    json
}
